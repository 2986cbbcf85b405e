"""Every process of the sandbox but PID 1: reaped, ended, stopped, counted."""


def kill_everything():
    """End every process but this one. No process and no thread is started for it: under a fork bomb neither could be."""
    try:
        os.kill(-1, signal.SIGKILL)
    except ProcessLookupError:
        pass
    reap()


# (pid, status) of the dead that nobody has asked about: whoever reaps meets the shell, too.
DEAD = []


def reap():
    """Collect the dead into `DEAD`."""
    DEAD.extend(reaped())


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
