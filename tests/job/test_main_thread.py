"""A signal is seen to at once, whatever the main thread waits for, and whichever thread the kernel hands it to."""

import contextlib
import gc
import importlib
import inspect
import io
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import FrameType

import pytest

from runner.job import main_thread
from runner.job.main_thread import WAKING, may_interrupt, waking_main_thread
from tests.environment import clean_environment

# Waits for what never comes, while a signal comes to another thread: the kernel breaks no wait of the main thread off.
WAITS = """
import signal, sys, threading, time
from runner.cli.signals import interrupt_on_sigterm

def elsewhere():
    time.sleep(0.2)
    signal.pthread_kill(threading.get_ident(), int(sys.argv[1]))
    time.sleep(600)

never = {"lock": threading.Lock(), "event": threading.Event(), "thread": threading.Thread(target=elsewhere, daemon=True)}
never["lock"].acquire()
wait = {"lock": never["lock"].acquire, "event": never["event"].wait, "thread": never["thread"].join}[sys.argv[2]]
try:
    with interrupt_on_sigterm():
        never["thread"].start()
        wait()
except KeyboardInterrupt:
    print("ended")
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("waits_for", ["lock", "event", "thread"])
def test_a_signal_that_another_thread_is_handed_ends_what_the_main_thread_waits_for(
    project: Path, number: signal.Signals, waits_for: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WAITS, str(int(number)), waits_for],
        cwd=project, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("ended\n", "")


def test_a_process_that_was_forked_meanwhile_puts_off_no_end() -> None:
    with waking_main_thread({signal.SIGUSR1}):
        child = os.fork()
        if not child:
            time.sleep(300)
            os._exit(0)
    assert os.waitpid(child, os.WNOHANG) == (0, 0), "the child went on"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


@pytest.mark.slow
def test_a_default_of_sockets_that_others_set_ends_no_waiting_for_signals() -> None:
    socket.setdefaulttimeout(0.05)
    try:
        with waking_main_thread({signal.SIGUSR1}):
            waker = next(thread for thread in threading.enumerate() if thread.name == "waker")
            waker.join(0.5)
            assert waker.is_alive()
    finally:
        socket.setdefaulttimeout(None)


def test_what_was_set_before_is_set_afterwards() -> None:
    before = signal.getsignal(WAKING), signal.set_wakeup_fd(-1)
    with waking_main_thread({signal.SIGUSR1}):
        assert signal.getsignal(WAKING) is not before[0]
    assert (signal.getsignal(WAKING), signal.set_wakeup_fd(before[1])) == (before[0], -1)


def test_ctrl_c_while_the_program_is_loaded_ends_it_without_a_traceback(
    project: Path, home: str, tmp_path: Path
) -> None:
    (tmp_path / "typer.py").write_text("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n")
    environment = clean_environment(home, PYTHONPATH=str(tmp_path))
    command = [sys.executable, "-m", "runner", "doctor"]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


class Ended(BaseException):
    """As KeyboardInterrupt is one, which no `except Exception` of others stops."""


def use_condition() -> tuple[Callable[[], object], list[threading.Lock]]:
    condition = threading.Condition(lock := threading.Lock())

    def use() -> None:
        with condition:
            condition.wait(0.00001)

    return use, [lock]


def use_event() -> tuple[Callable[[], object], list[threading.Lock]]:
    event = threading.Event()

    def use() -> None:
        event.set()
        event.clear()

    return use, [event._cond._lock]  # type: ignore[attr-defined]


def use_semaphore() -> tuple[Callable[[], object], list[threading.Lock]]:
    semaphore = threading.Semaphore()

    def use() -> None:
        with semaphore:
            pass

    return use, [semaphore._cond._lock]  # type: ignore[attr-defined]


def use_future() -> tuple[Callable[[], object], list[threading.Lock]]:
    future = Future[None]()
    return future.done, [future._condition._lock]  # type: ignore[attr-defined]


def use_logger() -> tuple[Callable[[], object], list[threading.Lock]]:
    handler = logging.StreamHandler(io.StringIO())
    assert handler.lock is not None
    logger, lock = logging.Logger("anyone's"), handler.lock

    def use() -> None:
        handler.handle(RECORD)
        logger.isEnabledFor(logging.INFO)
        logger._cache.clear()  # type: ignore[attr-defined]

    return use, [lock, logging._lock]  # type: ignore[attr-defined, list-item]


def use_import() -> tuple[Callable[[], object], list[threading.Lock]]:
    def use() -> None:
        importlib.import_module("colorsys")
        del sys.modules["colorsys"]

    return use, [ModuleLock("colorsys")]  # type: ignore[list-item]


def use_context_manager() -> tuple[Callable[[], object], list[threading.Lock]]:
    lock = threading.Lock()

    @contextlib.contextmanager
    def held() -> Iterator[None]:
        with lock:
            yield

    def use() -> None:
        with held():
            pass
        with contextlib.ExitStack() as stack:
            stack.enter_context(held())

    return use, [lock]


class ModuleLock:
    """The lock of an import, as other threads meet it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def acquire(self, timeout: float) -> bool:
        other = threading.Thread(target=lambda: importlib.import_module(self.name), daemon=True)
        other.start()
        other.join(timeout)
        return not other.is_alive()

    def release(self) -> None:
        """Whoever imports gives it back."""


