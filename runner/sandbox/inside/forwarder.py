"""HTTP on the container's loopback for whatever in here speaks to a model; the answers come from the host.

Descriptor 3 is the listening socket, 4 the way to the host (through PID 1, which only passes bytes on). A request is read
whole and goes to the host as one message; its answer comes back in messages and is sent on in chunks. A message is
`kind, connection, length` (9 bytes, big endian) and that many bytes. There is no key in here, and no judgement: the host
believes nothing that this process says.
"""

import http.server
import itertools
import json
import os
import queue
import socket
import struct
import threading

MESSAGE = struct.Struct("!BII")
# As in runner/gateway/framing.py.
ASK, HEAD, BODY, END, ABORT = 1, 2, 3, 4, 5
LENGTH = struct.Struct("!I")
BODY_BYTES_MAX = 32 * 1024 * 1024  # as the gateway's bound on what goes out
LINE_BYTES_MAX = 65536  # the bound of http.server on a line
CONNECTIONS_MAX = 8  # chosen: agents ask a few questions side by side
REQUEST_S = 60.0  # chosen: a program that stalls in mid-request frees its place


class Host:
    """The other end of descriptor 4."""

    def __init__(self, channel):
        self.channel, self.sending = channel, threading.Lock()
        self.waiting, self.numbers = {}, itertools.count(1)

    def ask(self, head, body):
        """Send a request; a queue of (kind, bytes) that its answer comes in, and its number."""
        text = json.dumps(head).encode()
        payload = LENGTH.pack(len(text)) + text + body
        answer = queue.Queue()
        with self.sending:
            number = next(self.numbers)
            self.waiting[number] = answer
            self.channel.sendall(MESSAGE.pack(ASK, number, len(payload)) + payload)
        return number, answer

    def forget(self, number):
        self.waiting.pop(number, None)

    def listen(self):
        """Hand out what comes; returns when the host or PID 1 hangs up."""
        reading = self.channel.makefile("rb")
        while len(header := reading.read(MESSAGE.size)) == MESSAGE.size:
            kind, number, length = MESSAGE.unpack(header)
            payload = reading.read(length)
            waiting = self.waiting.get(number)
            if waiting is not None:
                waiting.put((kind, payload))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "sandbox", ""
    timeout = REQUEST_S

    def forward(self):
        self.close_connection = True
        body = self.read_body()
        if body is None:
            return
        self.connection.settimeout(None)  # an answer may take its time, and so may who reads it
        head = {"method": self.command, "path": self.path, "headers": self.headers.items()}
        number, answer = host.ask(head, body)
        try:
            self.pass_on(answer)
        finally:
            host.forget(number)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = forward

    def read_body(self):
        """The whole body; None where it was refused."""
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            body = self.read_chunked()
        else:
            try:
                length = int(self.headers.get("content-length") or 0)
            except ValueError:
                return self.refuse(400, "content-length is not a number")
            if length < 0:
                return self.refuse(400, "content-length is negative")
            body = self.rfile.read(length) if length <= BODY_BYTES_MAX else None
        return body if body is not None else self.refuse(413, "a request may have %d bytes" % BODY_BYTES_MAX)

    def read_chunked(self):
        """The body of a chunked request; None where it is too long, or none."""
        body = bytearray()
        while True:
            try:
                size = int(self.rfile.readline(LINE_BYTES_MAX).split(b";")[0], 16)
            except ValueError:
                return None
            if size < 0 or len(body) + size > BODY_BYTES_MAX:
                return None
            if size == 0:
                while self.rfile.readline(LINE_BYTES_MAX).strip():
                    pass
                return bytes(body)
            body += self.rfile.read(size)
            self.rfile.readline(LINE_BYTES_MAX)

    def refuse(self, status, message):
        kind = "request_too_large" if status == 413 else "invalid_request_error"
        text = json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(text)

    def pass_on(self, answer):
        while True:
            kind, payload = answer.get()
            if kind == HEAD:
                head = json.loads(payload)
                self.send_response(head["status"])
                for name, value in head["headers"]:
                    self.send_header(name, value)
                self.send_header("transfer-encoding", "chunked")
                self.send_header("connection", "close")
                self.end_headers()
            elif self.command == "HEAD" and kind == BODY:
                pass
            elif self.command == "HEAD" and kind == END:
                return
            elif kind == BODY and payload:
                self.wfile.write(b"%x\r\n" % len(payload) + payload + b"\r\n")
            elif kind == END:
                self.wfile.write(b"0\r\n\r\n")
                return
            elif kind == ABORT:
                return  # no last chunk: the client sees that it was cut

    def log_message(self, *_):
        pass


def serve(listening):
    """Take one connection after the other; each thread has at most one open, so the number of threads bounds them."""
    while True:
        connection, address = listening.accept()
        try:
            Handler(connection, address, None)
        except Exception:  # boundary: the client has gone, or sent what is no HTTP
            pass
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        connection.close()


host = Host(socket.socket(fileno=4))
for _ in range(CONNECTIONS_MAX):
    threading.Thread(target=serve, args=(socket.socket(fileno=os.dup(3)),), daemon=True).start()
host.listen()
os._exit(0)
