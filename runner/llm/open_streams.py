"""The streams that are being read, so that another thread can break them off."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from runner.llm.model import TransientError


class OpenStreams:
    """Of one transport, for all threads that ask it."""

    def __init__(self) -> None:
        self._closed, self._open = threading.Event(), set[Any]()

    def close(self) -> None:
        """Break off whatever is under way, and whatever begins from now on."""
        self._closed.set()
        for stream in list(self._open):
            shut_down(stream)

    @contextlib.contextmanager
    def reading(self, stream: Any) -> Iterator[None]:
        """Hold the stream open to be broken off while it is read."""
        self._open.add(stream)
        try:
            yield
        finally:
            self._open.discard(stream)

    def check(self, end_s: float) -> None:
        """Called after each event: whether to read on.

        Raises:
            TransientError: the monotonic clock is past `end_s`, or everything is broken off.
        """
        if time.monotonic() > end_s or self._closed.is_set():
            raise TransientError("the answer took too long")


def shut_down(stream: Any) -> None:
    """Shut the socket of a stream of either SDK, from another thread: to close it would not wake a blocked read."""
    network = stream.response.extensions.get("network_stream")
    connection = network.get_extra_info("socket") if network is not None else None
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
