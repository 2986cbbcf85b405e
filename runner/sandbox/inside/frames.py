"""The wire as seen from inside, and what PID 1 does to itself before anything else.

A frame is `head length, body length, kind, sequence` (13 bytes, big endian), then the head (a JSON object) and the body
(raw bytes). Where this text came with a key, a tag follows; no process that is started from here inherits it past its exec.
"""

import ctypes
import errno
import hmac
import json
import os
import select
import signal
import struct
import sys
import time

HEADER = struct.Struct("!IIBI")
HEAD_BYTES_MAX = 64 * 1024  # chosen: heads are some hundred bytes
REQUEST_BODY_BYTES_MAX = 512 * 1024 * 1024  # chosen: the largest inputs that a task may declare

# As in runner/sandbox/wire.py.
REQUEST, REPLY, HELLO, READY, ANSWER, FAILED, DATA, TAKEN = 1, 2, 3, 4, 5, 6, 7, 8

# Statuses of a sample's PID 1 that say more than its worker's would, as in runner/sandbox/container.py. chosen: some that
# programs hardly end with; one that does is told as 1.
HOST_GONE, WORKER_KILLED = 75, 76
# The same where the kernel killed for memory: the worker, or another process, after which the worker ended in whatever way.
MEMORY_KILLED, MEMORY_BESIDE = 77, 78
# The same where it killed some process though this sandbox was far from its own limit: the host was short of memory.
HOST_SHORT = 79
# As in runner/sandbox/cgroup.py, which says why.
NEAR_LIMIT_SHARE = 7 / 8

TAG_BYTES = 16  # as in runner/sandbox/wire.py
WIRE_KEY = globals().get("WIRE_KEY", b"")  # a line before this text sets it

PR_SET_DUMPABLE = 4  # linux/prctl.h
REAPED_MAX = 10_000  # chosen: far over any limit on processes; takes 50 ms
# The call rt_sigaction on x86_64, and on what came after 2011 (`asm/unistd_64.h`, `asm-generic/unistd.h`).
SIGACTION_X86_64, SIGACTION_GENERIC = 13, 134
SIGNAL_MAX, SIGNAL_SET_BYTES = 64, 8  # asm-generic/signal.h


class Wire:
    """Frames over two descriptors that no child inherits."""

    def __init__(self, reading, writing):
        self.reading, self.writing, self.buffer = reading, writing, bytearray()
        self.count_read = self.count_written = 0

    def tag(self, direction, count, *parts):
        """What a frame bears where there is a key; it comes in parts, since one more copy of a large body is too many."""
        if not WIRE_KEY:
            return b""
        made = hmac.new(WIRE_KEY, direction + count.to_bytes(8, "big"), "sha256")
        for part in parts:
            made.update(part)
        return made.digest()[:TAG_BYTES]

    def read_exactly(self, count):
        """`count` bytes, or None at the end of the stream."""
        parts = []
        while count:
            part = os.read(self.reading, min(count, 1 << 20))
            if not part:
                return None
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def read(self):
        """The next frame as (kind, sequence, head, body), or None at the end; waits for it."""
        header = self.read_exactly(HEADER.size)
        if header is None:
            return None
        head_bytes, body_bytes, kind, sequence = HEADER.unpack(header)
        if head_bytes > HEAD_BYTES_MAX or body_bytes > REQUEST_BODY_BYTES_MAX:
            return None
        head, body = self.read_exactly(head_bytes), self.read_exactly(body_bytes)
        if head is None or body is None:
            return None
        self.count_read += 1
        tag = self.tag(b">", self.count_read, header, head, body)
        if tag != (self.read_exactly(TAG_BYTES) if WIRE_KEY else b""):
            return None  # not the host's: the wire is of no use any more
        return kind, sequence, json.loads(head or b"{}"), body

    def write(self, kind, sequence, head, body=b""):
        """Send one frame, whole."""
        # As few bytes as a character takes: with most of them escaped, what fits into a head would be too long for one.
        text = json.dumps(head, ensure_ascii=False).encode("utf-8", "backslashreplace")
        header = HEADER.pack(len(text), len(body), kind, sequence) + text
        self.count_written += 1
        for part in (header, body, self.tag(b"<", self.count_written, header, body)):
            self.send(part)

    def send(self, part):
        view = memoryview(part)
        while view:
            view = view[os.write(self.writing, view) :]


def answer_one(server):
    """Answer the host's next request on the server's wire; False once the host is gone."""
    frame = server.wire.read()
    if frame is None:
        return False
    _kind, sequence, head, body = frame
    getattr(server, "do_" + head["op"])(sequence, head, body)
    return True


def take_over():
    """Make this process fit to be PID 1; returns its `Wire`.

    The wire moves to high, close-on-exec descriptors, 0 becomes /dev/null and 1 becomes 2, so that neither a child nor a
    stray print can speak on it. Every signal but SIGCHLD is ignored: a stock Python PID 1 dies of one SIGINT.
    """
    import fcntl

    reading = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 200)
    writing = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 200)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.dup2(2, 1)
    for number in signal.valid_signals():
        if number not in (signal.SIGCHLD, signal.SIGKILL, signal.SIGSTOP):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass  # reserved by the C library
    stop_ignoring_reserved_signals()
    return Wire(reading, writing)


def of_machine(x86_64, generic):
    """Which of two holds here: what is numbered as on x86_64, or as on every architecture that came after 2011."""
    return x86_64 if os.uname().machine == "x86_64" else generic


