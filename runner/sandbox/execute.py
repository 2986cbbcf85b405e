"""Commands and files of a sandbox, for programs that ask for more than the agent's tools: argv, input, two streams, paths.

Beside the persistent shell's one command at a time nothing new is in PID 1: a small program (`inside/execute.py`) is started
by the shell as the guest, and does it. So it can do nothing that a guest cannot, and what it answers is the guest's word.
"""

import errno
import json
import secrets
import shlex
import struct
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from runner.sandbox.container import INSIDE, ExitCause, GuestExit, Received, Sandbox

HEADER = struct.Struct("!BiQQ")  # as in inside/execute.py
CHUNK_BYTES = 8 * 1024 * 1024  # of a file that is read; chosen: PID 1 holds a few copies of it at a time
STAGE_DEADLINE_S = 120.0  # chosen: far over what the largest input takes on a busy host
START_GRACE_S = 60.0  # chosen: the program's start, and the end of what it started, on a busy host
# chosen: a fraction of the longest argument that Linux takes (128 KiB); what is longer comes in a file
ARGUMENT_BYTES_MAX = 64 * 1024
TICK_S = 0.05  # chosen: as inside/execute.py looks
STOP_S = 5.0  # chosen: far over what a program that wants to stop takes
NO_TIMEOUT_S = 7 * 86_400.0  # chosen: longer than any sample


class Kind(IntEnum):
    """How it ended, as the program says it."""

    DONE = 0
    FAILED = 1  # the kernel refused; `number` is its errno
    TIMED_OUT = 2
    TOO_LARGE = 3  # a file, or a stream, has more than it may
    STOPPED = 4


@dataclass(frozen=True, slots=True)
class Executed:
    """What came of it; all of it is hostile.

    Attributes:
        number: exit status (128 + signal where one ended it), or errno.
        out, err: what was printed, or the bytes of a file; with FAILED, `err` is the reason in words.
    """

    kind: Kind
    number: int = 0
    out: bytes = b""
    err: bytes = b""


