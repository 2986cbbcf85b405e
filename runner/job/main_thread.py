"""Signals that the main thread sees to at once, whatever it waits for.

Python notes a signal, and the main thread runs its handler when it comes to it: where it waits for a lock, the kernel has to
break the wait off. It does not where the signal comes in the moment before the wait begins, nor where the kernel hands it
to another thread; the handler then runs when the wait is over, which may be never. So a thread of its own breaks off what
the main thread waits for until the handler has run.

An exception that a handler raises comes wherever the main thread is. In Python's own code that takes and gives back locks
(conditions, events, futures: `with` of them calls methods in Python, between whose steps it may come) it would leave one
taken for ever, and whichever thread needs it would never end. There the handler is told to wait for the next moment.
"""

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import FrameType

WAKING = signal.SIGURG  # ignored where nobody asks for it, and nothing here does
PAUSE_S = 0.05  # chosen: nobody notices
# How long waits are broken off for one signal. chosen: nobody waits longer; a process forked from this may have got it.
WAKING_S = 10.0
# chosen: of moments a thousandth of a second apart one is soon a good one, also in a loop that does nothing but take locks
PUT_OFF_S = 0.001
# How long a handler is told to wait. chosen: a lock that is not to be had for so long would hold whoever wants to end.
PUT_OFF_S_MAX = 1.0
CONDITION_WAIT = threading.Condition.wait.__code__
LOCKING = {code.co_filename for code in (CONDITION_WAIT, Future.result.__code__, ThreadPoolExecutor.submit.__code__)}
# Functions of theirs that wait, and take no lock that they do not give back however they end.
WAITING = {"wait", "join", "_wait_for_tstate_lock"}


def may_interrupt(frame: FrameType | None) -> bool:
    """Whether an exception may come here: not where it would leave a lock of Python's own taken."""
    if frame is None or frame.f_code.co_filename not in LOCKING:
        return True
    if frame.f_code is CONDITION_WAIT:  # else its lock is given back, and what follows would not take it
        return "gotit" in frame.f_locals
    return frame.f_code.co_name in WAITING


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
    put_off, put_off_until_s = 0, 0.0  # the signal whose handler was told to wait, and until when it is
    assert main is not None

    def see(number: int, frame: FrameType | None) -> bool:
        nonlocal is_seen, put_off, put_off_until_s
        if not may_interrupt(frame):
            if not put_off:
                put_off, put_off_until_s = number, time.monotonic() + PUT_OFF_S_MAX
            if time.monotonic() < put_off_until_s:
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
