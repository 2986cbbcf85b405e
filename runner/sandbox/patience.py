"""How long the engine is waited for: each of its calls ends, whatever it does.

The HTTP library bounds the silence between two bytes, and some calls of the SDK have no bound at all (events, wait, import):
an engine that takes connections and never answers, or drips, would hold a job for as long as it likes. Here a call runs in
a thread of its own, and who waits for it leaves at the deadline; one that answers later is hung up on. Once a call was left
without an answer, the engine has to answer a ping before it is asked anything else, so that a job that it holds ends after
one such wait and not after as many as there are calls. Once the work is stopped, nothing is waited for much longer: a part
of it (`hurry`), or all that this process does (`runner.budget.stopped`).
"""

import contextlib
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import requests

from runner.budget.stopped import stopped_since_s

PROBE_S = 5.0  # chosen: a ping needs nothing of the engine but that it runs
# chosen: how long a ping that was not answered stands for the next ones; longer, and one that comes back is noticed late
SILENT_S = 15.0
STOPPED_S = 5.0  # chosen: what an engine under load needs for a call; the user waits for it
# The same, once a call was not answered within it. chosen: nobody notices one, and a job's end has a dozen or two of them
STOPPED_AGAIN_S = 0.5
# Calls that move images, or make them: a slow line and a slow disk take their time.
LONG_CALLS = ("/images/create", "/images/load", "/images/get", "/images/prune", "/build")
LONG_S = 1800.0
CREATED = 201  # HTTP
CONTAINER_ID = re.compile("[0-9a-f]{64}")
TICK_S = 0.1  # chosen: how late it is noticed that the work is stopped


