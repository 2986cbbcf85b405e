"""Chromium without a window, spoken to over its debugging pipe: messages of JSON that end in a NUL, on descriptors 3 and 4.

The pipe needs no port, no websocket and no driver. A missing browser, or axe-core, is an error with a hint, never a skip.
"""

import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
HINT = "`make browser` as root on Debian, or install Chromium and run `make browser` for axe-core"
# Both ends of the pipes are moved up here first, so that none of them is 3 or 4 already.
HIGH = 50
# A slow machine needs a tenth of it for the longest answer.
PATIENCE_S = 120
Json = dict[str, Any]


def find_chromium() -> str:
    """The browser's path."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    assert found is not None, f"no Chromium on PATH (hint: {HINT})"
    return found


def axe_source() -> str:
    """The text of axe-core."""
    path = Path(sys.prefix) / "axe" / "axe_playwright_python" / "axe.min.js"
    assert path.is_file(), f"{path} does not exist (hint: {HINT})"
    return path.read_text(encoding="utf-8")


class Browser:
    """A browser with one page.

    Attributes:
        events: what it said by itself, in order.
    """

    def __init__(self, to: IO[bytes], back: IO[bytes]) -> None:
        self.events: list[Json] = []
        self._to, self._back, self._asked, self._read = to, back, 0, b""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session: str | None = None
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> Json:
        """The result of one command of the DevTools protocol."""
        self._asked += 1
        message: Json = {"id": self._asked, "method": method, "params": params}
        if getattr(self, "_session", None) is not None:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        while True:
            said = self._next()
            if said.get("id") == self._asked:
                assert "error" not in said, said
                return dict(said["result"])
            self.events.append(said)

    def _next(self) -> Json:
        while b"\0" not in self._read:
            assert select.select([self._back], [], [], PATIENCE_S)[0], f"the browser said nothing for {PATIENCE_S} s"
            part = os.read(self._back.fileno(), 1 << 16)
            assert part, "the browser ended"
            self._read += part
        message, _, self._read = self._read.partition(b"\0")
        return dict(json.loads(message))

    def show(self, width: int, theme: str, media: str = "screen") -> None:
        """From now on, pages are this many pixels wide, and light or dark."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
        features = [{"name": "prefers-color-scheme", "value": theme}]
        self.ask("Emulation.setEmulatedMedia", media=media, features=features)

    def open(self, path: Path, fragment: str = "") -> None:
        """Open a file, and wait until all of it is there."""
        for url in ("about:blank", path.resolve().as_uri() + fragment):  # another fragment alone would load nothing
            self.events.clear()
            self.ask("Page.navigate", url=url)
            while not any(event["method"] == "Page.loadEventFired" for event in self.events):
                self.events.append(self._next())

    def run(self, script: str) -> Any:
        """The value of an expression, awaited."""
        answer = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str, code: int) -> None:
        """Press a key, as a person does."""
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    def requests(self) -> list[str]:
        """What was asked for since the page was opened, the page itself left out."""
        urls = [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return urls[1:]


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A browser that is gone afterwards."""
    path = find_chromium()
    reads, gets = _pipe(), _pipe()

    def hand_over() -> None:
        os.dup2(reads[0], 3)
        os.dup2(gets[1], 4)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = ["--headless=new", "--disable-gpu", "--remote-debugging-pipe", f"--user-data-dir={profile}"]
        flags += ["--no-sandbox"] if os.geteuid() == 0 else []
        process = subprocess.Popen(
            [path, *flags, "about:blank"], preexec_fn=hand_over, pass_fds=(3, 4), stderr=subprocess.DEVNULL
        )
        os.close(reads[0])
        os.close(gets[1])
        with os.fdopen(reads[1], "wb") as to, os.fdopen(gets[0], "rb") as back:
            try:
                yield Browser(to, back)
            finally:
                process.kill()
                process.wait()


def _pipe() -> tuple[int, int]:
    """(read end, write end), with numbers that nothing else wants."""
    low = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, HIGH) for end in low)
    for end in low:
        os.close(end)
    return high[0], high[1]
