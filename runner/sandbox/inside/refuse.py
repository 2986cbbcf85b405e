"""System calls that PID 1 refuses to itself and to everything that it starts, besides what the engine refuses.

The pages of the image's files are kept by the kernel once, for all containers of the host. Who drops them makes the next
container slow, and who can ask which of them are there reads what another one left. So both are refused, by a filter that
nobody can take off again (seccomp; it needs no privilege, and works on every engine, since it is set from inside). What
asks is refused as if the kernel did not know the call, which programs are prepared for. Advice to drop pages is taken and
not followed, as a kernel may do with advice: a program that gives it of its own files goes on, and one that gives it of
shared ones finds every page still there.

Filters of sockets are refused for the same reason: the kernel has one pool of the host's for the code of all filters that
were set without privilege, and when it is used up no sandbox can set its own.
"""

# linux/prctl.h, linux/seccomp.h
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW = 1, 4
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
# A filter is a program of 8-byte instructions (classic BPF) over the call's number, architecture and arguments.
LOAD, AND, EQUAL, AT_LEAST, RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
NUMBER_AT, ARCHITECTURE_AT = 0, 4
X32_BIT = 0x40000000

# The generic numbers are those of every architecture that came after 2011 (arm64, riscv64).
GENERIC = {
    "posix_fadvise": 223,
    "readahead": 213,
    "mincore": 232,
    "madvise": 233,
    "preadv2": 286,
    "io_setup": 0,
    "setsockopt": 208,
    "seccomp": 277,
}
X86_64 = {
    "posix_fadvise": 221,
    "readahead": 187,
    "mincore": 27,
    "madvise": 28,
    "preadv2": 327,
    "io_setup": 206,
    "setsockopt": 54,
    "seccomp": 317,
}
NEW_EVERYWHERE = {"process_madvise": 440, "cachestat": 451, "io_uring_setup": 425}
# uname's machine: its number in `linux/audit.h`, its calls.
MACHINES = {
    "x86_64": (0xC000003E, X86_64),
    "aarch64": (0xC00000B7, GENERIC),
    "riscv64": (0xC00000F3, GENERIC),
}

# Kept of posix_fadvise: NORMAL, RANDOM, SEQUENTIAL, and WILLNEED, which does no more than a read. Past it are DONTNEED and
# NOREUSE, by which pages go.
FADVISE_KEPT_MAX = 3
# Not followed of madvise: COLD and PAGEOUT; refused: COLLAPSE, which is no advice. They move a file's pages for everybody.
# What allocators need stays.
MADVISE_NOT_FOLLOWED, MADVISE_REFUSED = (20, 21), (25,)
NOT_FOLLOWED = 0  # the error number of a call that succeeds and does nothing
# Kept of preadv2: HIPRI, DSYNC, SYNC, APPEND; NOWAIT asks whether pages are there, DONTCACHE drops them.
PREADV2_REFUSED = 0xFFFFFFFF & ~0x17
# Of a socket's own options (`asm-generic/socket.h`): ATTACH_FILTER, ATTACH_BPF, ATTACH_REUSEPORT_CBPF and ..._EBPF.
SOL_SOCKET, ATTACHES = 1, (26, 50, 51, 52)


def instruction(code, value, if_true=0, if_false=0):
    return struct.pack("=HBBI", code, if_true, if_false, value)


def refusal(number):
    return instruction(RETURN, ERRNO | number)


def argument_at(index):
    """Where the low half of an argument is; every machine here is little-endian."""
    return 16 + 8 * index


def whole(number):
    """Refuse a call, whatever its arguments."""
    return [instruction(EQUAL, number, 0, 1), refusal(errno.ENOSYS)]


def some(number, test):
    """Instructions for one call alone: skipped for every other; the number is loaded before and after."""
    body = [*test, instruction(RETURN, ALLOW)]
    return [instruction(EQUAL, number, 0, len(body)), *body]


def opening(architecture):
    """The instructions that every filter begins with; then the call's number is loaded."""
    return [
        instruction(LOAD, ARCHITECTURE_AT),
        instruction(EQUAL, architecture, 1, 0),
        refusal(errno.ENOSYS),  # another architecture's calls have other numbers
        instruction(LOAD, NUMBER_AT),
        instruction(AT_LEAST, X32_BIT, 0, 1),
        refusal(errno.ENOSYS),
    ]


