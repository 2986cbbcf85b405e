"""On a host: starts a share as a program of its own, and passes its lines on.

Whoever has the share (a worker of Ray's) reads the lines that `play_share` yields; questions about money are answered on the
way, by what reaches the driver's book.
"""

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import runner
from runner.hosts.messages import LineKind, line_of, read_line, read_request
from runner.settings import inherited_environment

STDERR_BYTES = 4000  # chosen: the end of a traceback
END_S = 60.0  # chosen: longer than a share takes to stop its containers

# Passes a question on to the book, as bytes of JSON; None where no answer came in time.
AskBook = Callable[[bytes], bytes | None]


def play_share(
    request: bytes, archive: bytes, ask: AskBook, environment: Mapping[str, str] | None = None
) -> Iterator[bytes]:
    """The lines of a share that is played here, as they come about.

    Args:
        request: of `request_line`.
        archive: of `pack_task`.
        environment: variables besides this process's own.
    """
    content = read_request(request)  # before anything is started for it
    process = _start(environment or {})
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    said = bytearray()
    writing = threading.Lock()

    def write(data: bytes) -> None:
        assert process.stdin is not None
        with writing, contextlib.suppress(OSError, ValueError):  # it has ended
            process.stdin.write(data)
            process.stdin.flush()

    def answer(asked: bytes) -> None:
        with contextlib.suppress(ValueError, KeyError):  # a line that was cut off: who asked is gone
            line = read_line(asked)
            reply = ask(line_of(dict(line["question"])))
            write(line_of({"id": line["id"], "answer": None if reply is None else read_line(reply)}))

    def read() -> None:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if b'"kind": "ask"' in line[:40]:
                    threading.Thread(target=answer, args=(line,), daemon=True).start()
                else:
                    lines.put(line)
        finally:
            lines.put(None)  # nobody waits for a word that cannot come

    def read_errors() -> None:
        assert process.stderr is not None
        for part in process.stderr:
            said.extend(part)
            del said[:-STDERR_BYTES]

    threads = [threading.Thread(target=target, daemon=True) for target in (read, read_errors)]
    for thread in threads:
        thread.start()
    write(line_of({**content, "archive_bytes": len(archive)}))
    write(archive)
    try:
        ended = False
        while (line := lines.get()) is not None:
            ended = ended or any(
                f'"kind": "{kind}"'.encode() in line[:40] for kind in (LineKind.ENDED, LineKind.REFUSED)
            )
            yield line
        process.wait()
        if not ended:
            threads[1].join(1.0)
            yield _broke_off(process.returncode, bytes(said))
    finally:
        _end(process)


def _broke_off(status: int, said: bytes) -> bytes:
    """The last line of a share whose program ended without one of its own."""
    words = said.decode("utf-8", "replace").strip().splitlines()
    cause = f"the share's program ended with status {status}: {words[-1] if words else 'no word'}"
    return line_of({"kind": LineKind.REFUSED, "cause": cause, "hint": "run `python -m runner doctor` on that host"})


def _start(environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """The share's program: in a session of its own, and on every CPU, whatever this process was kept to."""
    package = str(Path(runner.__file__).resolve().parents[1])
    inherited = inherited_environment()
    paths = os.pathsep.join(filter(None, (package, inherited.get("PYTHONPATH", ""))))
    everywhere = "hasattr(os, 'sched_setaffinity') and os.sched_setaffinity(0, range(os.cpu_count() or 1));"
    run = "runpy.run_module('runner.hosts.share', run_name='__main__')"
    return subprocess.Popen(
        [sys.executable, "-c", f"import os, runpy; {everywhere} {run}"],
        env={**inherited, **environment, "PYTHONPATH": paths},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close its input, which ends it; kill it where it does not end."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
