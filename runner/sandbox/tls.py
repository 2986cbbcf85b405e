"""A TLS connection that one thread reads and others write.

OpenSSL allows one call at a time on a connection, and not every version of Python sees to it: what two threads do at once
can spoil either direction, and would look like bytes of the guest's that are no frames.
"""

import errno
import os
import select
import ssl
import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class OneAtATime:
    """Reads and writes of a connection, one call at a time, neither of which waits for the other.

    Args:
        step_s: how long a call may wait, seconds.
    """

    def __init__(self, connection: ssl.SSLSocket, step_s: float) -> None:
        self._connection, self._step_s, self._calling = connection, step_s, threading.Lock()
        connection.setblocking(False)  # whoever waits, waits outside of the lock

    def recv(self, bytes_max: int) -> bytes:
        """What has come, at least a byte; empty at the end.

        Raises:
            TimeoutError: nothing came in a step.
            OSError: the connection failed, or was closed.
        """
        return self._call(lambda: self._connection.recv(bytes_max))

    def send(self, data: memoryview) -> int:
        """How many bytes were taken.

        Raises:
            TimeoutError: none in a step; the same have to be given again.
            OSError: the connection failed, or was closed.
        """
        return self._call(lambda: self._connection.send(data))

    def _call(self, make: Callable[[], T]) -> T:
        end_s = time.monotonic() + self._step_s
        while True:
            descriptor = self._connection.fileno()
            try:
                with self._calling:
                    return make()
            except ssl.SSLWantReadError:
                wanted = select.POLLIN
            except ssl.SSLWantWriteError:
                wanted = select.POLLOUT
            if descriptor < 0:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            ready = select.poll()  # takes any number of a descriptor
            ready.register(descriptor, wanted)
            if not ready.poll(max(0.0, end_s - time.monotonic()) * 1000):
                raise TimeoutError