@dataclass
class _Silence:
    """What is known of an engine that left a call without an answer; one for all who talk to it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    silent: bool = False
    failed_s: float = -SILENT_S  # when a ping was last not answered, and none since
    left_when_stopped: bool = False  # the last call of who was stopped had no answer

    def check(self, answers_ping: Callable[[], bool]) -> None:
        """Ask an engine that was silent whether it is there; nobody else asks it meanwhile.

        Raises:
            requests.ReadTimeout: it is not.
        """
        if not self.silent:
            return
        with self.lock:
            if self.silent and time.monotonic() - self.failed_s >= SILENT_S:
                self.silent = not answers_ping()
                self.failed_s = time.monotonic() if self.silent else -SILENT_S
            if self.silent:
                raise requests.ReadTimeout("the engine does not even answer a ping")


@dataclass
class _Call:
    """One call in a thread of its own.

    Attributes:
        late: what is done with an answer that nobody waits for any more.
    """

    do: Callable[[], requests.Response]
    late: Callable[[requests.Response], None] = requests.Response.close
    done: threading.Event = field(default_factory=threading.Event)
    answer: requests.Response | None = None
    error: BaseException | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    left: bool = False

    def start(self) -> bool:
        """Whether there was a thread for it."""
        try:
            threading.Thread(target=self._run, name="engine-call", daemon=True).start()
        except RuntimeError:
            return False
        return True

    def _run(self) -> None:
        try:
            answer = self.do()
        except BaseException as error:  # boundary: raised where it is waited for
            self.error = error
        else:
            with self.lock:
                self.answer, left = answer, self.left
            if left:  # else whoever leaves from now on finds the answer, and hangs up himself
                self.late(answer)
        self.done.set()

    def leave(self) -> None:
        """Wait no longer; an answer that comes later, or just now, is hung up on."""
        with self.lock:
            self.left = True
            if self.answer is not None:
                self.late(self.answer)

    def result(self) -> requests.Response:
        if self.error is not None:
            raise self.error
        assert self.answer is not None
        return self.answer


@dataclass
class _Sender:
    """Stands in for the `send` of the SDK's session.

    Attributes:
        plain: the session's own.
        default_s: patience with an ordinary call.
        stopped_s: when the work was stopped, by the monotonic clock.
    """

    plain: Callable[..., requests.Response]
    ping_url: str
    default_s: float
    silence: _Silence = field(default_factory=_Silence)
    stopped_s: float | None = None

    def __call__(self, request: requests.PreparedRequest, **how: Any) -> requests.Response:
        """Send a request.

        Raises:
            requests.ReadTimeout: it was not answered in time; anything else that the library raises.
        """
        how["timeout"] = patience_s = _patience_s(request, how.get("timeout"), self.default_s)
        self.silence.check(lambda: self._answers_ping(how))
        call = _Call(lambda: self.plain(request, **how), lambda answer: self._hang_up(request, answer, how))
        began_s = time.monotonic()
        if not call.start():  # no thread is left: it is waited for here, as long as the library does
            return self.plain(request, **how)
        try:
            while not call.done.wait(TICK_S):
                if time.monotonic() >= self._end_s(began_s, patience_s):
                    self.silence.left_when_stopped = self._stopped_s() is not None
                    raise requests.ReadTimeout(f"no answer within {time.monotonic() - began_s:.0f} s")
        except BaseException as error:  # ours, or a Ctrl-C meanwhile
            call.leave()  # the next call asks first whether the engine is there
            self.silence.silent = True
            if isinstance(error, KeyboardInterrupt):  # what cleans up on the way out waits no longer
                self.hurry()
            raise
        if isinstance(call.error, requests.Timeout):
            self.silence.silent = True
        else:
            self.silence.left_when_stopped = False
        return call.result()

    def hurry(self) -> None:
        """From now on each call gets a few seconds."""
        if self.stopped_s is None:
            self.stopped_s = time.monotonic()

    def _end_s(self, began_s: float, patience_s: float) -> float:
        stopped_s, end_s = self._stopped_s(), began_s + patience_s
        if stopped_s is None:
            return end_s
        return min(end_s, max(began_s, stopped_s) + (STOPPED_AGAIN_S if self.silence.left_when_stopped else STOPPED_S))

    def _stopped_s(self) -> float | None:
        """Since when the work is stopped: this part of it, or all of it."""
        return min((at_s for at_s in (self.stopped_s, stopped_since_s()) if at_s is not None), default=None)

    def _hang_up(self, request: requests.PreparedRequest, answer: requests.Response, how: dict[str, Any]) -> None:
        """A stream that stayed open would keep a container alive, and what was made for nobody would stay."""
        answer.close()
        path = str(request.url).partition("?")[0]  # a container that is asked for without a name has nothing after it
        if not (path.endswith("/containers/create") and answer.status_code == CREATED):
            return
        url = path.removesuffix("/create")
        with contextlib.suppress(requests.RequestException, ValueError, TypeError, KeyError):
            container_id = str(answer.json()["Id"])
            if CONTAINER_ID.fullmatch(container_id):
                remove = requests.Request("DELETE", f"{url}/{container_id}", params={"force": "1", "v": "1"}).prepare()
                self.plain(remove, **{**how, "stream": False}).close()

    def _answers_ping(self, how: dict[str, Any]) -> bool:
        ping, plainly = requests.Request("GET", self.ping_url).prepare(), {**how, "timeout": PROBE_S, "stream": False}
        call = _Call(lambda: self.plain(ping, **plainly))
        if not call.start():
            return True  # nobody knows; the call itself will show it
        if not call.done.wait(PROBE_S):
            call.leave()
            return False
        return not isinstance(call.error, requests.Timeout)  # refused, say: the call itself is told so at once


def _patience_s(request: requests.PreparedRequest, asked: Any, default_s: float) -> float:
    """How long a call may take, in seconds."""
    path = str(request.url).partition("?")[0]
    if any(path.endswith(call) for call in LONG_CALLS):
        return LONG_S
    return float(asked) if isinstance(asked, (int, float)) else default_s


def bound_calls(client: Any, timeout_s: float) -> None:
    """Let each call of a client end in time.

    Args:
        timeout_s: for the answer to an ordinary call.
    """
    client.api.send = _Sender(client.api.send, f"{client.api.base_url}/_ping", timeout_s)


def part_client(client: Any) -> Any:
    """The same client, with the same connections, for a part of the work that may be stopped by itself."""
    api = client.api
    if not isinstance(api.send, _Sender):
        return client
    part, part_api = object.__new__(type(client)), object.__new__(type(api))
    part.__dict__.update(client.__dict__)
    part_api.__dict__.update(api.__dict__)
    part_api.send = replace(api.send, stopped_s=None)
    part.api = part_api
    return part


def hurry(client: Any) -> None:
    """The work is stopped: wait only a little longer for what is asked, and for what will be."""
    sender = client.api.send
    if isinstance(sender, _Sender):
        sender.hurry()
