"""A guest's process: fed and read through pipes, in a group of its own, behind the fence; and files put where it finds them.

It shares no memory with PID 1, which starts it.
"""

import stat

WORKSPACE = "/workspace"
CHUNK_BYTES = 65536  # a pipe's buffer on Linux
SAID_BYTES_MAX = 4000  # chosen: of what is printed beside the answer, the end


class Gone(Exception):
    """The host is gone."""


class Running:
    """One process with its pipes, until it ends or says too much."""

    def __init__(self, argv, stdin, out_max, joined, where=WORKSPACE, environment=None):
        self.stdin, self.at, self.out_max = memoryview(stdin), 0, out_max
        self.out, self.said = bytearray(), bytearray()
        self.status, self.over = None, False
        theirs_in, self.feeding = os.pipe()
        self.reading, theirs_out = os.pipe()
        self.saying, theirs_err = (None, theirs_out) if joined else os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            become(argv, theirs_in, theirs_out, theirs_err, where, environment)
        for used in {theirs_in, theirs_out, theirs_err}:
            os.close(used)
        for mine in (self.feeding, self.reading, self.saying):
            if mine is not None:
                os.set_blocking(mine, False)
        if not stdin:
            self.end_stdin()

    def follow(self, host, woken):
        """Until the process has ended and what it printed is here; whatever it started counts no more then.

        Raises Gone.
        """
        while self.status is None and not self.over:
            watched = [each for each in (self.reading, self.saying) if each is not None]
            feeding = [self.feeding] if self.feeding is not None else []
            select.select([*watched, host, woken], feeding, [])
            if select.select([host], [], [], 0)[0]:
                raise Gone  # it says nothing while a case runs: this is its end
            self.feed()
            self.read()
            self.look(woken)
        self.read()
        for mine in (self.feeding, self.reading, self.saying):
            if mine is not None:
                os.close(mine)

    def feed(self):
        if self.feeding is None:
            return
        try:
            self.at += os.write(self.feeding, self.stdin[self.at : self.at + CHUNK_BYTES])
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.at = len(self.stdin)  # it does not want the rest
        if self.at >= len(self.stdin):
            self.end_stdin()

    def end_stdin(self):
        os.close(self.feeding)
        self.feeding = None

    def read(self):
        """What is in the pipes now."""
        self.reading = self.take(self.reading, self.out, self.out_max + 1)
        self.saying = self.take(self.saying, self.said, None)
        self.over = self.over or len(self.out) > self.out_max

    def take(self, pipe, into, most):
        """The pipe, or None once it has ended; without a limit the end is kept."""
        for _ in range(16):
            if pipe is None or (most is not None and len(into) >= most):
                return pipe
            try:
                part = os.read(pipe, CHUNK_BYTES)
            except BlockingIOError:
                return pipe
            if not part:
                os.close(pipe)
                return None
            into += part
            if most is None:
                del into[:-SAID_BYTES_MAX]
        return pipe

    def look(self, woken):
        """Whether it has ended."""
        try:
            os.read(woken, CHUNK_BYTES)
        except BlockingIOError:
            return
        reap()
        for pid, status in DEAD:
            if pid == self.pid:
                self.status = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
        DEAD.clear()


def become(argv, stdin, stdout, stderr, where, environment):
    """The guest's process."""
    try:
        import fcntl

        os.setsid()
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (stdin, stdout, stderr)]
        for number, end in enumerate(ends):
            os.dup2(end, number)
        os.closerange(3, 1024)
        signal.set_wakeup_fd(-1)
        default_signals()
        os.chdir(where)
        fence()
        os.execvpe(argv[0], argv, os.environ if environment is None else environment)
    except Exception as error:
        os.write(2, ("%s: %s" % (argv[0], error)).encode())
    finally:
        os._exit(127)


def write_files(content, under):
    """The files of a bundle below a folder of the workspace."""
    root = os.path.join(os.fsencode(WORKSPACE), os.fsencode(under))
    for path, executable, body in unbundled(content):
        whole = os.path.join(root, path)
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        with open(whole, "wb") as file:
            file.write(body)
        os.chmod(whole, 0o755 if executable else 0o644)


class Serving:
    """Answers requests, woken where a process of the guest's ends; itself it is none of the guest's."""

    def __init__(self, wire):
        self.wire = wire
        self.woken, waking = os.pipe()
        for end in (self.woken, waking):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(waking, warn_on_full_buffer=False)

    def serve(self):
        while answer_one(self):
            pass


def serve_host(make):
    """PID 1's whole life: what `make` gives for the wire serves the host until that is gone."""
    wire = take_over()
    hide_memory()
    wire.write(HELLO, 0, {"seen": first_look()})
    try:
        make(wire).serve()
    except Gone:
        pass
    kill_everything()
    os._exit(0)
