"""When a connection has something to read: told to the thread that drains it, unless whoever waits for an answer looks."""

import contextlib
import select
import socket
from typing import Self


class Readiness:
    """Wakes one thread when bytes are there, or the end is. To rest wakes nobody, which is what makes it cheap.

    All but `wait` is called by one thread at a time.

    Raises:
        OSError: this process gets no more descriptors.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._descriptor = connection.fileno()
        self._epoll = select.epoll()
        self.watch()

    @classmethod
    def of(cls, connection: socket.socket) -> Self | None:
        """None where the platform has no such means (only Linux has), or gives no more of it."""
        if not hasattr(select, "epoll"):
            return None
        try:
            return cls(connection)
        except OSError:
            return None

    def wait(self, seconds: float) -> bool:
        """Whether something can be read, or could a moment ago."""
        return bool(self._epoll.poll(seconds, 1))

    def rest(self) -> None:
        """Tell of nothing from now on."""
        with contextlib.suppress(OSError, ValueError):  # the connection, or this, was closed
            self._epoll.unregister(self._descriptor)

    def watch(self) -> None:
        """Tell of what is there, and of what comes. Not for a connection that was closed: its number may be another's."""
        with contextlib.suppress(OSError, ValueError):
            self._epoll.register(self._descriptor, select.EPOLLIN)

    def close(self) -> None:
        """Give the descriptor back."""
        self._epoll.close()
