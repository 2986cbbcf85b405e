"""PID 1 of an agent's sandbox: reads requests from the host, runs them, answers.

One thread, one loop over the wire, the shell's output and its status, and the forwarder's socket where a command has
one. It must answer while a command runs (ping, freeze), reap whatever dies, and end when the wire does: then the container
ends and the engine removes it. Deadlines count only the time in which the sandbox was not frozen.
"""

TICK_S = 0.05  # chosen: how late a deadline may be noticed
FROZEN_TICK_S = 0.5  # chosen: a frozen sandbox uses no CPU to speak of
SHELL_START_S = 10.0  # chosen: far over what a shell needs for its start on a busy host
SHELL_TRIES = 2  # chosen: the second one in a sandbox in which nothing else runs any more
EVIDENCE_CHARS = 300  # chosen: the end of what a shell printed that did not come up

SHELL_ENDED = b"[... the shell ended with status %d since the last command; all that it had started is gone ...]\n"


def labelled(late):
    """What was printed while no command ran, as a part of the next answer."""
    content = late.content()[0]
    if not content:
        return b""
    end = b"" if content.endswith(b"\n") else b"\n"
    return b"[... printed in the background before this command: ...]\n" + content + end + b"[... end of it ...]\n"


class Command:
    """The command that runs now.

    Attributes:
        bare: its answer is what it prints, and nothing else.
        name: by which the host may stop it; None where it has none.
        token: what its status will bear.
        failures: what became of each shell that did not come up for it.
        kills: what the kernel has killed for memory since it began.
    """

    def __init__(self, sequence, text, timeout_s, bytes_max, forwarder=None, bare=False, name=None):
        self.sequence, self.text, self.bare, self.name = sequence, text, bare, name
        self.timeout_s = self.left_s = timeout_s
        self.bytes_max, self.forwarder = bytes_max, forwarder
        self.output, self.late, self.token, self.failures = None, b"", b"", []
        self.started = self.counted = time.monotonic()
        self.kills = MemoryKills()

    def count(self, frozen):
        """Take the time since the last look off the deadline, unless the sandbox was frozen."""
        now = time.monotonic()
        if not frozen:
            self.left_s -= now - self.counted
        self.counted = now


