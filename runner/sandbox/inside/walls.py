"""What PID 1 sees of its walls before anything of a guest's runs: limits, rights, filters, mounts.

Each call that the engine's filter must refuse is tried with arguments on which a kernel does nothing, and answers
otherwise. This side only tells; the host compares it with what it asked for.
"""

# A call: its number on x86_64, on what came after 2011, the error of a refusal, harmless arguments.
# Numbers: `asm/unistd_64.h`, `asm-generic/unistd.h`.
UNKNOWN, DENIED, NOT_A_PIPE, NOT_KEPT = errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.ENOTSUP
WALLED_CALLS = {
    "add_key": (248, 217, UNKNOWN, (0, 0, 0, 0, 0)),
    "bpf": (321, 280, UNKNOWN, (-1, 0, 0)),
    "chroot": (161, 51, UNKNOWN, (0,)),
    "clock_adjtime": (305, 266, UNKNOWN, (-1, 0)),
    "clone3": (435, 435, UNKNOWN, (0, 0)),
    "fanotify_init": (300, 262, UNKNOWN, (-1, 0)),
    "finit_module": (313, 273, UNKNOWN, (-1, 0, 0)),
    "fsetxattr": (190, 7, NOT_KEPT, (-1, 0, 0, 0, 0)),
    "fsopen": (430, 430, UNKNOWN, (0, -1)),
    "io_uring_enter": (426, 426, UNKNOWN, (-1, 0, 0, 0, 0, 0)),
    "kcmp": (312, 272, UNKNOWN, (-1, -1, 0, 0, 0)),
    "keyctl": (250, 219, UNKNOWN, (-1, 0, 0, 0, 0)),
    "lsetxattr": (189, 6, NOT_KEPT, (0, 0, 0, 0, 0)),
    "memfd_create huge pages": (319, 279, DENIED, (0, 4)),
    "memfd_secret": (447, 447, UNKNOWN, (-1,)),
    "mmap huge pages": (9, 222, DENIED, (0, 0, 0, 0x40022, -1, 0)),
    "mount": (165, 40, UNKNOWN, (0, 0, 0, 0, 0)),
    "mount_setattr": (442, 442, UNKNOWN, (-1, 0, 0, 0, 0)),
    "move_pages": (279, 239, UNKNOWN, (-1, 0, 0, 0, 0, 0)),
    "name_to_handle_at": (303, 264, UNKNOWN, (-1, 0, 0, 0, 0)),
    "open_by_handle_at": (304, 265, UNKNOWN, (-1, 0, 0)),
    "open_tree": (428, 428, UNKNOWN, (-1, 0, -1)),
    "perf_event_open": (298, 241, UNKNOWN, (0, 0, -1, -1, 0)),
    "pidfd_getfd": (438, 438, UNKNOWN, (-1, 0, 0)),
    "pivot_root": (155, 41, UNKNOWN, (0, 0)),
    "process_vm_readv": (310, 270, UNKNOWN, (-1, 0, 0, 0, 0, 0)),
    "process_vm_writev": (311, 271, UNKNOWN, (-1, 0, 0, 0, 0, 0)),
    "ptrace": (101, 117, UNKNOWN, (-1, 0, 0, 0)),
    "request_key": (249, 218, UNKNOWN, (0, 0, 0, 0)),
    "sendfile": (40, 71, NOT_A_PIPE, (-1, -1, 0, 1)),
    "setns": (308, 268, UNKNOWN, (-1, 0)),
    "setxattr": (188, 5, NOT_KEPT, (0, 0, 0, 0, 0)),
    "socket alg": (41, 198, DENIED, (38, 5, 0)),
    "socket bluetooth": (41, 198, DENIED, (31, 1, 0)),
    "socket inet, rare protocol": (41, 198, DENIED, (2, 1, 132)),
    "socket inet, rare type": (41, 198, DENIED, (2, 6, 0)),
    "socket inet6, rare protocol": (41, 198, DENIED, (10, 1, 132)),
    "socket netlink, not routes": (41, 198, DENIED, (16, 3, 15)),
    "socket packet": (41, 198, DENIED, (17, 3, 0)),
    "socket vsock": (41, 198, DENIED, (40, 1, 0)),
    "splice": (275, 76, NOT_A_PIPE, (-1, 0, -1, 0, 1, 0)),
    "syslog": (103, 116, UNKNOWN, (-1, 0, 0)),
    "tee": (276, 77, NOT_A_PIPE, (-1, -1, 1, 0)),
    "umount2": (166, 39, UNKNOWN, (0, -1)),
    "unshare": (272, 97, UNKNOWN, (0,)),
    "userfaultfd": (323, 282, UNKNOWN, (-1,)),
    "vmsplice": (278, 75, NOT_A_PIPE, (-1, 0, 0, 0)),
}
# Where a sandbox may write: its own file systems, each with a size; message queues are bounded by a limit (none).
OWN_MOUNTS = ("/workspace", "/tmp", "/dev/shm", "/dev/mqueue")


