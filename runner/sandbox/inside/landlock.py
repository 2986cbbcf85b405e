"""Where commands may write, and what they may reach of others: a third wall, on kernels that have Landlock (5.19 or newer).

A filter of system calls sees numbers, not paths. Landlock sees the files: a command reads and runs what the image holds,
and writes its own file systems; no device opens but the few that every program expects, so no pseudo-terminal is made,
whatever the engine shows. It also parts commands from PID 1: nothing in there can trace it, read what /proc has of its
memory, its descriptors and its environment, or (version 6) send it a signal. Needs no privilege, and works on every engine
that lets the calls through. Numbers and bits: `linux/landlock.h`.
"""

ADD_RULE, RESTRICT_SELF = 445, 446  # everywhere
PATH_BENEATH = 1  # LANDLOCK_RULE_PATH_BENEATH
# linux/landlock.h: rights to files and folders
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE, IOCTL_DEVICE = 1, 2, 4, 8, 1 << 14, 1 << 15
ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE  # the others are for folders
# linux/landlock.h: how many rights to files each version knows, in the order of their bits.
RIGHTS = {2: 14, 3: 15, 4: 15, 5: 16}
RIGHTS_NEWEST = 16  # linux/landlock.h
# linux/landlock.h
SCOPES_SINCE, ABSTRACT_SOCKETS, SIGNALS = 6, 1, 2  # what stays inside: connecting to sockets without a path, signals
WRITABLE = ("/workspace", "/tmp", "/dev/shm")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty")


def rules(known, own_entries):
    """(path, rights) of all that commands may do; nothing else is allowed, wherever it lies."""
    look = READ_FILE | READ_DIR | EXECUTE
    yield "/", READ_DIR
    for name in os.listdir("/"):
        if name not in ("dev", "proc"):
            yield "/" + name, look
    # Nothing is written there: who could lower the score by which the kernel chooses whom to end for memory, would have it
    # choose PID 1.
    yield "/proc", look | (WRITE_FILE | TRUNCATE if own_entries else 0)
    for path in DEVICES:
        yield path, ON_FILES
    for path in WRITABLE:
        yield path, known


def confine(own_entries=False):
    """Confine this process and all that it starts, for good; does nothing where the kernel cannot.

    With `own_entries` it may write what it has in /proc.
    Raises OSError where the kernel can and it was not done: nothing of a guest's may run then.
    """
    version = landlock_version()
    if not version:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long

    def call(number, *arguments):
        result = libc.syscall(number, *arguments)
        if result < 0:
            raise OSError(ctypes.get_errno(), "Landlock: " + os.strerror(ctypes.get_errno()))
        return result

    known = (1 << RIGHTS.get(version, RIGHTS_NEWEST)) - 1
    fields = [known]
    if version >= SCOPES_SINCE:
        fields += [0, ABSTRACT_SOCKETS | SIGNALS]  # 0: its ports are the sandbox's own
    attributes = struct.pack("=%dQ" % len(fields), *fields)
    ruleset = call(CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    for path, rights in rules(known, own_entries):
        try:
            at = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue  # what is not there, or cannot be reached, stays closed
        try:
            kept = rights & known & (-1 if os.path.isdir(path) else ON_FILES)
            call(ADD_RULE, ruleset, PATH_BENEATH, struct.pack("=Qi", kept, at), ctypes.c_uint32(0))
        finally:
            os.close(at)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    call(RESTRICT_SELF, ruleset, ctypes.c_uint32(0))
    os.close(ruleset)
