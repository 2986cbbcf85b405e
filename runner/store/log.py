"""A job's own log, output/<job>/job.log: JSON lines of what happened when; the level is RUNNER_LOG_LEVEL.

`info` holds steps, faults and outcomes, `debug` every event of every episode by kind. Tracebacks are written without local
variables: a key may be one.
"""

import contextlib
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, cast

import structlog

from runner.faults import StoreFault

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


@contextlib.contextmanager
def job_log(folder: Path, level: str) -> Iterator[structlog.typing.FilteringBoundLogger]:
    """The logger of one job, while it lives.

    Raises:
        StoreFault: its file cannot be opened.
    """
    path = folder / "job.log"
    try:
        file = path.open("a", encoding="ascii")
    except OSError as error:
        raise StoreFault(
            cause=f"{path} cannot be written: {error.strerror}", hint="make room or give permission"
        ) from error
    try:
        yield _logger(file, LEVELS[level])
    finally:
        with contextlib.suppress(OSError):  # what a full disk did not take is lost again when it is closed
            file.close()


def _logger(file: TextIO, level: int) -> structlog.typing.FilteringBoundLogger:
    processors: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(
            structlog.tracebacks.ExceptionDictTransformer(show_locals=False, locals_max_string=0)
        ),
        structlog.processors.JSONRenderer(ensure_ascii=True),
    ]
    wrapper = structlog.make_filtering_bound_logger(level)
    logger = structlog.wrap_logger(_Lines(file), processors=processors, wrapper_class=wrapper)
    return cast(structlog.typing.FilteringBoundLogger, logger)


class _Lines:
    """Writes a line at once and whole; a disk that is full must not end a job for its log's sake."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._lock = file, threading.Lock()

    def msg(self, message: str) -> None:
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._file.write(message + "\n")
            self._file.flush()

    debug = info = warning = error = msg
