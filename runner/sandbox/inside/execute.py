"""Run one command, or read or write one file, as the guest itself: for programs that ask for more than the agent's tools.

The persistent shell starts it with a name and what it has to do, which stands in the file of that name where it is too long
for an argument: a workspace that is full keeps nobody from making room in it. In another file stands what the command reads
(both are gone once they are open). It answers on its standard output: a header, and two texts. It is a guest like any
other: what it says of a command, the command could make it say, too.
"""

import ctypes
import errno
import json
import os
import selectors
import shutil
import signal
import stat
import struct
import subprocess
import sys
import time

WORKSPACE = "/workspace"
HEADER = struct.Struct("!BiQQ")  # as in runner/sandbox/execute.py
DONE, FAILED, TIMED_OUT, TOO_LARGE, STOPPED = 0, 1, 2, 3, 4  # as in runner/sandbox/execute.py
TICK_S = 0.05  # chosen: how late a deadline, or a wish to stop, may be noticed
# chosen: for what a command has printed when it is over; what goes on in the background is not waited for
DRAIN_S = 0.5
CHUNK_BYTES = 65536  # a pipe's buffer on Linux
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def answer(kind, number=0, out=b"", err=b""):
    view = memoryview(HEADER.pack(kind, number, len(out), len(err)) + out + err)
    while view:
        view = view[os.write(1, view) :]


def descendants():
    """Processes that this one, or one of its own, started; those whose parents ended are its own by then."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/stat" % name, "rb") as file:
                    parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError):
                continue
    found, fresh = set(), {os.getpid()}
    while fresh:
        fresh = {pid for pid, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return found


def kill_all():
    """Until nobody is left: who forks is met again."""
    for _ in range(100):
        alive = descendants()
        for pid in alive:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.01)


class Output:
    """What a stream printed, up to a limit."""

    def __init__(self, most):
        self.most, self.content = most, bytearray()

    def add(self, chunk):
        """Whether it is within the limit still."""
        self.content += chunk[: self.most + 1 - len(self.content)]
        return len(self.content) <= self.most


def run(asked, given, name):
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        child = subprocess.Popen(
            asked["argv"],
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=os.path.join(WORKSPACE, asked["cwd"]),
            env={**os.environ, **asked["env"]},
            start_new_session=True,
        )
    except OSError as error:
        return answer(FAILED, error.errno or 0, b"", str(error).encode("utf-8", "backslashreplace"))
    kind, out, err = follow(child, asked, os.path.join(WORKSPACE, name + ".stop"))
    if kind != DONE:
        kill_all()
        return answer(kind, 0, bytes(out.content), bytes(err.content))
    status = child.returncode
    return answer(DONE, status if status >= 0 else 128 - status, bytes(out.content), bytes(err.content))


def follow(child, asked, stop):
    """(kind of the end, output, errors) of a command."""
    out, err = Output(asked["output_bytes_max"]), Output(asked["output_bytes_max"])
    end = None if asked["timeout_s"] is None else time.monotonic() + asked["timeout_s"]
    drained = None
    with selectors.DefaultSelector() as streams:
        streams.register(child.stdout, selectors.EVENT_READ, out)
        streams.register(child.stderr, selectors.EVENT_READ, err)
        while True:
            for key, _ in streams.select(TICK_S):
                chunk = os.read(key.fd, CHUNK_BYTES)
                if not chunk:
                    streams.unregister(key.fileobj)
                elif not key.data.add(chunk):
                    return TOO_LARGE, out, err
            if child.poll() is not None:
                drained = drained or time.monotonic() + DRAIN_S
                if not streams.get_map() or time.monotonic() > drained:
                    return DONE, out, err
            elif end is not None and time.monotonic() > end:
                return TIMED_OUT, out, err
            elif os.path.exists(stop):
                os.unlink(stop)
                return STOPPED, out, err
            elif not streams.get_map():
                time.sleep(TICK_S)


def read(asked):
    found = os.open(os.path.join(WORKSPACE, asked["path"]), os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    about = os.fstat(found)
    if stat.S_ISDIR(about.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")
    if about.st_size > asked["size_max"]:
        return answer(TOO_LARGE)
    parts, at, left = [], asked["offset"], asked["count"]
    while left:
        part = os.pread(found, left, at)
        if not part:
            break
        parts.append(part)
        at, left = at + len(part), left - len(part)
    return answer(DONE, 0, b"".join(parts))


def write(asked, given):
    path = os.path.join(WORKSPACE, asked["path"])
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        shutil.copyfileobj(given, file)
    return answer(DONE)


def main(name, asked=None):
    path = os.path.join(WORKSPACE, name)
    if asked is None:
        with open(path, "rb") as file:
            asked = file.read()
        os.unlink(path)
    asked = json.loads(asked)
    given = open(path + ".in", "rb") if asked["given"] else open(os.devnull, "rb")
    if asked["given"]:
        os.unlink(path + ".in")
    try:
        if asked["op"] == "run":
            run(asked, given, name)
        elif asked["op"] == "read":
            read(asked)
        else:
            write(asked, given)
    except OSError as error:
        answer(FAILED, error.errno or 0, b"", (error.strerror or str(error)).encode())
    except ValueError as error:  # what no call of the kernel takes: a NUL in a name, text that is no UTF-8
        answer(FAILED, errno.EINVAL, b"", str(error).encode("utf-8", "backslashreplace"))


main(*sys.argv[1:])
