"""Signals that the main thread sees to at once, whatever it waits for.

Python notes a signal, and the main thread runs its handler when it comes to it: where it waits for a lock, the kernel has to
break the wait off. It does not where the signal comes in the moment before the wait begins, nor where the kernel hands it
to another thread; the handler then runs when the wait is over, which may be never. So a thread of its own breaks off what
the main thread waits for until the handler has run.
"""

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator

WAKING = signal.SIGURG  # ignored where nobody asks for it, and nothing here does
PAUSE_S = 0.05  # chosen: nobody notices
# Times that a wait is broken off for one signal. chosen: ten seconds; who got it may be a process that was forked from this.
TRIES = 200


@contextlib.contextmanager
def waking_main_thread(numbers: Collection[int]) -> Iterator[Callable[[], None]]:
    """In it, these signals are seen to at once; gives what a handler of them calls first. Of the main thread alone."""
    reader, writer = socket.socketpair()
    reader.setblocking(True)  # whatever code of others made the default of a socket
    writer.setblocking(False)
    main, is_seen = threading.main_thread().ident, False
    assert main is not None

    def see() -> None:
        nonlocal is_seen
        is_seen = True

    def wake() -> None:
        while told := reader.recv(1):
            for _ in range(TRIES if told[0] in numbers else 0):
                if is_seen:
                    return
                signal.pthread_kill(main, WAKING)
                time.sleep(PAUSE_S)

    waker = threading.Thread(target=wake, name="waker", daemon=True)
    handler = signal.signal(WAKING, lambda number, frame: None)
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    waker.start()
    try:
        yield see
    finally:
        see()
        signal.set_wakeup_fd(before)
        writer.shutdown(socket.SHUT_RDWR)  # a process that was forked meanwhile may hold it, too
        writer.close()
        waker.join()
        reader.close()
        signal.signal(WAKING, handler)
