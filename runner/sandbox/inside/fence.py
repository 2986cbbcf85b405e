"""What commands and samples may not do to PID 1, which has their user id: a second filter, on what PID 1 starts and not on
itself.

Whoever lowers PID 1's priority, ties it to a CPU that is busy, or takes its descriptors, memory or CPU time from it,
makes a deadline late, or ends the sandbox: past a limit on its CPU time the kernel kills it, as otherwise only the host
can. All that is refused to be done to PID 1, or to everybody of a user or of another group; to itself, and to its own
processes, a guest may do what it likes. Secret memory, which cannot be taken from a process that is short of it, is
refused as a call that the kernel does not know.

Nor may a guest ask for a delegation (Linux 6.19): whoever then makes, renames or removes something in that folder, as
PID 1 does for a tool, waits until the holder gives it back. A lease on a file holds up nobody who opens it without blocking.
Nor may it say how long what it writes will live: the kernel notes that on the file itself, older ones on anybody's that can
be opened, where it outlives who said it, and a later process reads it.
"""

PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h
# Numbers of calls: `asm/unistd_64.h`, `asm-generic/unistd.h`.
FENCED_X86_64 = {
    "fcntl": 72,
    "setpriority": 141,
    "sched_setparam": 142,
    "sched_setscheduler": 144,
    "sched_setaffinity": 203,
    "ioprio_set": 251,
    "prlimit64": 302,
    "sched_setattr": 314,
}
FENCED_GENERIC = {
    "fcntl": 25,
    "ioprio_set": 30,
    "sched_setparam": 118,
    "sched_setscheduler": 119,
    "sched_setaffinity": 122,
    "setpriority": 140,
    "prlimit64": 261,
    "sched_setattr": 274,
}
MEMFD_SECRET = 447  # everywhere
# Their first argument is a process.
ON_A_PROCESS = ("sched_setparam", "sched_setscheduler", "sched_setaffinity", "prlimit64", "sched_setattr")
# Their first argument says what the second one is: here for a group, and for a user (linux/resource.h, linux/ioprio.h).
ON_MANY = {"setpriority": (1, 2), "ioprio_set": (2, 3)}
SERVER = 1  # PID 1
# linux/fcntl.h: F_SETDELEG, and F_SET_RW_HINT, F_SET_FILE_RW_HINT, which a kernel before 4.13 does not know.
SET_DELEGATION, SET_HINTS = 1024 + 16, (1024 + 12, 1024 + 14)


def not_on_the_server(index):
    """Refuse where an argument is PID 1."""
    return [instruction(LOAD, argument_at(index)), instruction(EQUAL, SERVER, 0, 1), refusal(errno.EPERM)]


def not_on_others(group, user):
    """Refuse what is for everybody of a user, for a group other than one's own, or for PID 1."""
    return [
        instruction(LOAD, argument_at(0)),
        instruction(EQUAL, user, 0, 1),
        refusal(errno.EPERM),
        instruction(EQUAL, group, 0, 3),
        instruction(LOAD, argument_at(1)),
        instruction(EQUAL, 0, 1, 0),
        refusal(errno.EPERM),
        *not_on_the_server(1),
    ]


def not_on_files():
    """Refuse a delegation, and hints, whatever file they are for."""
    test = [instruction(LOAD, argument_at(1)), instruction(EQUAL, SET_DELEGATION, 0, 1), refusal(errno.EPERM)]
    for command in SET_HINTS:
        test += [instruction(EQUAL, command, 0, 1), refusal(errno.EINVAL)]
    return test


def fence_program(architecture, numbers):
    """The filter as bytes."""
    parts = [*opening(architecture), *whole(MEMFD_SECRET)]
    for name in ON_A_PROCESS:
        parts += some(numbers[name], not_on_the_server(0))
    for name, (group, user) in ON_MANY.items():
        parts += some(numbers[name], not_on_others(group, user))
    parts += some(numbers["fcntl"], not_on_files())
    return b"".join([*parts, instruction(RETURN, ALLOW)])


def fence():
    """Put the fence around this process and all that it starts, for good.

    Raises OSError where that cannot be done: nothing of a guest's may run then.
    """
    found = machine()
    if found is None:
        raise OSError(errno.ENOSYS, "no filter is known for this machine")
    architecture, numbers = found
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    calls = of_machine(FENCED_X86_64, FENCED_GENERIC)
    if not set_filter(libc, numbers, fence_program(architecture, calls)):
        raise OSError(ctypes.get_errno(), "the filter of system calls could not be set")
