"""When a connection has something to read: told to the thread that drains it, unless whoever waits for an answer looks."""

import contextlib
import select
import socket
from typing import Self

# Tells of nothing but the end, and of that once: the kernel always adds the end, and without ONESHOT it would tell of it
# again and again.
_RESTING = getattr(select, "EPOLLONESHOT", 0)


class Readiness:
    """Wakes one thread when bytes are there, or the end is. To rest wakes nobody, which is what makes it cheap.

    All but `wait` is called by one thread at a time. The kernel's memory for it, and its place among the watches that a
    user may have, are taken here and kept: what is called later needs none.

    Raises:
        OSError: this process gets no more descriptors, or its user no more watches.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._descriptor = connection.fileno()
        self._epoll = select.epoll()
        try:
            self._epoll.register(self._descriptor, select.EPOLLIN)
        except OSError:
            self._epoll.close()
            raise

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
        """Tell of nothing from now on, but for the end."""
        self._change(_RESTING)

    def watch(self) -> None:
        """Tell of what is there, and of what comes. Not for a connection that was closed: its number may be another's."""
        self._change(select.EPOLLIN)

    def _change(self, events: int) -> None:
        with contextlib.suppress(OSError, ValueError):  # the connection, or this, was closed
            self._epoll.modify(self._descriptor, events)

    def close(self) -> None:
        """Give the descriptor back."""
        self._epoll.close()