RECORD = logging.LogRecord("anyone's", logging.INFO, __file__, 1, "said", None, None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "times"),  # so many that without any care one would be left, by far
    [
        (use_condition, 300),
        (use_event, 200),
        (use_semaphore, 150),
        (use_future, 150),
        (use_logger, 100),
        (use_import, 100),
        (use_context_manager, 100),
    ],
)
def test_what_a_handler_raises_leaves_no_lock_taken_that_other_threads_need(
    make: Callable[[], tuple[Callable[[], object], list[threading.Lock]]], times: int
) -> None:
    draw, before = random.Random(7), signal.getsignal(signal.SIGALRM)
    try:
        for _ in range(times):
            use, locks = make()
            interrupt_soon(use, draw.uniform(50e-6, 200e-6))
            assert all(is_free(lock) for lock in locks)
    finally:
        signal.signal(signal.SIGALRM, before)


def interrupt_soon(use: Callable[[], object], after_s: float) -> None:
    """Do something again and again, until a handler's exception ends it."""
    with waking_main_thread({signal.SIGALRM}) as may_go_on:

        def end(number: int, frame: FrameType | None) -> None:
            if may_go_on(number, frame):
                raise Ended

        signal.signal(signal.SIGALRM, end)
        with pytest.raises(Ended):
            signal.setitimer(signal.ITIMER_REAL, after_s)
            end_s = time.monotonic() + 60.0
            while time.monotonic() < end_s:
                use()
                for _ in range(20):  # moments in which nothing is taken
                    pass


def is_free(lock: threading.Lock) -> bool:
    """Whether another thread can take it."""
    got: list[bool] = []

    def take() -> None:
        got.append(lock.acquire(timeout=1.0))
        if got[0]:
            lock.release()

    other = threading.Thread(target=take)
    other.start()
    other.join()
    return got[0]


def test_a_handler_that_is_put_off_for_ever_goes_on_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main_thread, "PUT_OFF_TIMES_MAX", 50)
    monkeypatch.setattr(main_thread, "may_interrupt", lambda frame: False)
    before = signal.getsignal(signal.SIGALRM)
    try:
        interrupt_soon(lambda: time.sleep(0.001), 0.001)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_an_exception_may_come_where_no_lock_of_pythons_is_taken() -> None:
    assert may_interrupt(inspect.currentframe()) and may_interrupt(None)


def raise_where_a_lock_is_taken(*numbers: int) -> None:
    """Raise these signals, one after the other, in a frame that stands for Python's own code of locks."""
    names: dict[str, Callable[..., None]] = {}
    source = "def take(numbers, send):\n    for number in numbers:\n        send(number)\n"
    exec(compile(source, threading.__file__, "exec"), names)
    names["take"](numbers, signal.raise_signal)


@pytest.fixture
def no_waker(monkeypatch: pytest.MonkeyPatch) -> None:
    """No signal comes but those that a test raises itself."""
    monkeypatch.setattr(signal, "pthread_kill", lambda thread, number: None)


