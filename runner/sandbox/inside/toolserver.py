"""PID 1 of an agent's sandbox: reads requests from the host, runs them, answers.

One thread, one loop over the wire, the shell's output and its status, and the forwarder's socket where a command has
one. It must answer while a command runs (ping, freeze), reap whatever dies, and end when the wire does: then the container
ends and the engine removes it. Deadlines count only the time in which the sandbox was not frozen.
"""

TICK_S = 0.05  # chosen: how late a deadline may be noticed
FROZEN_TICK_S = 0.5  # chosen: a frozen sandbox uses no CPU to speak of


class Command:
    """The command that runs now."""

    def __init__(self, sequence, timeout_s, bytes_max):
        self.sequence, self.left_s = sequence, timeout_s
        self.output = Output(bytes_max)
        self.started = self.counted = time.monotonic()
        self.kills_before = memory_kills()

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

    def serve(self):
        """Until the host is gone."""
        self.wire.write(HELLO, 0, {"seen": seen_from_inside(refuse_calls())})
        while True:
            self.watch()
            if self.wire_ready and not self.take_request():
                break
            if self.channel and not self.frozen and not self.channel.move(self.wire):
                self.end_channel()
            if self.command:
                self.follow()
            if self.frozen:
                kill_whoever_woke()
            self.bury()
        kill_everything()

    def watch(self):
        watched, writing = [self.wire.reading], []
        if self.command and not self.frozen:
            watched += [self.shell.output, self.shell.status]
        if self.channel and not self.frozen:
            read, writing = self.channel.wants()
            watched += read
        if self.frozen:
            wait_s = FROZEN_TICK_S
        else:
            wait_s = min(TICK_S, max(0.0, self.command.left_s)) if self.command else 1.0
        ready = select.select(watched, writing, [], wait_s)[0]
        self.wire_ready = self.wire.reading in ready

    def bury(self):
        """Reap; a shell that died ends its command."""
        for pid, status in reap():
            if self.shell and pid == self.shell.pid:
                self.shell_died(status)

    # The running command

    def follow(self):
        command = self.command
        command.count(self.frozen)
        if self.frozen:
            return
        self.shell.read_output(command.output, reads_max=4)
        status = self.shell.read_status()
        if status is not None:
            self.shell.read_output(command.output)
            self.finish(status, None)
        elif command.left_s <= 0:
            self.shell.read_output(command.output)
            self.end_shell()
            self.finish(None, "timeout")

    def finish(self, status, why):
        command, self.command = self.command, None
        self.end_channel()
        killed = memory_kills()
        if killed is not None and command.kills_before is not None and killed > command.kills_before:
            why = why or "memory"
        if why is None and status is not None and status > 128:
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
        self.wire.write(REPLY, command.sequence, head, content)

    def shell_died(self, status):
        if self.command:
            self.shell.read_output(self.command.output)
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
            self.end_shell()
            self.finish(code, None if os.WIFEXITED(status) else "signal")
        else:
            self.end_shell()

    def end_shell(self):
        """Everything that any command started ends with the shell."""
        end_everything()
        self.end_channel()
        if self.shell:
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

    def do_bash(self, sequence, head, body):
        if self.command:
            raise ToolError("another command is running")
        command = Command(sequence, float(head["timeout_s"]), int(head["output_bytes_max"]))
        program, body = body[: head.get("forwarder_bytes", 0)], body[head.get("forwarder_bytes", 0) :]
        if b"\0" in body:
            raise ToolError("the command holds a NUL byte")
        if program:
            self.channel = Channel(self.python, head["port"], program, sequence)
        if self.shell is None:
            self.shell = Shell(self.python)
        self.command = command
        self.shell.read_status()
        self.send_command(body)
        return None, b""

    def send_command(self, body):
        """Hand the command to bash; a command larger than the pipe is fed as bash reads it."""
        view = memoryview(body + b"\0")
        end = time.monotonic() + 10.0
        while view and time.monotonic() < end:
            try:
                view = view[os.write(self.shell.commands, view) :]
            except BlockingIOError:
                select.select([], [self.shell.commands], [], 0.1)
            except BrokenPipeError:
                return

    def do_restart(self, sequence, head, body):
        self.end_shell()
        return {"ok": True}, b"the shell was restarted"

    def do_collect(self, sequence, head, body):
        """The submission: checked first, so that a wrong path can be corrected; then all processes end; then it is read."""
        read_regular(head["path"], head["bytes_max"])
        if not end_everything():
            raise ToolError("the sandbox's processes could not be ended")
        self.end_shell()
        return {"ok": True}, read_regular(head["path"], head["bytes_max"])

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
