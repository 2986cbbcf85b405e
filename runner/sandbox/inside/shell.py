"""The launcher and the persistent bash.

PID 1 is non-dumpable and its forks are too, so that nobody can write their oom_score_adj. It therefore starts bash through
a small program that it execs first and that holds no secret: that one raises its oom score where it can, sets its limits,
and execs bash. The fence (a filter of system calls) and Landlock are up before, and Landlock lets it write nothing in /proc,
since whoever lowers the score again has the kernel end PID 1 for the memory that he takes. So PID 1 raises the score of a
shell that has run its first word, and only then hands it a command.

Commands share one shell: directory, variables and functions stay. The bash reads its script from a pipe that is its
standard input, two lines for each command (`script_of`): no loop is around a command that its `break` could reach, and
no variable holds any of it. A command runs inside the shell that keeps these books, so it can say what it likes about
itself; it must not say anything about another:

- 3 is a socket on which the kernel names the process that writes: only the shell itself is listened to. Descriptors can be
  sent along, and closing one may take as long as its sender likes: PID 1 takes no message that bears any (`read_message`).
- A token is drawn for one command, and stands in the pipe behind it: nothing that ran before knows it.
- The script, the socket and 4, where commands print to, are closed to what a command starts, and `exec >file` ends with its
  command, because the command's descriptors are put back after it. Between commands the shell's own output goes nowhere
  (`set -x` shows no line of ours).
"""

