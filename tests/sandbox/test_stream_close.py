"""What `attach_socket` gave is closed in an order that leaves nobody behind who complains."""

import gc
import http.client
import socket
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from runner.sandbox.stream import close_attached

HEAD = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


class Answer(http.client.HTTPResponse):
    """Told from the answers of other tests, which may be collected meanwhile."""


def attached(ours: socket.socket) -> Any:
    """What the SDK makes of an answer: the file below it, with the answer hung onto it."""
    answer: Any = Answer(ours)
    answer.begin()
    raw = answer.fp.raw
    raw._response = SimpleNamespace(raw=SimpleNamespace(_fp=answer))
    return raw


@pytest.mark.slow
def test_both_sides_end_and_nothing_complains_also_the_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    complaints: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", complaints.append)
    ours, theirs = socket.socketpair()
    theirs.sendall(HEAD)
    stream = attached(ours)
    reader = threading.Thread(target=theirs.recv, args=(1,))
    reader.start()
    close_attached(stream)
    close_attached(stream)
    reader.join(timeout=5)
    assert not reader.is_alive() and theirs.recv(1) == b""
    del stream
    ours.close()
    theirs.close()
    gc.collect()
    assert [complaint for complaint in complaints if isinstance(complaint.object, Answer)] == []
