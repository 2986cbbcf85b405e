"""System calls that PID 1 refuses to itself and to everything that it starts, besides what the engine refuses.

The pages of the image's files are kept by the kernel once, for all containers of the host. Who drops them makes the next
container slow, and who can ask which of them are there reads what another one left. So both are refused, by a filter that
nobody can take off again (seccomp; it needs no privilege, and works on every engine, since it is set from inside). What
asks is refused as if the kernel did not know the call, which programs are prepared for. Advice to drop pages is taken and
not followed, as a kernel may do with advice: a program that gives it of its own files goes on, and one that gives it of
shared ones finds every page still there.

Filters of sockets are refused for the same reason: the kernel has one pool of the host's for the code of all filters that
were set without privilege, and when it is used up no sandbox can set its own.

Requests to devices, and options of sockets, by which the kernel loads modules are refused as if it did not know them: it
starts a program as the host's root for each, whether there is such a module or not. So are options for which it keeps what
no limit of a sandbox counts: keys of TCP's signatures, groups of addresses, labels of flows.
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
    "getsockopt": 209,
    "ioctl": 29,
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
    "getsockopt": 55,
    "ioctl": 16,
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
END = 0xFFFFFFFF
# Refused of ioctl, of whatever file, from and to (`linux/sockios.h`, `asm-generic/ioctls.h`): lines' disciplines, bridges,
# DLCI and VLAN. The kernel loads a module for each before it asks for a right.
IOCTL_REFUSED = ((0x5423, 0x5423), (0x8940, 0x8941), (0x8980, 0x8983), (0x89A0, 0x89A3))
SOL_SOCKET, SOL_IP, SOL_TCP, SOL_IPV6 = 1, 0, 6, 41
# Refused of setsockopt: a level, and options from and to.
SETSOCKOPT_REFUSED = {
    # `asm-generic/socket.h`: ATTACH_FILTER; ATTACH_BPF, ATTACH_REUSEPORT_CBPF and ..._EBPF.
    SOL_SOCKET: ((26, 26), (50, 52)),
    # `linux/in.h`: joined groups, and their sources; the packet filter's, for which Linux before 6.8 loads a module.
    SOL_IP: ((35, 48), (64, END)),
    # `linux/tcp.h`: MD5SIG; ULP, which leads to modules of ciphers where TLS is there already, and MD5SIG_EXT; keys of AO,
    # and what no kernel had when this was written.
    SOL_TCP: ((14, 14), (31, 32), (38, END)),
    # `linux/in6.h`: groups; ANYCAST; FLOWLABEL_MGR, of which a host has one pool; groups by the newer names.
    SOL_IPV6: ((20, 21), (27, 28), (32, 32), (42, 48)),
}
GETSOCKOPT_REFUSED = {SOL_IP: ((64, END),)}


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


def between(ranges, number):
    """Refuse where what is loaded lies in one of some ranges."""
    test = []
    for first, last in ranges:
        if last == END:
            test += [instruction(AT_LEAST, first, 0, 1)]
        else:
            test += [instruction(AT_LEAST, first, 0, 2), instruction(AT_LEAST, last + 1, 1, 0)]
        test += [refusal(number)]
    return test


def of_levels(refused):
    """Refuse options of a socket, as (level, option) are its second and third argument."""
    test = []
    for level, ranges in refused.items():
        body = [instruction(LOAD, argument_at(2)), *between(ranges, errno.ENOPROTOOPT)]
        test += [instruction(LOAD, argument_at(1)), instruction(EQUAL, level, 0, len(body)), *body]
    return test


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
    parts += some(numbers["setsockopt"], of_levels(SETSOCKOPT_REFUSED))
    parts += some(numbers["getsockopt"], of_levels(GETSOCKOPT_REFUSED))
    parts += some(numbers["ioctl"], [instruction(LOAD, argument_at(1)), *between(IOCTL_REFUSED, errno.ENOTTY)])
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
        *(("ioctl", errno.ENOTTY, (-1, value, 0)) for value in ends(IOCTL_REFUSED)),
        *options_tried("setsockopt", SETSOCKOPT_REFUSED),
        *options_tried("getsockopt", GETSOCKOPT_REFUSED),
    ]
    refused = {name for name, _, _ in tried}
    for name, expected, arguments in tried:
        ctypes.set_errno(0)
        found = libc.syscall(numbers[name], *(ctypes.c_long(value) for value in arguments))
        if (0 if found == 0 else ctypes.get_errno()) != expected:
            refused.discard(name)
    return sorted(refused)


def ends(ranges):
    """The first and the last of each range."""
    return [value for both in ranges for value in both]


def options_tried(name, refused):
    """As in `refused_calls`, the options of a socket at the ends of each range."""
    return [
        (name, errno.ENOPROTOOPT, (-1, level, option, 0, 0))
        for level, ranges in refused.items()
        for option in ends(ranges)
    ]
