"""PID 1 of a container in which one file is run several times off the record: it imports once, and forks for each time.

Such a time, a sample, is an audit, or the calls by which a component makes again what it made of an answer. PID 1 never runs
the file, and holds no data but what the next sample gets. A sample's process is forked before *go*, gets the
file through a pipe, and answers on the wire itself. Before the next one, every process but PID 1 is killed and reaped (a
PID 1 without a child is alone: whoever loses its parent becomes its child), and what files can be left in is emptied. A
sample cannot read the wire, look into PID 1, or signal it; the fence keeps it from changing PID 1's limits and priority.
"""

import fcntl
import stat

PR_SET_NOT_HIDDEN = 1  # the value of PR_SET_DUMPABLE
# asm-generic/mman-common.h; kernels before 5.14 do not know them.
MADV_POPULATE_READ, MADV_POPULATE_WRITE = 22, 23
PRESENT_BIT = 63  # of an entry of /proc/self/pagemap
# asm-generic/fcntl.h, linux/fcntl.h
F_SETSIG, F_OFD_SETLK, F_SETPIPE_SZ, F_GETPIPE_SZ, F_SET_RW_HINT = 10, 37, 1031, 1032, 1036
NO_RANGE_LOCKED = struct.pack("hhqqi4x", fcntl.F_UNLCK, os.SEEK_SET, 0, 0, 0)  # `struct flock` where a word has 64 bits
WATCH_MS = 50  # chosen: as often as a driver's PID 1 looks


