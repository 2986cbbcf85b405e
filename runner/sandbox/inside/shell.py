"""The launcher and the persistent bash.

PID 1 is non-dumpable and its forks are too, so that they cannot write their own oom_score_adj. It therefore starts bash
through a small program that it execs first and that holds no secret: that one raises its oom score, sets its limits,
and execs bash. (A filter of system calls and of paths has its place there as well.)

The bash reads NUL-terminated commands on descriptor 3 and writes each exit status on 4; both are hidden from what the
commands start. Commands share one shell: directory, variables and functions stay.
"""

LAUNCHER = r"""
import os, resource, sys
def limit(which, value):
    try:
        resource.setrlimit(which, (value, value))
    except (OSError, ValueError):
        pass
try:
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
os.execv(sys.argv[1], sys.argv[1:])
"""

# The status is written by the shell itself, after the command's foreground processes have ended: all that they
# printed is in the pipe by then.
BASH_LOOP = (
    "while IFS= read -r -d '' -u 3 __command; do "
    'eval "$__command" </dev/null 3<&- 4>&-; printf "%d\\n" "$?" >&4; done'
)
CHUNK_BYTES = 65536  # a pipe's buffer on Linux
DRAIN_READS_MAX = 64  # chosen: what is in the pipe when a command ends, and no more


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
    """One bash and the three pipes to it."""

    def __init__(self, python):
        commands_in, self.commands = os.pipe()
        self.status, status_out = os.pipe()
        self.output, output_out = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self._become_bash(python, commands_in, status_out, output_out)
        for used in (commands_in, status_out, output_out):
            os.close(used)
        for mine in (self.commands, self.status, self.output):
            os.set_blocking(mine, False)
        self.status_text = b""

    def _become_bash(self, python, commands_in, status_out, output_out):
        try:
            os.setsid()
            # F_DUPFD above 9 first: one of the pipe ends may itself be 3 or 4.
            import fcntl

            ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (commands_in, status_out, output_out)]
            os.dup2(ends[2], 1)
            os.dup2(ends[2], 2)
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)
            os.closerange(5, 1024)
            for number in signal.valid_signals():
                if number not in (signal.SIGKILL, signal.SIGSTOP):
                    try:
                        signal.signal(number, signal.SIG_DFL)
                    except (OSError, ValueError):
                        pass
            os.chdir(WORKSPACE)
            bash = next(path for path in ("/bin/bash", "/usr/bin/bash") if os.access(path, os.X_OK))
            os.execv(python, [python, "-I", "-S", "-c", LAUNCHER, bash, "--norc", "--noprofile", "-c", BASH_LOOP])
        finally:
            os._exit(127)

    def close(self):
        for mine in (self.commands, self.status, self.output):
            os.close(mine)

    def read_output(self, into, reads_max=DRAIN_READS_MAX):
        """Take what is in the pipe now."""
        for _ in range(reads_max):
            try:
                chunk = os.read(self.output, CHUNK_BYTES)
            except BlockingIOError:
                return
            if not chunk:
                return
            into.add(chunk)

    def read_status(self):
        """The exit status that the shell wrote; None while there is none."""
        try:
            self.status_text += os.read(self.status, 64)
        except BlockingIOError:
            return None
        line, newline, rest = self.status_text.partition(b"\n")
        if not newline:
            return None
        self.status_text = rest
        return int(line)


def kill_everything():
    """End every process but this one. No process and no thread is started for it: under a fork bomb neither could be."""
    try:
        os.kill(-1, signal.SIGKILL)
    except ProcessLookupError:
        pass
    reap()


def reap():
    """Collect the dead; returns their (pid, status) pairs."""
    dead = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return dead
        if pid == 0:
            return dead
        dead.append((pid, status))


def others():
    """(pid, state) of every other process that is not a zombie."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open("/proc/%s/stat" % name, "rb") as file:
                state = file.read().rpartition(b")")[2].split()[0].decode()
        except (OSError, IndexError):
            continue
        if state not in ("Z", "X"):
            found.append((int(name), state))
    return found


def wait_until(reached, seconds):
    """Poll until the condition holds; whether it did."""
    end = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True


def end_everything():
    """Kill and reap until nobody is left; whether that was reached."""

    def nobody_left():
        kill_everything()
        return not others()

    return wait_until(nobody_left, 5.0)


# Uninterruptible counts as stopped: its SIGSTOP waits, and nothing of the guest's runs before it (a vfork's parent, say).
STANDING = ("T", "t", "D")


def stop_everything():
    """SIGSTOP to everyone until /proc shows all stopped; whether that was reached."""

    def all_stopped():
        try:
            os.kill(-1, signal.SIGSTOP)
        except ProcessLookupError:
            pass
        reap()
        return all(state in STANDING for _, state in others())

    return wait_until(all_stopped, 5.0)


def kill_whoever_woke():
    """A frozen guest may wake itself (a timer that sends SIGCONT): stopping it again would be a race."""
    for pid, state in others():
        if state not in STANDING:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def continue_everything():
    try:
        os.kill(-1, signal.SIGCONT)
    except ProcessLookupError:
        pass


def memory_kills():
    """How many processes the kernel has killed here for memory; None where it does not say."""
    for path, key in (
        ("/sys/fs/cgroup/memory/memory.oom_control", "oom_kill"),
        ("/sys/fs/cgroup/memory.events", "oom_kill"),
    ):
        try:
            with open(path) as file:
                for line in file:
                    name, _, value = line.partition(" ")
                    if name == key:
                        return int(value)
        except (OSError, ValueError):
            continue
    return None
