"""Code that others wrote and that runs in this process: what it prints, where it goes, and what it does to what it gets."""

import contextlib
import functools
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TextIO

import numpy as np

from runner.tasks.authoring import Case, Cases, Question

# What stops a command (SIGURG is our own, `runner.job.main_thread`), and what would end it where its reader left.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGURG)


class Reopened(Protocol):
    """A descriptor of the process's own, such as that of standard output."""

    def reopen(self) -> None:
        """Have its number again where somebody closed it."""
        ...


# Those of the command line (`report/output.py`); none where the runner is a library.
standard_descriptors: list[Reopened] = []
# What others put in the place of a standard stream. Kept to the end: freed, one that was opened on a descriptor closes it.
_replaced: list[object] = []


def reopen_descriptors() -> None:
    """After code of others ran: it may have closed a standard descriptor, and the next file would get its number."""
    for descriptor in standard_descriptors:
        descriptor.reopen()


def put_back(streams: tuple[TextIO, TextIO]) -> None:
    """Make these standard output and error again."""
    _replaced.extend(put for put, own in zip((sys.stdout, sys.stderr), streams, strict=True) if put is not own)
    sys.stdout, sys.stderr = streams
    reopen_descriptors()


@contextlib.contextmanager
def same_streams() -> Iterator[None]:
    """Standard output and error are as before, whatever the code of others puts there, or closes."""
    before = sys.stdout, sys.stderr
    try:
        yield
    finally:
        put_back(before)


@contextlib.contextmanager
def prints_aside() -> Iterator[None]:
    """What this thread prints in it goes to standard error where standard output is the program's (`report/output.py`)."""
    with getattr(sys.stdout, "aside", contextlib.nullcontext)():
        yield


@contextlib.contextmanager
def same_folder() -> Iterator[None]:
    """Paths of the command line are the user's, relative to where it was given, wherever the code of others goes."""
    try:
        here = os.open(".", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # it was removed, or may not be read
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.fchdir(here)
        os.close(here)


@contextlib.contextmanager
def same_signals() -> Iterator[None]:
    """What ends a command is seen to as before, whatever the code of others sets while it is loaded, as scripts do."""
    if threading.current_thread() is not threading.main_thread():  # no other can set a handler
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # one that is not Python's cannot be set from here
                signal.signal(number, handler)


@contextlib.contextmanager
def same_warnings() -> Iterator[None]:
    """What becomes of an overflow, and of a warning, is as before, whatever the code of others sets while it is loaded.

    Scores are computed in this process, of numbers that a guest chose: an error in place of a warning would end the job.
    """
    with np.errstate(), warnings.catch_warnings():
        yield


@contextlib.contextmanager
def usual_warnings() -> Iterator[None]:
    """No warning is an error, whatever code of others has made of them in the meantime."""
    is_main = threading.current_thread() is threading.main_thread()  # the filters are the process's
    if not is_main or all(action != "error" for action, *_ in warnings.filters):
        yield
        return
    with warnings.catch_warnings():
        warnings.resetwarnings()
        yield


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """What the code of others does while it is loaded stays with it: streams, folder, signals and warnings are as before."""
    with same_streams(), same_folder(), same_signals(), same_warnings():
        yield


def of_author(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a problem.py, which prints aside, and cannot change what the next call is given, or numpy's ways."""

    @functools.wraps(function)
    def called(*arguments: Any) -> Any:
        with prints_aside(), np.errstate():
            return function(*(_unchangeable(argument) for argument in arguments))

    return called


def _unchangeable(argument: Any) -> Any:
    """The same values, in collections of the callee's own.

    All samples of a round are scored with one case: what one call changed in it would be what the next file is held to.
    Arrays are read-only and not copies, since they may be large.
    """
    if isinstance(argument, Case | Cases | Question):
        return type(argument)(*map(_unchangeable, argument))
    if isinstance(argument, Mapping):
        return {name: _unchangeable(value) for name, value in argument.items()}
    if isinstance(argument, list):
        return list(argument)
    if isinstance(argument, np.ndarray):
        seen = argument.view()
        seen.setflags(write=False)
        return seen
    return argument
