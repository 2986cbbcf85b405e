"""What passes between the driver and a share on another host: lines of JSON, and a task's archive. Pure.

A request is one line, then the archive's bytes. A share answers with lines; each has a `kind`. Whatever comes is bounded and
parsed as JSON that others wrote; nothing else ever crosses, so that nothing needs to be unpickled.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from runner.records.run import JobConfig
from runner.records.untrusted_json import InvalidJson, parse_object

FORM = 1  # of the requests and lines
LINE_BYTES_MAX = 64 * 1024**2  # chosen: far over the largest record of a run, whose samples are some hundred
CHUNK_BYTES = 1024**2  # chosen: of a file; small beside what a line may have
FILE_BYTES_MAX = 512 * 1024**2  # chosen: of a share's files that are not whole; a long transcript has some megabytes
OPEN_FILES_MAX = 100  # chosen: episodes that end at once send a few side by side
# What a run's folder holds: a file's name, or one in `snapshots`, which is none itself; never a path that leaves it.
FILE_NAME = re.compile(r"snapshots/(?!\.)[A-Za-z0-9_.-]{1,128}|(?!\.|snapshots\Z)[A-Za-z0-9_.-]{1,128}")


class LineKind(StrEnum):
    """What a share says."""

    PLACED = "placed"  # on a host, by its node
    STARTED = "started"  # the host's engine, image and certificate are known
    NOTE = "note"  # a step, in words
    FILE = "file"  # a part of a file of a run's folder
    SUBMITTED = "submitted"  # an episode is over, and what it left waits to be graded
    FINISHED = "finished"  # a run's outcome is final, as far as this host can tell
    CALIBRATED = "calibrated"
    ASK = "ask"  # of the job's book; never leaves the host's relay
    REFUSED = "refused"  # nothing was started: cause and hint
    ENDED = "ended"  # the share is over


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An episode that is over, to be graded.

    Attributes:
        run: its record, as `results.json` has it.
        submission: bytes; None where only the snapshots are graded.
        snapshots: contents, in the order of the record's.
    """

    run: Mapping[str, Any]
    submission: bytes | None = None
    snapshots: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a host is asked to do.

    Attributes:
        runner: version of the driver's program, which must be the host's.
        work: `play`, or `calibrate`.
        numbers: runs to be played and graded.
        waiting: episodes to be graded only.
        seeds: data seeds of the first rounds; fresh ones after these.
        rounds: of a calibration.
    """

    runner: str
    config: JobConfig
    work: str = "play"
    numbers: tuple[int, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    seeds: tuple[int, ...] = ()
    rounds: int = 0


def request_line(request: Request) -> bytes:
    """A request as its line."""
    waiting = [
        {
            "run": dict(one.run),
            "submission": None if one.submission is None else base64.b64encode(one.submission).decode("ascii"),
            "snapshots": [base64.b64encode(content).decode("ascii") for content in one.snapshots],
        }
        for one in request.waiting
    ]
    content = {
        "form": FORM, "runner": request.runner, "work": request.work, "config": asdict(request.config),
        "numbers": request.numbers, "waiting": waiting, "seeds": [f"{seed:#x}" for seed in request.seeds],
        "rounds": request.rounds,
    }  # fmt: skip
    return line_of(content)


def line_of(content: Mapping[str, Any]) -> bytes:
    """An object as a line."""
    return json.dumps(content, ensure_ascii=True, allow_nan=False, default=str).encode("ascii") + b"\n"


def read_line(line: bytes) -> dict[str, Any]:
    """The object of a line.

    Raises:
        ValueError: it is none, or too long.
    """
    if len(line) > LINE_BYTES_MAX:
        raise ValueError(f"a line of {len(line)} bytes; {LINE_BYTES_MAX} are read")
    return read_request(line)


def read_request(line: bytes) -> dict[str, Any]:
    """The object of a request: as long as the work that waits in it, since the driver's own word needs no bound.

    Raises:
        ValueError: it is none.
    """
    try:
        return parse_object(line)
    except InvalidJson as error:
        raise ValueError(f"a line that is {error}") from error


def read_bytes(text: Any) -> bytes:
    """Bytes that a line holds.

    Raises:
        ValueError: it does not.
    """
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("what should be base64 is not") from error


def file_lines(run: int, name: str, content: bytes) -> Iterator[bytes]:
    """A file of a run's folder, in parts."""
    for start in range(0, max(len(content), 1), CHUNK_BYTES):
        part = base64.b64encode(content[start : start + CHUNK_BYTES]).decode("ascii")
        last = start + CHUNK_BYTES >= len(content)
        yield line_of({"kind": LineKind.FILE, "run": run, "name": name, "part": part, "last": last})


@dataclass(slots=True)
class Files:
    """Puts files together from their parts."""

    parts: dict[tuple[int, str], bytearray] = field(default_factory=dict)

    def add(self, line: Mapping[str, Any], numbers: Sequence[int]) -> tuple[int, str, bytes] | None:
        """Run, name and content of a file that is whole now; None while it is not.

        Args:
            numbers: of the runs that the share has.

        Raises:
            ValueError: another share's run, a name that leaves the run's folder, or too large or too many at once.
        """
        run, name = line.get("run"), line.get("name")
        if not isinstance(run, int) or run not in numbers:
            raise ValueError("a file of a run that it does not have")
        if not isinstance(name, str) or not FILE_NAME.fullmatch(name):
            raise ValueError("a file whose name is none of a run's folder")
        content = self.parts.setdefault((run, name), bytearray())
        content += read_bytes(line.get("part"))
        if len(self.parts) > OPEN_FILES_MAX or sum(map(len, self.parts.values())) > FILE_BYTES_MAX:
            raise ValueError(
                f"files of more than {FILE_BYTES_MAX} bytes, or more than {OPEN_FILES_MAX}, that are not whole"
            )
        return (run, name, bytes(self.parts.pop((run, name)))) if line.get("last") else None
