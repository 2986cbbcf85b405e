"""A proxy before the engine's socket: it rewrites what is asked of the engine, or goes away."""

import contextlib
import socket
import threading
from pathlib import Path

from runner.sandbox.engine import Engine


class EngineProxy:
    """Passes bytes on; `was` becomes `becomes` on the way to the engine, same length for same length."""

    def __init__(self, path: Path, engine: Engine, was: bytes = b"\0never", becomes: bytes = b"\0never") -> None:
        assert len(was) == len(becomes)
        self._was, self._becomes, self._target = was, becomes, engine.url.removeprefix("unix://")
        self._open: list[socket.socket] = []
        self._attached: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        threading.Thread(target=self._serve, daemon=True).start()

    def cut(self) -> None:
        """Go away, with every connection that is open."""
        for each in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def cut_attached(self) -> None:
        """Cut the streams of containers, as a tunnel with an idle limit does; the engine goes on."""
        for each in self._attached:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._target)
            self._open += [client, server]
            threading.Thread(target=self._pump, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, to_engine: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 20):
                if to_engine and b"/attach?" in data:
                    self._attached += [source, target]
                target.sendall(data.replace(self._was, self._becomes) if to_engine else data)
            target.shutdown(socket.SHUT_WR)