def present_pages():
    """[(address, bytes, whether it may be written)] of what this process has in memory, in runs of pages."""
    import numpy

    page, found = os.sysconf("SC_PAGE_SIZE"), []
    with open("/proc/self/maps") as maps, open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
        for line in maps.read().splitlines():
            extent, mode = line.split()[:2]
            if line.endswith(("[vvar]", "[vvar_vclock]", "[vdso]", "[vsyscall]")) or mode[0] != "r":
                continue
            start, end = (int(part, 16) for part in extent.split("-"))
            pagemap.seek(start // page * 8)
            entries = numpy.frombuffer(pagemap.read((end - start) // page * 8), dtype="<u8")
            present = numpy.concatenate([[False], (entries >> PRESENT_BIT).astype(bool), [False]])
            edges = numpy.flatnonzero(present[1:] != present[:-1]).tolist()
            found += [
                (start + first * page, (last - first) * page, mode[1] == "w" and mode[3] == "p")
                for first, last in zip(edges[::2], edges[1::2])
            ]
    return found


def own_pages(pages):
    """Have all that PID 1 has in memory, and share none of it that may be written: not on the clock, as in a process that
    has imported everything itself."""
    libc, page = ctypes.CDLL(None, use_errno=True), os.sysconf("SC_PAGE_SIZE")
    for address, length, writable in pages:
        advice = MADV_POPULATE_WRITE if writable else MADV_POPULATE_READ
        if libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(length), advice) == 0:
            continue
        if ctypes.get_errno() != errno.EINVAL:
            continue  # it is not there any more: the fork's own doing
        for at in range(address, address + length, page):
            if writable:
                ctypes.memmove(at, at, 1)
            else:
                ctypes.string_at(at, 1)


def draw_anew():
    """Other random numbers than the last sample's: numpy draws its seed when it is imported (`random` does after a fork)."""
    drawn = sys.modules.get("numpy.random")
    if drawn is not None:
        drawn.seed()


class Held:
    """A file that PID 1 has open, as it was before any sample: they share it, and what is set on it outlives them."""

    def __init__(self, number):
        about = os.fstat(number)
        self.number, self.flags = number, fcntl.fcntl(number, fcntl.F_GETFL)
        self.mode = stat.S_IMODE(about.st_mode) if about.st_uid == os.getuid() else None
        self.pipe_bytes = fcntl.fcntl(number, F_GETPIPE_SZ) if stat.S_ISFIFO(about.st_mode) else None
        self.position = os.lseek(number, 0, os.SEEK_CUR) if stat.S_ISREG(about.st_mode) else None

    def restore(self):
        """Raises OSError where something of it cannot be undone."""
        fcntl.fcntl(self.number, fcntl.F_SETFL, self.flags)
        fcntl.fcntl(self.number, fcntl.F_SETOWN, 0)
        fcntl.flock(self.number, fcntl.LOCK_UN)
        for request, value in ((F_SETSIG, 0), (F_OFD_SETLK, NO_RANGE_LOCKED), (F_SET_RW_HINT, bytes(8))):
            try:
                fcntl.fcntl(self.number, request, value)
            except OSError as error:  # what this kernel does not know, or let, PID 1 do, no sample can have done
                if error.errno not in (errno.EINVAL, errno.EPERM):
                    raise
        if self.pipe_bytes is not None:
            fcntl.fcntl(self.number, F_SETPIPE_SZ, self.pipe_bytes)
        if self.position is not None:
            os.lseek(self.number, self.position, os.SEEK_SET)
        if self.mode is not None:
            os.fchmod(self.number, self.mode)
            os.utime(self.number)


def all_held(but):
    """Every file that this process has open, but for one number."""
    found = []
    for number in range(1024):  # its limit
        try:
            found += [Held(number)] if number != but else []
        except OSError:
            continue  # not open
    return found


def room(folders):
    """(bytes, files) that can still be left in each."""
    found = [os.statvfs(folder) for folder in folders]
    return [(each.f_bfree * each.f_frsize, each.f_ffree) for each in found]


class Handing(Wire):
    """The way to a sample, which may never read what it is sent: PID 1 sees meanwhile whether the host goes."""

    def __init__(self, writing, host):
        super().__init__(-1, writing)
        os.set_blocking(writing, False)
        self.host, self.ready = host, select.poll()
        self.ready.register(host, 0)
        self.ready.register(writing, select.POLLOUT)

    def send(self, part):
        view = memoryview(part)
        while view:
            if any(which == self.host for which, _ in self.ready.poll()):
                os._exit(HOST_GONE)
            try:
                view = view[os.write(self.writing, view) :]
            except BlockingIOError:
                continue


class ForkServer:
    """Answers the host between samples; while one runs, it waits for the host or for the sample's end.

    Attributes:
        sample: the process of the current one; None between samples.
        ended: its status, once it has been reaped.
        commands: the wire on which it gets the file.
        folders: where files can be left.
        held: files that samples share with PID 1.
    """

    def __init__(self, wire):
        self.wire, self.sample, self.commands, self.pages = wire, None, None, []
        self.kills, self.ended = MemoryKills(), None
        self.folders = [folder for folder in LEFT_IN if os.access(folder, os.W_OK)]
        self.room, self.held = room(self.folders), []

    def serve(self):
        while True:
            self.wait()
            if not answer_one(self):
                os._exit(HOST_GONE)

    def wait(self):
        """Until the host says something or goes; a sample that ends meanwhile ends the container, as a driver's worker."""
        watch = select.poll()
        watch.register(self.wire.reading, select.POLLIN)
        while not watch.poll(WATCH_MS if self.sample else None):
            for pid, status in reaped():
                if pid == self.sample and self.ended is None:
                    self.ended = status
            # The host may say something in this very moment: that is read first, and may be `end`. Nobody reaps twice.
            if self.ended is not None and not watch.poll(0):
                os._exit(status_of(self.ended, self.kills))

    def do_setup(self, sequence, head, body):
        """Import what samples need."""
        failed = preload(head["preload"])
        self.held = all_held(but=self.wire.reading)  # which samples close
        try:
            self.pages = present_pages()
        except OSError:
            pass  # without /proc: samples copy pages on their own clock
        hide_memory()  # after that, not even this process may read where its pages are
        self.wire.write(READY, sequence, {"failed": failed})

    def do_sample(self, sequence, head, body):
        """Fork a process for the next sample; it has its data and says *ready* itself."""
        self.kills, self.ended = MemoryKills(), None
        reading, writing = os.pipe2(os.O_CLOEXEC)
        self.sample = os.fork()
        if not self.sample:
            os.close(writing)
            os.close(self.wire.reading)
            self.become_sample(Wire(reading, self.wire.writing), sequence, head, body)
        os.close(reading)
        self.commands = Handing(writing, self.wire.reading)

    def become_sample(self, wire, sequence, head, body):
        """In the new process, which ends here: as a driver's worker from its set-up on."""
        try:
            ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, PR_SET_NOT_HIDDEN, 0, 0, 0)
            fence()
            own_pages(self.pages)
            draw_anew()
            self.pages = []
            driver = Driver(wire)
            driver.calls = calls_from(body, head["inputs"], head["calls"])
            wire.write(READY, sequence, {"failed": {}})
        except BaseException as error:
            wire.write(READY, sequence, {"failed": {"a fork of PID 1": repr(error)[:500]}})
            os._exit(1)
        work(wire, driver)

    def do_go(self, sequence, head, body):
        """Hand it on, unread."""
        try:
            self.commands.write(REQUEST, sequence, head, body)
        except OSError:
            pass  # it has ended; `wait` says how

    do_load = do_describe = do_probe = do_go

    def do_end(self, sequence, head, body):
        """End the sample and all that it started or left; says so with a token that nobody else can know."""
        self.end_processes()
        if self.commands:
            os.close(self.commands.writing)
        self.sample = self.commands = self.ended = None
        try:
            clean = self.forget()
        except OSError:
            clean = False
        self.wire.write(READY, sequence, {"token": head["token"], "clean": clean})

    def end_processes(self):
        """Until PID 1 is alone. What takes long to end is looked at ever less often: to look takes CPU time, too."""
        host = select.poll()
        host.register(self.wire.reading, 0)
        wait_ms = 1
        while True:
            try:
                os.kill(-1, signal.SIGKILL)
            except ProcessLookupError:
                pass
            for _ in reaped():
                pass
            try:
                os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if host.poll(wait_ms):
                os._exit(HOST_GONE)
            wait_ms = min(2 * wait_ms, WATCH_MS)

    def forget(self):
        """Undo what outlives processes; whether all is as it was. What the kernel keeps of them costs the container."""
        for folder in self.folders:
            clear(folder)
        renew_devices()
        for each in self.held:
            each.restore()
        return room(self.folders) == self.room and not system_v() and not connections()


def main():
    wire = take_over()
    wire.write(HELLO, 0, {"seen": first_look()})
    ForkServer(wire).serve()