def stop_ignoring_reserved_signals():
    """Set those signals to their default that the C library keeps for itself (32 and 33), where they are ignored.

    A container inherits them from its engine, and the engine from whoever started it; the library changes them for nobody,
    so the kernel is asked. What the library has a handler for is left alone.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    call = of_machine(SIGACTION_X86_64, SIGACTION_GENERIC)
    for number in set(range(1, SIGNAL_MAX + 1)) - set(signal.valid_signals()):
        # A kernel's sigaction is three or four words, the handler first: 0 is the default, 1 is ignored.
        found, default = (ctypes.c_ulong * 4)(), (ctypes.c_ulong * 4)()
        size = ctypes.c_size_t(SIGNAL_SET_BYTES)
        if libc.syscall(call, number, None, found, size) == 0 and found[0] == 1:
            libc.syscall(call, number, default, None, size)


def reaped():
    """(pid, status) of everybody who has ended, up to more than there can be at once: others may end meanwhile, for ever."""
    for _ in range(REAPED_MAX):
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status


def default_signals():
    """What a program of the guest's expects at its start: no handler of ours, and nothing that is ignored."""
    for number in signal.valid_signals():
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            try:
                signal.signal(number, signal.SIG_DFL)
            except (OSError, ValueError):
                pass  # reserved by the C library


def hide_memory():
    """Make this process non-dumpable: nobody of the same uid can read its memory, its environment or its descriptors."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def first_number(*paths):
    """The first integer that one of the files holds; None where none does (or it says `max`)."""
    for path in paths:
        try:
            with open(path) as file:
                return int(file.read().split()[0])
        except (OSError, ValueError, IndexError):
            continue
    return None


def memory_limit():
    """The most memory that this sandbox may have, in bytes; None where the kernel does not say."""
    return first_number("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max")


def memory_counts():
    """(processes killed here for memory, times that the own limit left no other way), as the kernel counts; None for what it
    does not count."""
    for path in ("/sys/fs/cgroup/memory/memory.oom_control", "/sys/fs/cgroup/memory.events"):
        try:
            with open(path) as file:
                counts = {name: int(value) for name, value in (line.split() for line in file)}
        except (OSError, ValueError):
            continue
        if "oom_kill" in counts:
            return counts["oom_kill"], counts.get("oom")
    return None, None


def memory_peak():
    """The most memory that this sandbox has had, in bytes, with swap where that is counted with it; None where unknown."""
    with_swap = first_number("/sys/fs/cgroup/memory/memory.memsw.max_usage_in_bytes")
    alone = first_number("/sys/fs/cgroup/memory/memory.max_usage_in_bytes", "/sys/fs/cgroup/memory.peak")
    return alone if with_swap is None or alone is None else max(alone, with_swap)


class MemoryKills:
    """What the kernel kills for memory in this sandbox from now on.

    It counts every such process of the sandbox, whoever was short of memory: the sandbox, or the host.
    """

    def __init__(self):
        self.before = memory_counts()

    def any(self):
        """Whether it has killed a process."""
        killed = memory_counts()[0]
        return killed is not None and self.before[0] is not None and killed > self.before[0]

    def are_hosts(self):
        """Whether it has, and this sandbox's own limit was certainly not the reason."""
        if not self.any():
            return False
        reached, peak, limit = memory_counts()[1], memory_peak(), memory_limit()
        if peak is None or limit is None:
            return False
        return reached in (None, self.before[1]) and peak < NEAR_LIMIT_SHARE * limit


def status_line(name):
    """A line of /proc/self/status, such as CapEff or Seccomp."""
    try:
        with open("/proc/self/status") as file:
            for line in file:
                if line.startswith(name + ":"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return None


def ulimits():
    """The most that this process may raise each of its limits to, by the engine's names; None for no limit."""
    import resource

    names = ("core", "fsize", "memlock", "msgqueue", "nofile", "nproc", "sigpending")
    most = {name: resource.getrlimit(getattr(resource, "RLIMIT_" + name.upper()))[1] for name in names}
    return {name: None if value == resource.RLIM_INFINITY else value for name, value in most.items()}


def interfaces():
    """Names of the network's interfaces, by the kernel's own list: /sys need not be there; None where it gives none."""
    import _socket  # without what `socket` imports besides: a sample's process is forked from this one

    try:
        return sorted(name for _number, name in _socket.if_nameindex())
    except OSError:
        return None


def seen_from_inside(refused):
    """The limits as they are here, and the refused calls, so that the host can compare them with what it asked for."""
    seen = {
        "memory_bytes": memory_limit(),
        "pids": first_number("/sys/fs/cgroup/pids/pids.max", "/sys/fs/cgroup/pids.max"),
        "uid": os.getuid(),
        "gid": os.getgid(),
        "groups": sorted(os.getgroups()),
        "capabilities": status_line("CapEff"),
        "bounding": status_line("CapBnd"),
        "no_new_privileges": status_line("NoNewPrivs"),
        "ulimits": ulimits(),
        "refused": refused,
        "pid": os.getpid(),
        "root_writable": os.access("/", os.W_OK),
        "interfaces": interfaces(),
    }
    for name, path in (("workspace", "/workspace"), ("tmp", "/tmp"), ("shm", "/dev/shm")):
        try:
            stat = os.statvfs(path)
            seen[name + "_bytes"] = stat.f_frsize * stat.f_blocks
        except OSError:
            seen[name + "_bytes"] = None
    return seen
