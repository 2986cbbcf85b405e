"""Every process of the sandbox but PID 1: reaped, ended, stopped, counted."""


def kill_everything():
    """End every process but this one. No process and no thread is started for it: under a fork bomb neither could be."""
    try:
        os.kill(-1, signal.SIGKILL)
    except ProcessLookupError:
        pass
    reap()


# States in which nothing runs any more (proc(5)); the last one is ours.
GONE = "gone"
ENDED = ("Z", "X", GONE)

# (pid, status) of the dead that nobody has asked about: whoever reaps meets the shell, too.
DEAD = []


def reap():
    """Collect the dead into `DEAD`."""
    DEAD.extend(reaped())


def others():
    """(pid, threads) of every other process that has not ended: (thread, state) of those of its threads that have not.

    What /proc says of a process is its first thread's state: that one may have ended, or wait, while the others run.
    """
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        state, count = state_of("/proc/" + name)
        threads = [(int(name), state)] if count == 1 else threads_of("/proc/%s/task" % name)
        threads = [(thread, state) for thread, state in threads if state not in ENDED]
        if threads:
            found.append((int(name), threads))
    return found


def state_of(folder):
    """(state, number of threads) of a process or a thread, by its folder in /proc."""
    try:
        with open(folder + "/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return fields[0].decode(), int(fields[17])  # the third and the twentieth (proc(5))
    except (OSError, IndexError):
        return GONE, 1


def threads_of(folder):
    """[(thread, state)] by the folder of a process's threads."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return [(int(name), state_of(folder + "/" + name)[0]) for name in names]


def wait_until(reached, seconds):
    """Poll until the condition holds; whether it did. One that cannot be looked at (no descriptor is left) does not hold."""

    def holds():
        try:
            return reached()
        except OSError:
            return False

    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True


ENDING_S = 5.0  # chosen: far over what the end of many processes takes
# chosen: far below what a deadline may be late. Who is killed inside a call that no signal cuts short (a read of gigabytes,
# say) ends with that call; nothing of its own runs any more.
DYING_S = 0.25


def end_everything(seconds=ENDING_S):
    """Kill and reap until nobody is left; whether that was reached in this time."""

    def nobody_left():
        kill_everything()
        if others():
            return False
        reap()  # whoever ended since: a zombie has a place among the processes still
        return True

    return wait_until(nobody_left, seconds)


# Uninterruptible counts as stopped: its SIGSTOP waits, and nothing of the guest's runs before it (a vfork's parent, say).
STANDING = ("T", "t", "D")
# The call tgkill on x86_64, and on what came after 2011 (`asm/unistd_64.h`, `asm-generic/unistd.h`).
TGKILL_X86_64, TGKILL_GENERIC = 234, 131


def stop_thread(pid, thread):
    """SIGSTOP to one thread, with which its process stops: one to the process waits where its first thread waits."""
    ctypes.CDLL(None).syscall(of_machine(TGKILL_X86_64, TGKILL_GENERIC), pid, thread, int(signal.SIGSTOP))


def awake():
    """[(pid, thread)] of what does not stand."""
    return [(pid, thread) for pid, threads in others() for thread, state in threads if state not in STANDING]


def stop_everything():
    """SIGSTOP to everyone until /proc shows all stopped; whether that was reached."""

    def all_stopped():
        try:
            os.kill(-1, signal.SIGSTOP)
        except ProcessLookupError:
            pass
        reap()
        running = awake()
        for pid, thread in running:
            stop_thread(pid, thread)
        return not running

    return wait_until(all_stopped, 5.0)


def kill_whoever_woke():
    """A frozen guest may wake itself (a timer that sends SIGCONT): stopping it again would be a race."""
    for pid in {pid for pid, _ in awake()}:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def continue_everything():
    try:
        os.kill(-1, signal.SIGCONT)
    except ProcessLookupError:
        pass
