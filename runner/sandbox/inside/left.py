"""What processes leave in a container that go on without them: files, marks of folders, and what the kernel keeps by itself.

Asked for and removed by PID 1 once it is alone.
"""

# Where files can be left (`OWN_MOUNTS` in walls.py); of POSIX message queues nobody can make one.
LEFT_IN, FOLDER_MODE = ("/workspace", "/tmp", "/dev/shm"), 0o700
NO_MARKS = (errno.ENOTSUP, errno.ENOSYS, errno.ENOTTY)
# linux/fs.h: flags of a file (FS_IOC_GETFLAGS, FS_IOC_SETFLAGS where a word has 64 bits), and those that can be set.
GET_FLAGS, SET_FLAGS, SETTABLE = 0x80086601, 0x40086602, 0x000380FF
# Tables of System V (proc(5)) whose second column is an id: shared memory, semaphores, message queues.
SYSTEM_V, IPC_RMID = ("shm", "sem", "msg"), 0  # linux/ipc.h
CONNECTIONS = ("/proc/self/net/tcp", "/proc/self/net/tcp6")


def clear(folder):
    """Remove all that is in a folder, and what can be written about it; nobody else is there any more."""
    if os.stat(folder).st_uid == os.getuid():  # of another's anybody who may write there sets the time alone
        mark_nothing(folder)
    empty(folder)
    renew_time(folder)


def renew_time(path):
    """Have the times of what can be written say now, as whoever may write it can: a guest's moment is a mark, too."""
    try:
        os.utime(path)
    except OSError:
        pass  # no guest can either: it has PID 1's user, and no more rights


def renew_devices():
    """The same for the devices that a guest can write, which PID 1 and all guests share."""
    for name in os.listdir("/dev"):
        renew_time("/dev/" + name)


def empty(top):
    """Remove all that is in a folder, however deep."""
    prefix, count = os.path.join(top, os.urandom(16).hex()), 0
    while True:
        entries = list(os.scandir(top))
        if not entries:
            break
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            os.chmod(entry.path, 0o700)
            for inner in list(os.scandir(entry.path)):
                if inner.is_dir(follow_symlinks=False):
                    os.chmod(inner.path, 0o700)
                os.rename(inner.path, "%s%d" % (prefix, count))  # no deeper than this, however deep it was
                count += 1
            os.rmdir(entry.path)


def mark_nothing(folder):
    """Undo what a guest can write about a folder of its own, but for its time."""
    os.chmod(folder, FOLDER_MODE)
    unset_flags(folder)
    try:
        names = os.listxattr(folder)
    except OSError as error:
        if error.errno not in NO_MARKS:
            raise
        return
    for name in names:
        os.removexattr(folder, name)


def unset_flags(folder):
    """Take off the flags of a folder, of which its owner may set some (`chattr`)."""
    import fcntl

    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flags = struct.unpack("=q", fcntl.ioctl(opened, GET_FLAGS, bytes(8)))[0]
        if flags & SETTABLE:
            fcntl.ioctl(opened, SET_FLAGS, struct.pack("=q", flags & ~SETTABLE))
    except OSError as error:
        if error.errno not in NO_MARKS:
            raise
    finally:
        os.close(opened)


def lines_below_title(path):
    """The lines of a table of the kernel's; none where the kernel has no such table."""
    try:
        with open(path) as table:
            return table.read().splitlines()[1:]
    except FileNotFoundError:
        return []


def system_v():
    """[(kind, id)] of what outlives every process: shared memory, semaphores and message queues of System V."""
    return [(kind, int(line.split()[1])) for kind in SYSTEM_V for line in lines_below_title("/proc/sysvipc/" + kind)]


def remove_system_v(found):
    """Remove what `system_v` has found, as far as that can be done."""
    libc = ctypes.CDLL(None, use_errno=True)
    for kind, number in found:
        if kind == "shm":
            libc.shmctl(number, IPC_RMID, None)
        elif kind == "sem":
            libc.semctl(number, 0, IPC_RMID)
        else:
            libc.msgctl(number, IPC_RMID, None)


def connections():
    """How many TCP connections the kernel still knows, ended ones too: it keeps their ports for a minute."""
    return sum(len(lines_below_title(path)) for path in CONNECTIONS)
