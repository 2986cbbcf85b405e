"""Signals that the main thread sees to at once, whatever it waits for.

Python notes a signal, and the main thread runs its handler when it comes to it: where it waits for a lock, the kernel has to
break the wait off. It does not where the signal comes in the moment before the wait begins, nor where the kernel hands it
to another thread; the handler then runs when the wait is over, which may be never. So a thread of its own breaks off what
the main thread waits for until the handler has run.

An exception that a handler raises comes wherever the main thread is. In Python's own code that takes and gives back locks
(conditions, events, futures, loggers, imports, context managers: methods in Python, between whose steps it may come) it
would leave one taken for ever, and whichever thread needs it would never end; where something is freed (`__del__`) it would
be printed, and the main thread go on. There the handler is told to wait for the next moment. A signal may also come while
the handler of one runs: what it would raise comes out where that one was called.
"""

import contextlib
import gc
import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import CodeType, FrameType
from weakref import WeakSet, WeakValueDictionary

WAKING = signal.SIGURG  # ignored where nobody asks for it, and nothing here does
PAUSE_S = 0.05  # chosen: nobody notices
# How long waits are broken off for one signal. chosen: nobody waits longer; a process forked from this may have got it.
WAKING_S = 10.0
# chosen: of moments a thousandth of a second apart one is soon a good one, also in a loop that does nothing but take locks
PUT_OFF_S = 0.001
# How often a handler is told to wait. chosen: a lock that is not to be had for a second would hold whoever wants to end.
# Times, and no time: a machine that stands still for a second brings no better moment.
PUT_OFF_TIMES_MAX = 1000
CONDITION_WAIT = threading.Condition.wait.__code__
LOCKING = {
    CONDITION_WAIT.co_filename,
    Future.result.__code__.co_filename,
    ThreadPoolExecutor.submit.__code__.co_filename,
    contextlib.ExitStack.enter_context.__code__.co_filename,  # what it has just entered would be left by nobody
    logging.Handler.handle.__code__.co_filename,
    "<frozen importlib._bootstrap>",
}
# Functions of theirs that wait, and take no lock that they do not give back however they end.
WAITING = {"wait", "join", "_wait_for_tstate_lock"}
# What Python calls as things are freed: it prints what such code raises, and goes on.
FREEING_FILES = {code.co_filename for code in (WeakSet.add.__code__, WeakValueDictionary.copy.__code__)}
FREEING = {"remove", "_remove", "_cb", "__call__"}  # in these files; the last one is that of `weakref.finalize`


def may_interrupt(frame: FrameType | None) -> bool:
    """Whether an exception may come here: not where it would be lost, or leave a lock of Python's own taken."""
    if is_freeing(frame):
        return False
    if frame is None or frame.f_code.co_filename not in LOCKING:
        return True
    if frame.f_code is CONDITION_WAIT:  # else its lock is given back, and what follows would not take it
        return "gotit" in frame.f_locals
    return frame.f_code.co_name in WAITING


def is_freeing(frame: FrameType | None) -> bool:
    """Whether this runs because something is freed, or garbage is collected: a finalizer, or the end of a generator."""
    if sys.exc_info()[0] is GeneratorExit:
        return True
    callbacks = {getattr(called, "__code__", None) for called in (*gc.callbacks, sys.unraisablehook)}
    while frame is not None:
        code, frame = frame.f_code, frame.f_back
        if (
            code.co_name == "__del__"
            or code in callbacks
            or (code.co_name in FREEING and code.co_filename in FREEING_FILES)
        ):
            return True
    return False


def interrupted_frame(frame: FrameType | None, handlers: Collection[CodeType]) -> FrameType | None:
    """Where what a handler raises comes out: below whichever handlers of signals were interrupted by the next one."""
    interrupted = frame
    while frame is not None:
        if frame.f_code in handlers:
            interrupted = frame.f_back
        frame = frame.f_back
    return interrupted


@contextlib.contextmanager
def waking_main_thread(numbers: Collection[int]) -> Iterator[Callable[[int, FrameType | None], bool]]:
    """In it, these signals are seen to at once. Of the main thread alone.

    Gives what a handler of them asks first, with its own arguments: whether it may go on and raise what it likes. Where it
    may not, it has to return, and is called again soon.
    """
    reader, writer = socket.socketpair()
    reader.setblocking(True)  # whatever code of others made the default of a socket
    writer.setblocking(False)
    main, is_seen = threading.main_thread().ident, False
    put_off, put_off_times = 0, 0  # the signal whose handler was told to wait, and how often one was
    assert main is not None

    def see(number: int, frame: FrameType | None) -> bool:
        nonlocal is_seen, put_off, put_off_times
        asked = [getattr(signal.getsignal(each), "__code__", None) for each in (WAKING, *numbers)]
        handlers = {code for code in asked if code is not None}
        if put_off_times < PUT_OFF_TIMES_MAX and not may_interrupt(interrupted_frame(frame, handlers)):
            put_off, put_off_times = put_off or number, put_off_times + 1
            return False
        is_seen = True
        return True

    def wake() -> None:
        while told := reader.recv(1):
            end_s = time.monotonic() + WAKING_S
            while told[0] in numbers and time.monotonic() < end_s:
                if is_seen:
                    return
                signal.pthread_kill(main, WAKING)
                time.sleep(PUT_OFF_S if put_off else PAUSE_S)

    def woken(number: int, frame: FrameType | None) -> None:
        handler = signal.getsignal(put_off) if put_off and not is_seen else None
        if callable(handler):
            handler(put_off, frame)

    waker = threading.Thread(target=wake, name="waker", daemon=True)
    of_waking = signal.signal(WAKING, woken)
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    waker.start()
    try:
        yield see
    finally:
        is_seen = True
        signal.set_wakeup_fd(before)
        writer.shutdown(socket.SHUT_RDWR)  # a process that was forked meanwhile may hold it, too
        writer.close()
        waker.join()
        reader.close()
        signal.signal(WAKING, of_waking)
