"""The way between the forwarder and the host, as PID 1 keeps it: bytes, of whatever meaning.

Neither side may send more than `FRAMES_AHEAD_MAX` frames that the other has not taken. So nothing piles up here, and
PID 1 never waits for the forwarder, which any command may hold up, kill or take over. The forwarder ends when its
socket does.

Who has taken it over may send descriptors along, and closing one may take as long as its sender likes: PID 1 takes no bytes
that bear any (as in shell.py).
"""

FRAMES_AHEAD_MAX = 16  # as in runner/gateway/sender.py, with PIECE_BYTES
PIECE_BYTES = 65536  # as in the gateway's sender (a test compares them)


class Channel:
    def __init__(self, python, port, program, sequence):
        import collections
        import socket

        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(64)  # before any command runs: whoever connects at once is heard
        self.socket, theirs = socket.socketpair()
        if os.fork() == 0:
            self.become_forwarder(python, program, listening, theirs)
        listening.close()
        theirs.close()
        self.socket.setblocking(False)
        self.sequence, self.may_send = sequence, FRAMES_AHEAD_MAX
        self.pending = collections.deque()

    def become_forwarder(self, python, program, listening, theirs):
        try:
            os.setsid()
            import fcntl

            ends = [fcntl.fcntl(end.fileno(), fcntl.F_DUPFD, 10) for end in (listening, theirs)]
            for number, end in ((1, 0), (2, 0), (3, ends[0]), (4, ends[1])):
                os.dup2(end, number)
            os.closerange(5, 1024)
            default_signals()
            confine(own_entries=True)
            fence()
            os.execv(python, [python, "-I", "-S", "-c", LAUNCHER, python, "-I", "-S", "-c", program])
        finally:
            os._exit(127)

    def close(self):
        import socket

        self.socket.shutdown(socket.SHUT_RDWR)  # nothing more comes
        try:
            is_empty = self.unread() == (b"", False)
        except ConnectionError:  # the forwarder ended before it had read everything
            is_empty = False
        if is_empty:
            self.socket.close()
        else:  # what lies in there is closed with it
            close_elsewhere(self.socket)

    def wants(self):
        """(descriptors to read, descriptors to write) that there is something to do for."""
        mine = [self.socket]
        return (mine if self.may_send > 0 else []), (mine if self.pending else [])

    def take(self, kind, body, head):
        """A frame of the host's."""
        if kind == TAKEN:
            self.may_send += head["frames"]
        elif len(self.pending) < FRAMES_AHEAD_MAX:
            self.pending.append(memoryview(body))

    def move(self, wire):
        """Pass on what can be passed on now; False when the forwarder is gone."""
        try:
            self.give(wire)
            return self.fetch(wire)
        except (BrokenPipeError, ConnectionError):
            return False

    def give(self, wire):
        while self.pending:
            try:
                sent = self.socket.send(self.pending[0])
            except BlockingIOError:
                return
            self.pending[0] = self.pending[0][sent:]
            if not self.pending[0]:
                self.pending.popleft()
                wire.write(TAKEN, self.sequence, {"frames": 1})

    def fetch(self, wire):
        if self.may_send <= 0:
            return True
        try:
            piece, bears_descriptors = self.unread()
        except BlockingIOError:
            return True
        if bears_descriptors or not piece:
            return False
        self.socket.recv(len(piece))
        self.may_send -= 1
        wire.write(DATA, self.sequence, {}, piece)
        return True

    def unread(self):
        """(the next piece, whether descriptors come with it); it stays in there."""
        import socket

        piece, _, flags, _ = self.socket.recvmsg(PIECE_BYTES, 0, socket.MSG_PEEK)
        return piece, bool(flags & socket.MSG_CTRUNC)