class Server:
    def __init__(self, wire, python):
        self.wire, self.python = wire, python
        self.shell, self.command, self.channel, self.frozen = None, None, None, False
        self.epitaph = b""  # what the next command's answer says of a shell that ended while none ran
        self.had_shell = False  # whether any shell of this sandbox ever ran anything

    def serve(self):
        """Until the host is gone."""
        self.wire.write(HELLO, 0, {"seen": first_look()})
        while True:
            self.watch()
            if self.wire_ready and not self.take_request():
                break
            try:
                self.work()
            except Exception as error:  # whatever guests bring about ends their command, not PID 1
                self.give_up(error_text(error))
        kill_everything()

    def work(self):
        """What there is to do besides requests."""
        if self.channel and not self.frozen and not self.channel.move(self.wire):
            self.end_channel()
        if self.shell and not self.frozen:
            self.shell.feed()
        if self.command:
            self.follow()
        elif self.shell and not self.frozen:
            self.shell.read_output(self.shell.late)
        if self.frozen:
            kill_whoever_woke()
        self.bury()

    def watch(self):
        watched, writing = [self.wire.reading], []
        if self.shell and not self.frozen:
            watched += self.shell.open if self.command else self.shell.open - {self.shell.status}
            writing += [self.shell.commands] if self.shell.pending else []
        if self.channel and not self.frozen:
            read, write = self.channel.wants()
            watched += read
            writing += write
        if self.frozen:
            wait_s = FROZEN_TICK_S
        else:
            wait_s = min(TICK_S, max(0.0, self.command.left_s)) if self.command else 1.0
        ready = select.select(watched, writing, [], wait_s)[0]
        self.wire_ready = self.wire.reading in ready

    def bury(self):
        """Reap; a shell that died ends its command."""
        reap()
        dead = [status for pid, status in DEAD if self.shell and pid == self.shell.pid]
        DEAD.clear()
        if dead:
            self.shell_died(dead[0])

    # The running command

    def begin(self):
        """Give the command to the shell, a new one where there is none."""
        command = self.command
        if self.shell is None:
            kill_everything()  # whoever outlived the wait for its end
            DEAD.clear()  # the new one may get a number that one of them had
        try:
            if command.forwarder and not self.channel:
                self.channel = Channel(self.python, *command.forwarder, command.sequence)
            if self.shell is None:
                self.shell = Shell(self.python)
        except OSError as error:
            self.shell_failed("it could not be started: " + os.strerror(error.errno or 0))
            return
        self.shell.read_printed(self.shell.late)
        command.late += b"" if command.bare else self.epitaph + labelled(self.shell.late)
        self.epitaph = b""
        self.shell.late = Output(LATE_BYTES_MAX)
        command.output = Output(command.bytes_max - len(command.late))
        self.shell.read_status(b"")  # what nobody waits for any more
        command.token = self.shell.send(command.text)

    def follow(self):
        command = self.command
        command.count(self.frozen)
        if self.frozen:
            return
        self.shell.read_output(command.output)
        status = self.shell.read_status(command.token)
        if status is not None:
            self.shell.read_printed(command.output)
            self.finish(status, None)
        elif command.left_s <= 0:
            self.shell.read_printed(command.output)
            self.time_out()

    def time_out(self):
        came_up, given_s = self.shell.ready, self.command.timeout_s
        self.end_shell()
        if came_up or given_s < SHELL_START_S:
            self.finish(None, "timeout")
        else:
            self.give_up("no shell comes up in this sandbox within %g s" % given_s, no_shell=True)

    def finish(self, status, why):
        command, self.command = self.command, None
        self.end_channel()
        if why != "timeout" and command.kills.any():  # a signal's cause, too
            why = "memory"
        if why is None and status is not None and 128 < status <= 128 + SIGNAL_MAX:
            why = "signal"
        content, cut = command.output.content()
        head = {
            "ok": True,
            "exit_status": status,
            "why": why,
            "bytes_cut": cut,
            "seconds": round(time.monotonic() - command.started, 6),
            "shell_alive": self.shell is not None,
        }
        self.wire.write(REPLY, command.sequence, head, command.late + content)

    def shell_died(self, status):
        command, shell = self.command, self.shell
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
        if command:
            shell.read_printed(command.output)
            shell.read_status(b"")  # its last word: whether it ever ran
        else:
            shell.read_printed(shell.late)
            self.epitaph = labelled(shell.late) + SHELL_ENDED % code
        self.end_shell()
        if command and shell.ready:
            self.finish(code, None if os.WIFEXITED(status) else "signal")
        elif command:
            printed = printable(command.output.content()[0])[-EVIDENCE_CHARS:].strip()
            memory = ", killed for memory" if command.kills.any() else ""
            self.shell_failed(
                "it ended with status %d%s before it ran anything; it printed %r" % (code, memory, printed)
            )

    def shell_failed(self, why):
        """A shell did not come up: everything is ended and it is tried afresh; in the end the sandbox is of no use."""
        self.end_shell(ENDING_S)
        self.command.failures.append(why)
        if len(self.command.failures) < SHELL_TRIES:
            self.begin()
            return
        tried = "; then: ".join(self.command.failures)
        self.give_up("no shell can be started in this sandbox any more (%s)" % tried, no_shell=True)

    def give_up(self, why, no_shell=False):
        """The command has no result, but the request has an answer."""
        command, self.command = self.command, None
        self.end_shell()
        if command:
            head = {"ok": False, "error": why, "no_shell": no_shell, "had_shell": self.had_shell}
            self.wire.write(REPLY, command.sequence, head)

    def end_shell(self, seconds=DYING_S):
        """Everything that any command started is killed with the shell, and waited for: no longer than a deadline bears."""
        end_everything(seconds)
        self.end_channel()
        DEAD.clear()  # a new shell may get a number that one of them had
        if self.shell:
            self.had_shell = self.had_shell or self.shell.ready
            self.shell.close()
            self.shell = None

    def end_channel(self):
        """The forwarder ends with its socket."""
        if self.channel:
            self.channel.close()
            self.channel = None

    # Requests

    def take_request(self):
        """Read one frame and answer it; False when the host has gone."""
        frame = self.wire.read()
        if frame is None:
            return False
        kind, sequence, head, body = frame
        if kind != REQUEST:
            if self.channel and self.channel.sequence == sequence:  # else it comes too late
                self.channel.take(kind, body, head)
            return True
        answer, content = answer_of(lambda: self.do(sequence, head, body))
        if answer is not None:
            self.wire.write(REPLY, sequence, answer, content)
        return True

    def do(self, sequence, head, body):
        """(head, body) of the reply; None as the head: it comes later."""
        if head["op"] in FILE_REQUESTS:
            return FILE_REQUESTS[head["op"]](head, body)
        return getattr(self, "do_" + head["op"])(sequence, head, body)

    def do_ping(self, sequence, head, body):
        return {"ok": True}, body

    def must_be_idle(self):
        if self.command:
            raise ToolError("another command is running")

    def do_bash(self, sequence, head, body):
        self.must_be_idle()
        program, text = body[: head.get("forwarder_bytes", 0)], body[head.get("forwarder_bytes", 0) :]
        if b"\0" in text:
            raise ToolError("the command holds a NUL byte")
        self.bury()  # a shell that has ended since gets no command
        forwarder = (head["port"], program) if program else None
        timeout_s, bytes_max = float(head["timeout_s"]), int(head["output_bytes_max"])
        bare, name = head.get("bare", False), head.get("name")
        self.command = Command(sequence, text, timeout_s, bytes_max, forwarder, bare, name)
        try:
            self.begin()
        except Exception:
            self.command = None  # its answer is the failure
            raise
        return None, b""

    def do_stop(self, sequence, head, body):
        """Let the deadline of the command of this name have passed, where it still runs."""
        if self.command and self.command.name == head["name"]:
            self.command.timeout_s = self.command.left_s = 0.0
        return {"ok": True}, b""

    def do_restart(self, sequence, head, body):
        self.must_be_idle()
        self.end_shell()
        return {"ok": True}, b"the shell was restarted"

    def do_collect(self, sequence, head, body):
        """The submission: checked first, so that a wrong path can be corrected; then all processes end; then it is read."""
        self.must_be_idle()
        read_submission(head)
        if not end_everything():
            raise ToolError("the sandbox's processes could not be ended")
        self.end_shell()
        return {"ok": True}, read_submission(head)

    def do_freeze(self, sequence, head, body):
        if self.command:
            self.command.count(False)
        self.frozen = stop_everything()
        return {"ok": self.frozen, "error": "not all processes stopped"}, b""

    def do_thaw(self, sequence, head, body):
        if self.command:
            self.command.count(True)
        continue_everything()
        self.frozen = False
        return {"ok": True}, b""


def main():
    wire = take_over()
    python = os.readlink("/proc/self/exe")
    hide_memory()
    Server(wire, python).serve()
    os._exit(0)


main()