@pytest.mark.usefixtures("no_waker")
@pytest.mark.parametrize("first", [signal.SIGALRM, WAKING])
@pytest.mark.parametrize("moment", ["before it asks", "while it asks", "after it was told to wait"])
def test_a_signal_that_comes_while_a_handler_runs_ends_nothing_where_a_lock_is_taken(
    monkeypatch: pytest.MonkeyPatch, moment: str, first: signal.Signals
) -> None:
    gone_on, nested = list[int](), iter([WAKING, signal.SIGALRM, WAKING])

    def come(now: str) -> None:
        if now == moment and told:
            for number in nested:
                signal.raise_signal(number)

    def look(frame: FrameType | None) -> bool:
        come("while it asks")
        return may_interrupt(frame)

    def handle(number: int, frame: FrameType | None) -> None:
        come("before it asks")
        if may_go_on(number, frame):
            gone_on.append(number)
        come("after it was told to wait")
        told.append(number)

    told: list[int] = []
    monkeypatch.setattr(main_thread, "may_interrupt", look)
    with waking_main_thread({signal.SIGALRM}) as may_go_on:
        before = signal.signal(signal.SIGALRM, handle)
        try:
            raise_where_a_lock_is_taken(signal.SIGALRM, first, WAKING)
        finally:
            signal.signal(signal.SIGALRM, before)
    assert (gone_on, len(told)) == ([], 6), "each is told to wait"


@pytest.mark.usefixtures("no_waker")
def test_a_machine_that_stands_still_costs_a_handler_that_waits_none_of_its_moments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone_on: list[bool] = []
    with waking_main_thread({signal.SIGALRM}) as may_go_on:
        before = signal.signal(signal.SIGALRM, lambda number, frame: gone_on.append(may_go_on(number, frame)))
        try:
            raise_where_a_lock_is_taken(signal.SIGALRM)
            now = time.monotonic()
            monkeypatch.setattr(time, "monotonic", lambda: now + 3600.0)
            raise_where_a_lock_is_taken(WAKING)
        finally:
            signal.signal(signal.SIGALRM, before)
    assert gone_on == [False, False]


class Freed:
    """Something that a signal comes to as it is freed, in a function of another name."""

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        signal.raise_signal(signal.SIGALRM)


def free_what_has_a_finalizer() -> None:
    Freed()


def free_what_a_weak_set_holds() -> None:
    held, thing = weakref.WeakSet[Ended](), Ended()
    held.add(thing)
    file, tracer = weakref.WeakSet.add.__code__.co_filename, sys.gettrace()

    def come(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_filename == file and frame.f_code.co_name == "_remove":
            sys.settrace(tracer)
            signal.raise_signal(signal.SIGALRM)

    sys.settrace(come)
    try:
        del thing
    finally:
        sys.settrace(tracer)


def free_what_a_finalizer_waits_for() -> None:
    thing = Ended()
    weakref.finalize(thing, signal.raise_signal, signal.SIGALRM)
    del thing


def free_a_generator() -> None:
    def waits() -> Iterator[None]:
        try:
            yield
        finally:
            signal.raise_signal(signal.SIGALRM)

    next(waits())


def collect_garbage() -> None:
    def come(phase: str, info: object) -> None:
        if phase == "start":
            signal.raise_signal(signal.SIGALRM)

    gc.callbacks.append(come)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(come)


@pytest.mark.parametrize(
    "free",
    [
        free_what_has_a_finalizer,
        free_what_a_weak_set_holds,
        free_what_a_finalizer_waits_for,
        free_a_generator,
        collect_garbage,
    ],
)
def test_a_signal_that_comes_while_something_is_freed_is_not_lost(free: Callable[[], None]) -> None:
    def end(number: int, frame: FrameType | None) -> None:
        if may_go_on(number, frame):
            raise Ended

    with waking_main_thread({signal.SIGALRM}) as may_go_on:
        before = signal.signal(signal.SIGALRM, end)
        try:
            with pytest.raises(Ended):
                free()
                time.sleep(30)
        finally:
            signal.signal(signal.SIGALRM, before)
