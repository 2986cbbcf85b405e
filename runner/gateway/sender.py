"""What goes into the sandbox, in order, and never further ahead than PID 1 has room for."""

import queue
import threading
from collections.abc import Callable

# Both as in sandbox/inside/channel.py (a test compares them). Chosen: a window of 1 MiB, which PID 1 may have to hold
# while the forwarder does not read. A frame beyond the window would be lost there.
FRAMES_AHEAD_MAX = 16
PIECE_BYTES = 64 * 1024  # a pipe's buffer on Linux; the forwarder's is the same (a test compares them)
# Chosen: the largest answers of all exchanges that a program may leave unread; past that, an answer is read on and
# thrown away.
QUEUED_BYTES_MAX = 64 * 1024 * 1024
POLL_S = 0.25  # how soon a stop is seen


class Sender:
    """Sends from a thread of its own, so that no exchange waits for the sandbox, which may be frozen.

    Args:
        send: sends a piece of at most `PIECE_BYTES`; False where the sandbox is gone.
    """

    def __init__(self, send: Callable[[bytes], bool]) -> None:
        self._send, self._lock = send, threading.Lock()
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._window = threading.Semaphore(FRAMES_AHEAD_MAX)
        self._queued_bytes, self._stopped = 0, threading.Event()
        self._thread = threading.Thread(target=self._work, name="gateway-sender", daemon=True)
        self._thread.start()

    def put(self, message: bytes) -> bool:
        """Send it when there is room; False where too much is queued already, or the sender has stopped."""
        with self._lock:
            if self._stopped.is_set() or self._queued_bytes + len(message) > QUEUED_BYTES_MAX:
                return False
            self._queued_bytes += len(message)
        self._queue.put(message)
        return True

    def open_window(self, frames: int) -> None:
        """So many frames have left PID 1, and as many may follow."""
        self._window.release(min(frames, FRAMES_AHEAD_MAX))

    def stop(self) -> None:
        """Send nothing more."""
        self._stopped.set()
        self._queue.put(None)

    def _work(self) -> None:
        while (message := self._queue.get()) is not None and not self._stopped.is_set():
            for at in range(0, len(message), PIECE_BYTES):
                while not self._window.acquire(timeout=POLL_S):
                    if self._stopped.is_set():
                        return
                if not self._send(message[at : at + PIECE_BYTES]):
                    self._stopped.set()
                    return
            with self._lock:
                self._queued_bytes -= len(message)