LAUNCHER = r"""
import os, resource, signal, sys
def limit(which, value):
    try:
        resource.setrlimit(which, (value, value))
    except (OSError, ValueError):
        pass
try:  # where Landlock lets it; a shell's is raised by PID 1, too
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
except OSError:
    pass
limit(resource.RLIMIT_CORE, 1)
limit(resource.RLIMIT_NOFILE, 1024)
limit(resource.RLIMIT_MEMLOCK, 65536)
try:
    os.nice(5)
except OSError:
    pass
for number in (signal.SIGPIPE, signal.SIGXFSZ):  # this interpreter ignores them, and who is ignored stays so
    signal.signal(number, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""

# The shell's script. A command's line is followed by one that says its status, after its foreground processes have
# ended: all that they printed is in the pipe by then. Backslashes and `builtin`: commands may have defined aliases and
# functions of those names. `!`, and the status from PIPESTATUS: where a command fails, an ERR trap runs and `set -e`
# judges inside of the `eval`, and not once more for the `eval` itself. `LINENO`: messages name the command's own lines.
# Where a command leaves the shell too little for another (`ulimit -n`, `enable -n eval`, `readonly LINENO`), that would
# not be run, and have a status all the same: so the second line needs as much as the first, and ends the shell where it
# fails. `$_`, its last word, is the status.
FIRST_LINE = b"exec >/dev/null 2>&1\n"
LINES = (
    b'! \\builtin eval -- %s </dev/null >&"$((LINENO=1,4))" 2>&4 3>&- 4>&-\n'
    b'\\builtin eval \'\\builtin printf "%s %%d" >&"$((LINENO=1,3))"\' "${PIPESTATUS[0]}" '
    b'</dev/null >/dev/null 2>&1 4>&- || \\builtin exit "$_" || \\exit "$_"\n'
)
# What does not stand for itself between $' and ', whatever the shell's locale and history; the backslash comes first.
WRITTEN_OUT = [*b"\\'!", *range(1, 32), *range(127, 256)]
PROBE = b"true"  # a command that shows that the shell runs
CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
MESSAGE_BYTES_MAX = 64  # chosen: a token and a status
MESSAGES_MAX = 64  # chosen: read at once, so that a flood of others' messages keeps nobody from being served
CHUNK_BYTES = 65536  # a pipe's buffer on Linux
LATE_BYTES_MAX = 4_000  # chosen: of what background processes print between two commands


def script_of(command, token):
    """The lines by which the shell runs a command, which becomes a word of one line whatever it holds."""
    for byte in WRITTEN_OUT:
        command = command.replace(b"%c" % byte, b"\\%03o" % byte)
    return LINES % (b"$'" + command + b"'", token)


class Output:
    """What a command printed, bounded: its head and its tail are kept, the cut in between is counted."""

    def __init__(self, bytes_max):
        self.half = bytes_max // 2
        self.head, self.tail, self.total = bytearray(), bytearray(), 0

    def add(self, chunk):
        self.total += len(chunk)
        room = self.half - len(self.head)
        if room > 0:
            self.head += chunk[:room]
            chunk = chunk[room:]
        self.tail += chunk
        if len(self.tail) > 2 * self.half:
            del self.tail[: len(self.tail) - self.half]

    def content(self):
        """(bytes, number of bytes cut out)."""
        tail = bytes(self.tail[-self.half :]) if len(self.tail) > self.half else bytes(self.tail)
        cut = self.total - len(self.head) - len(tail)
        if not cut:
            return bytes(self.head) + tail, 0
        return bytes(self.head) + b"\n[... %d bytes cut ...]\n" % cut + tail, cut


class Shell:
    """One bash: a pipe to it for commands, a pipe from it for output, and a socket from it for statuses.

    Attributes:
        printing: the end of the pipe that all commands write to.
        ready: whether it has run anything.
        bears_descriptors: whether a message with descriptors is the next one of the socket's, for good.
        late: what was printed while no command ran.
    """

    def __init__(self, python):
        import socket

        commands_in, self.commands = os.pipe()
        self.output, self.printing = os.pipe()
        self.status, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.status.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.status.setblocking(False)
        self.pid, self.bears_descriptors = None, False
        self.pending, self.held, self.ready, self.late = bytearray(), bytearray(), False, Output(LATE_BYTES_MAX)
        self.open = {self.status, self.output}  # what may still say something
        try:
            self.pid = os.fork()
            if self.pid == 0:
                self._become_bash(python, commands_in, theirs.fileno(), self.printing)
        except OSError:
            self.close()
            raise
        finally:
            theirs.close()
            os.close(commands_in)
        for mine in (self.commands, self.output):
            os.set_blocking(mine, False)
        self.held += FIRST_LINE
        self.first_token = self.send(PROBE)
        self.pending, self.held = self.held, self.pending  # it waits for nothing
        self.feed()

    def _become_bash(self, python, commands_in, status_out, output_out):
        try:
            os.setsid()
            # F_DUPFD above 9 first: one of the ends may itself be one of the numbers.
            import fcntl

            ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (commands_in, status_out, output_out)]
            for number, end in ((0, ends[0]), (3, ends[1]), (4, ends[2]), (1, ends[2]), (2, ends[2])):
                os.dup2(end, number)
            os.closerange(5, 1024)
            default_signals()
            try:
                os.chdir(WORKSPACE)
            except OSError:
                os.chdir("/")  # whoever closed the workspace to himself can open it again
            confine()
            fence()
            bash = next(path for path in ("/bin/bash", "/usr/bin/bash") if os.access(path, os.X_OK))
            os.execv(python, [python, "-I", "-S", "-c", LAUNCHER, bash, "--norc", "--noprofile", "-s"])
        except Exception as error:
            os.write(2, ("%s: %s\n" % (type(error).__name__, error)).encode())
        finally:
            os._exit(127)

    def close(self):
        import socket

        self.status.shutdown(socket.SHUT_RD)  # nothing more comes, of whoever has not ended yet either
        if self.read_message() is None and not self.bears_descriptors:
            self.status.close()
        else:  # what lies in there, unread, is closed with it
            close_elsewhere(self.status)
        for mine in (self.commands, self.output, self.printing):
            os.close(mine)

    def send(self, command):
        """Hand a command to bash, which takes it in its own time (`feed`); returns the token that its status will bear."""
        import fcntl

        fcntl.fcntl(self.printing, fcntl.F_SETFL, 0)  # a program may have made writes to it fail instead of wait
        token = os.urandom(8).hex().encode()
        self.held += script_of(command, token)
        if self.ready:
            self.release()
        return token

    def release(self):
        """Let the shell have what was held back until it was ready."""
        self.pending += self.held
        self.held.clear()
        self.feed()

    def become_ready(self):
        """It runs: what it starts from now on is killed for memory before PID 1 is."""
        self.ready = True
        try:
            with open("/proc/%d/oom_score_adj" % self.pid, "w") as file:
                file.write("1000")
        except OSError:
            pass  # it has ended, or this kernel has no such score
        self.release()

    def feed(self):
        """Write what the pipe takes now."""
        try:
            while self.pending:
                del self.pending[: os.write(self.commands, self.pending[:CHUNK_BYTES])]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self.pending.clear()  # it has ended, or has closed it: a deadline or its death will tell

    def read_output(self, into, bytes_max=4 * CHUNK_BYTES):
        """Take what is in the pipe."""
        while bytes_max > 0 and self.output in self.open:
            try:
                chunk = os.read(self.output, min(CHUNK_BYTES, bytes_max))
            except BlockingIOError:
                return
            if not chunk:
                self.open.discard(self.output)
            bytes_max -= len(chunk)
            into.add(chunk)

    def read_printed(self, into):
        """Take exactly what has been printed by now: a process in the background may go on printing."""
        import array
        import fcntl
        import termios

        waiting = array.array("i", [0])
        fcntl.ioctl(self.output, termios.FIONREAD, waiting)
        self.read_output(into, waiting[0])

    def read_status(self, token):
        """The exit status that the shell wrote for a command; None while there is none."""
        for _ in range(MESSAGES_MAX):
            message = self.read_message()
            if message is None:
                return None
            said, _, status = message.partition(b" ")
            if said == self.first_token and not self.ready:
                self.become_ready()
            if said == token and status.isdigit():
                return int(status)
        return None

    def read_message(self):
        """The next message of the shell's own; empty for one of another process, None where there is none."""
        import socket

        if self.status not in self.open:
            return None
        try:
            room = socket.CMSG_SPACE(CREDENTIALS.size)
            text, more, flags, _ = self.status.recvmsg(MESSAGE_BYTES_MAX, room, socket.MSG_PEEK)
            if flags & socket.MSG_CTRUNC:  # more than credentials
                self.end_for_descriptors()
                return None
            self.status.recv(MESSAGE_BYTES_MAX)
        except OSError:  # nothing there, or reset
            return None
        if not text and not more:
            self.open.discard(self.status)  # every process has closed it
            return None
        senders = [CREDENTIALS.unpack(data)[0] for _, kind, data in more if kind == socket.SCM_CREDENTIALS]
        return text if senders == [self.pid] else b""

    def end_for_descriptors(self):
        """Only the shell can have handed out its end of the socket."""
        self.bears_descriptors = True
        self.open.discard(self.status)
        if self.pid:
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has ended


def close_elsewhere(held):
    """Close a socket in a process that ends: such a one waits for nothing that it closes."""
    waiting, done = os.pipe()
    try:
        if os.fork() == 0:
            try:
                os.close(done)
                os.read(waiting, 1)  # until PID 1 has closed its own
            finally:
                os._exit(0)
        held.close()
    except OSError:
        held.detach()  # it stays open: a descriptor less is better than a wait
    finally:
        os.close(waiting)
        os.close(done)