def walled_calls():
    """Names of the calls that the engine's filter refuses."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    refused = []
    for name, (x86_64, generic, expected, arguments) in WALLED_CALLS.items():
        ctypes.set_errno(0)
        found = libc.syscall(of_machine(x86_64, generic), *(ctypes.c_long(value) for value in arguments))
        if found == -1 and ctypes.get_errno() == expected:
            refused.append(name)
        elif name.startswith("socket ") and found >= 0:
            os.close(found)
    return sorted(refused)


def mounts():
    """(path, options) of every mount, the uppermost of a path last; None where they cannot be listed."""
    try:
        with open("/proc/self/mountinfo") as file:
            return [(line.split(" ")[4], line.split(" ")[5].split(",")) for line in file]
    except OSError:
        return None


def root_is_writable():
    """Whether the root is mounted to be written: nobody may write to its top, and everybody to some of its folders."""
    at_root = [options for path, options in mounts() or () if path == "/"]
    return not at_root or "rw" in at_root[-1]


def writable_mounts():
    """Every mount that this user could write to, besides the sandbox's own; None where they cannot be listed."""
    listed = mounts()
    if listed is None:
        return None
    found = {path for path, options in listed if "rw" in options and os.access(path, os.W_OK)}
    # What is hidden from guests is covered with /dev/null, which takes everything and keeps nothing.
    return sorted(path for path in found - set(OWN_MOUNTS) if os.path.isdir(path) or os.path.isfile(path))


# What gVisor's /proc/version says, in every release (pkg/sentry/kernel/version.go): it has no other name for itself inside.
GVISOR_BUILT = "Sun Jan 10 15:06:54 PST 2016"


def is_gvisor():
    """Whether this kernel is gVisor's, which keeps no files of control groups and shows less of a process."""
    try:
        with open("/proc/version") as file:
            return GVISOR_BUILT in file.read()
    except OSError:
        return False


# linux/landlock.h; the number is the same everywhere. Version 1 lets nobody rename from one folder to another, which
# programs need: it counts as none.
CREATE_RULESET, ONLY_VERSION, LANDLOCK_MIN = 444, 1, 2


def landlock_version():
    """Of the kernel's Landlock, as far as the engine lets it through; 0 for none that is of use here."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    found = libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(ONLY_VERSION))
    return found if found >= LANDLOCK_MIN else 0


def first_look():
    """What is seen before anything of a guest's runs; sets the filter of `refuse.py`, which must not hide the engine's."""
    engine_filter = status_line("Seccomp")
    walled, writable = walled_calls(), writable_mounts()
    seen = seen_from_inside(refuse_calls())
    seen.update(seccomp=engine_filter, walled=walled, writable_mounts=writable, gvisor=is_gvisor())
    seen["landlock"] = landlock_version()
    # gVisor keeps a root of its own above the image's, whatever it says of how that is mounted.
    seen["root_writable"] = seen["root_writable"] or (not seen["gvisor"] and root_is_writable())
    return seen
