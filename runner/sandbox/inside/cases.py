"""PID 1 of a container that builds or runs a program: each case is a process of its own, fed and read through pipes.

No program of a guest's shares this process or its memory, so the clock that starts and stops on the host measures what runs
between two frames: one process, from its start to the end of its output. Between two cases everything is ended and emptied,
and the program's files are written again.
"""


class Cases(Serving):
    files, under = b"", ""  # of the program, and where they belong

    def do_setup(self, sequence, head, body):
        self.wire.write(READY, sequence, {"failed": {}})

    def do_files(self, sequence, head, body):
        """Keep the program's files for what follows."""
        self.files, self.under = body, head["under"]
        self.wire.write(REPLY, sequence, {"ok": True})

    def do_prepare(self, sequence, head, body):
        """End whatever runs, and make everything as it was before the first case."""
        try:
            if not end_everything():
                raise BadBundle("its processes could not be ended")
            DEAD.clear()
            for folder in LEFT_IN:
                clear(folder)
            renew_devices()
            remove_system_v(system_v())
            if system_v():
                raise BadBundle("what it left with the kernel could not be removed")
            write_files(self.files, self.under)
        except (BadBundle, OSError, RecursionError) as error:  # a path of a thousand steps, say
            self.wire.write(REPLY, sequence, {"ok": False, "error": str(error)[:1000]})
            return
        self.wire.write(REPLY, sequence, {"ok": True})

    def run(self, argv, stdin, out_max, joined=False):
        """The process that ran; and what the kernel killed for memory meanwhile."""
        kills = MemoryKills()
        running = Running(argv, stdin, out_max, joined)
        running.follow(self.wire.reading, self.woken)
        return running, kills

    def do_case(self, sequence, head, body):
        ran, kills = self.run(head["argv"], body, head["out_max"])
        said = {
            "status": ran.status,
            "memory": kills.any(),
            "host_short": kills.are_hosts(),
            "over": ran.over,
            "said": bytes(ran.said).decode("utf-8", "replace"),
        }
        self.wire.write(ANSWER, sequence, said, b"" if ran.over else bytes(ran.out))

    def do_build(self, sequence, head, body):
        """Run the build, and bundle what it left in out/."""
        os.makedirs(WORKSPACE + "/out", exist_ok=True)
        ran, kills = self.run(head["argv"], b"", 1 << 24, joined=True)
        said = {
            "status": ran.status,
            "memory": kills.any(),
            "host_short": kills.are_hosts(),
            "said": bytes(ran.out[-SAID_BYTES_MAX:]).decode("utf-8", "replace"),
        }
        made = b""
        if ran.status == 0:
            try:
                if not end_everything():
                    raise BadBundle("its processes could not be ended")
                DEAD.clear()
                out = os.open(WORKSPACE + "/out", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    made = bundled(out, head["out_max"], head["files_max"])
                finally:
                    os.close(out)
            except (BadBundle, OSError) as error:
                said["refused"] = "out: " + (str(error) if isinstance(error, BadBundle) else os.strerror(error.errno))
        self.wire.write(ANSWER, sequence, said, made)


serve_host(Cases)