def filter_program(architecture, numbers):
    """The filter as bytes."""
    parts = opening(architecture)
    for name in ("readahead", "mincore", "process_madvise", "cachestat", "io_uring_setup", "io_setup"):
        parts += whole(numbers[name])
    parts += some(
        numbers["posix_fadvise"],
        [
            instruction(LOAD, argument_at(3)),
            instruction(AT_LEAST, FADVISE_KEPT_MAX + 1, 0, 1),
            refusal(NOT_FOLLOWED),
        ],
    )
    advice = [instruction(LOAD, argument_at(2))]
    for value in MADVISE_NOT_FOLLOWED:
        advice += [instruction(EQUAL, value, 0, 1), refusal(NOT_FOLLOWED)]
    for value in MADVISE_REFUSED:
        advice += [instruction(EQUAL, value, 0, 1), refusal(errno.EINVAL)]
    parts += some(numbers["madvise"], advice)
    parts += some(
        numbers["preadv2"],
        [
            instruction(LOAD, argument_at(5)),
            instruction(AND, PREADV2_REFUSED),
            instruction(EQUAL, 0, 1, 0),
            refusal(errno.EOPNOTSUPP),
        ],
    )
    options = [instruction(LOAD, argument_at(2))]
    for value in ATTACHES:
        options += [instruction(EQUAL, value, 0, 1), refusal(errno.ENOPROTOOPT)]
    parts += some(
        numbers["setsockopt"],
        [instruction(LOAD, argument_at(1)), instruction(EQUAL, SOL_SOCKET, 0, len(options)), *options],
    )
    return b"".join([*parts, instruction(RETURN, ALLOW)])


class Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def machine():
    """This machine's architecture and its numbers of calls; None for one that is not known here."""
    found = MACHINES.get(os.uname().machine)
    return found and (found[0], {**found[1], **NEW_EVERYWHERE})


def refuse_calls():
    """Set the filter, on this process and all that it starts; returns the names of the calls that are refused now."""
    found = machine()
    if found is None:
        return []
    architecture, numbers = found
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    set_filter(libc, numbers, filter_program(architecture, numbers))
    return refused_calls(libc, numbers)


def set_filter(libc, numbers, code):
    """Set a filter on this process and all that it starts; whether the kernel took it."""
    program = Program(len(code) // 8, code)
    # SPEC_ALLOW: no slower branches for what is timed; not every kernel and runtime knows it.
    flags = (SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW)
    if libc.syscall(numbers["seccomp"], *flags, ctypes.byref(program)) == 0:
        return True
    return libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0


def refused_calls(libc, numbers):
    """Which calls are refused, tried with arguments on which a kernel does nothing, and answers otherwise.

    The first number is the error's; advice that is not followed gives none where a kernel would complain.
    """
    tried = [
        ("posix_fadvise", NOT_FOLLOWED, (-1, 0, 0, 4)),
        ("readahead", errno.ENOSYS, (-1, 0, 0)),
        ("mincore", errno.ENOSYS, (0, 0, 0)),
        ("cachestat", errno.ENOSYS, (-1, 0, 0, 0)),
        ("process_madvise", errno.ENOSYS, (-1, 0, 0, 0, 0)),
        ("io_uring_setup", errno.ENOSYS, (0, 0)),
        ("io_setup", errno.ENOSYS, (0, 0)),
        ("madvise", NOT_FOLLOWED, (1, 0, 21)),
        ("preadv2", errno.EOPNOTSUPP, (-1, 0, 0, 0, 0, 8)),
        ("setsockopt", errno.ENOPROTOOPT, (-1, SOL_SOCKET, ATTACHES[0], 0, 0)),
    ]
    refused = []
    for name, expected, arguments in tried:
        ctypes.set_errno(0)
        found = libc.syscall(numbers[name], *(ctypes.c_long(value) for value in arguments))
        if (0 if found == 0 else ctypes.get_errno()) == expected:
            refused.append(name)
    return sorted(refused)