class Executor:
    """Commands and files of one sandbox, one after the other; it may be used from several threads."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox, self._turn = sandbox, threading.Lock()
        self._running, self._stopped = "", set[str]()
        self._text = (INSIDE / "execute.py").read_text(encoding="utf-8")

    def run(
        self, argv: Sequence[str], given: bytes | None = None, cwd: str = "", env: Mapping[str, str] | None = None,
        timeout_s: float | None = None, output_bytes_max: int = 1024 * 1024, name: str = "",
    ) -> Executed | GuestExit:  # fmt: skip
        """Run a command to its end; what it left in the background goes on.

        Args:
            given: its standard input; None: nothing.
            cwd: absolute, or from the workspace.
            output_bytes_max: of each of the two streams.
            name: by which `stop` finds it, from `new_name`.

        Raises:
            InfrastructureFault, Interrupted: as `Sandbox.ask`.
        """
        asked = {
            "op": "run", "argv": list(argv), "cwd": cwd, "env": dict(env or {}), "timeout_s": timeout_s,
            "output_bytes_max": output_bytes_max,
        }  # fmt: skip
        return self._do(asked, given, timeout_s, 2 * output_bytes_max, name)

    def read(self, path: str, bytes_max: int) -> Executed | GuestExit:
        """The bytes of a regular file, which is absolute or from the workspace; TOO_LARGE where it has more.

        Raises:
            InfrastructureFault, Interrupted: as `Sandbox.ask`.
        """
        content = bytearray()
        while True:
            asked = {"op": "read", "path": path, "offset": len(content), "count": CHUNK_BYTES, "size_max": bytes_max}
            got = _of_file(self._do(asked, None, None, CHUNK_BYTES))
            if isinstance(got, GuestExit) or got.kind is not Kind.DONE:
                return got
            content += got.out
            if len(content) > bytes_max:
                return Executed(Kind.TOO_LARGE)
            if len(got.out) < CHUNK_BYTES:
                return Executed(Kind.DONE, out=bytes(content))

    def write(self, path: str, content: bytes) -> Executed | GuestExit:
        """Write a file, with the folders that it needs; a mode that forbids it holds.

        Raises:
            InfrastructureFault, Interrupted: as `Sandbox.ask`.
        """
        return _of_file(self._do({"op": "write", "path": path}, content, None, 0))

    def stop(self, name: str) -> None:
        """End the command of this name, and all that it started; `run` then returns STOPPED.

        One that does not let itself be stopped, or had the workspace full, is ended as at a deadline, with all that runs in
        the sandbox; `run` then returns TIMED_OUT.
        """
        self._stopped.add(name)
        if self._running != name:
            return
        self._stage(f"{name}.stop", b"")
        end = time.monotonic() + STOP_S
        while self._running == name:
            if time.monotonic() > end:
                self._sandbox.ask({"op": "stop", "name": name}, deadline_s=STAGE_DEADLINE_S)
                return
            time.sleep(TICK_S)

    def _do(
        self, asked: Mapping[str, Any], given: bytes | None, timeout_s: float | None, bytes_max: int, name: str = ""
    ) -> Executed | GuestExit:
        name = name or new_name()
        request = json.dumps({**asked, "given": given is not None}).encode()
        with self._turn:
            self._running = name
            try:
                return self._do_now(request, given, timeout_s, bytes_max, name)
            finally:
                self._running = ""

    def _do_now(
        self, request: bytes, given: bytes | None, timeout_s: float | None, bytes_max: int, name: str
    ) -> Executed | GuestExit:
        if name in self._stopped:  # nobody waits for it any more
            return Executed(Kind.STOPPED)
        is_short = len(request) <= ARGUMENT_BYTES_MAX
        for staged, content in ((name, None if is_short else request), (f"{name}.in", given)):
            if content is None:
                continue
            failed = self._stage(staged, content)
            if failed is not None:
                return failed
        words = [
            self._sandbox.spec.python,
            "-I",
            "-S",
            "-c",
            self._text,
            name,
            *([request.decode()] if is_short else []),
        ]
        time_s = (NO_TIMEOUT_S if timeout_s is None else timeout_s) + START_GRACE_S
        most = bytes_max + 64 * 1024
        # The shell keeps the head and the tail of an output, half each: within the limit that is all of it.
        head = {"op": "bash", "timeout_s": time_s, "output_bytes_max": most, "bare": True, "name": name}
        got = self._sandbox.ask(
            head, shlex.join(words).encode(), deadline_s=time_s + START_GRACE_S, body_bytes_max=2 * most
        )
        return got if isinstance(got, GuestExit) else _executed(got)

    def _stage(self, name: str, content: bytes) -> Executed | GuestExit | None:
        """Put a file into the workspace; what is wrong, if anything."""
        got = self._sandbox.ask({"op": "create", "path": name}, content, deadline_s=STAGE_DEADLINE_S)
        if isinstance(got, GuestExit):
            return got
        if got.frame.head.get("ok"):
            return None
        return Executed(Kind.FAILED, 28, err=str(got.frame.head.get("error", ""))[:500].encode())  # ENOSPC, mostly


def new_name() -> str:
    """A name that no file has."""
    return f".runner-{secrets.token_hex(8)}"


def _of_file(got: Executed | GuestExit) -> Executed | GuestExit:
    """A file has no status: where there is one, what should have read or written it was ended before it answered."""
    if isinstance(got, Executed) and got.kind is Kind.DONE and got.number:
        return Executed(Kind.FAILED, errno.EIO, err=got.err)
    return got


def _executed(got: Received) -> Executed | GuestExit:
    body, head = bytes(got.frame.body), got.frame.head
    if len(body) >= HEADER.size:
        kind, number, out_bytes, err_bytes = HEADER.unpack(body[: HEADER.size])
        if kind in tuple(Kind) and len(body) == HEADER.size + out_bytes + err_bytes:
            end = HEADER.size + out_bytes
            return Executed(Kind(kind), number, body[HEADER.size : end], body[end:])
    if head.get("why") == "timeout":
        return Executed(Kind.TIMED_OUT)
    if head.get("why") == "memory":
        return Executed(Kind.DONE, 137, err=b"killed for memory")
    if not head.get("ok"):
        return GuestExit(ExitCause.RUINED, str(head.get("error", ""))[:500])
    return Executed(Kind.DONE, 1, err=b"the command ended what started it, or spoke in its name")
