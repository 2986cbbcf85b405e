"""The gateway of one command: receives its requests, decides on them, asks the endpoint, and streams the answers back.

Three kinds of threads. The episode's own waits for the command's end and gets frames meanwhile (`on_frame`). Each
exchange with the endpoint has one, and reads its answer to the end whether or not the program listens: what it cost is
said last. One thread sends (`sender.py`), so that none of them waits for the sandbox, which may be frozen.
"""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from runner.budget.ledger import Ledger, Meter
from runner.faults import InfrastructureFault
from runner.gateway.admission import Admission
from runner.gateway.framing import FramingError, Part, Request, Unpacker, pack, pack_head
from runner.gateway.policy import ANSWER_TOKENS_MAX, RequestRejected, UpstreamRequest, asks_model, authorize
from runner.gateway.recorder import Recorder
from runner.gateway.response_parser import ResponseParser
from runner.gateway.sender import Sender
from runner.gateway.upstream import Endpoint, UpstreamError, UpstreamResponse
from runner.gateway.wait_timer import WaitTimer
from runner.llm.prices import Prices
from runner.records.episode import Limit, Limits
from runner.records.events import Attempt, EventSink
from runner.sandbox.wire import Frame, Kind

JOIN_S = 2.0  # chosen: threads end within milliseconds once their streams are shut; they are daemons if not
JSON_TYPE = ("content-type", "application/json")
# The endpoint answered, and what it said was up to the request: an exchange that ended in another way may be its failure.
CLIENT_ERROR_STATUSES = frozenset([200, 400, 413, 422])


class _Stopped(Exception):
    """The command is over; nobody waits for this any more."""


@dataclass
class _Exchange:
    """How an exchange with the endpoint went.

    Attributes:
        status: of HTTP; 0: there was no answer.
        error: empty: none.
    """

    answer: ResponseParser
    status: int = 0
    request_id: str = ""
    error: str = ""

    @property
    def is_answered(self) -> bool:
        """Whether the endpoint began an answer, for which it bills."""
        return self.status == 200


class Gateway:
    """Serves one command.

    Args:
        allowed: what the episode has left when the command begins.
        send: sends a frame into the sandbox; False where it is gone.

    Attributes:
        upstream_suspect: why the last exchange with a model may have failed by the endpoint's doing; empty: it did not. A
            program can bring that about, so it is a reason to probe the endpoint, and no more.
        fault: what went wrong here in an exchange, a disk that is full say; the program's answer is broken off, and the
            next frame that arrives raises it. None: nothing did.
    """

    def __init__(
        self, endpoint: Endpoint, *, ledger: Ledger, prices: Prices, meter: Meter, emit: EventSink, allowed: Limits,
        send: Callable[[Frame], bool],
    ) -> None:  # fmt: skip
        self.endpoint, self.upstream_suspect = endpoint, ""
        self.fault: InfrastructureFault | None = None
        self._waits = WaitTimer(lambda seconds: meter.add(waited_s=seconds))
        self._admission = Admission(ledger, prices, meter, allowed, self._waits)
        self._recorder = Recorder(emit)
        self.send = send
        self._sequence = 0
        self._unpacker: Unpacker | None = Unpacker()
        self._lock, self._closed = threading.Lock(), threading.Event()
        self._threads: set[threading.Thread] = set()
        self._responses: set[UpstreamResponse] = set()
        self._sender = Sender(lambda piece: self.send(Frame(Kind.DATA, self._sequence, {}, piece)))

    @property
    def limit(self) -> Limit | None:
        """The limit for which a request was rejected first; None: none was."""
        return self._admission.limit

    def on_frame(self, frame: Frame) -> None:
        """A frame that arrived while the command runs.

        Raises:
            InfrastructureFault: `fault`.
        """
        if self.fault is not None:
            raise self.fault
        self._sequence = frame.sequence
        if frame.kind is Kind.TAKEN:
            frames = frame.head.get("frames")
            self._sender.open_window(frames if type(frames) is int and frames > 0 else 0)
            return
        if self._unpacker is not None:
            try:
                for request in self._unpacker.feed(frame.body):
                    self._begin(request)
            except FramingError as error:
                self._unpacker = None
                self._recorder.note(f"the forwarder's requests are ignored from now on: {error}")
        self.send(Frame(Kind.TAKEN, frame.sequence, {"frames": 1}))

    def close(self, drain_s: float) -> None:
        """The command is over. Exchanges under way get `drain_s` seconds to say what they cost; then they are broken off."""
        self._sender.stop()
        self._join(time.monotonic() + drain_s)
        self._closed.set()
        with self._lock:
            responses = list(self._responses)
            if self._threads:
                self.upstream_suspect = self.upstream_suspect or "an answer was still under way at the end"
        for response in responses:
            response.shut_down()
        self._join(time.monotonic() + JOIN_S)

    def _join(self, end_s: float) -> None:
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, end_s - time.monotonic()))

    # One exchange

    def _begin(self, request: Request) -> None:
        try:
            self._admission.admit(len(request.body))
        except RequestRejected as rejection:
            self._reject(request.connection, rejection)
            return
        thread = threading.Thread(target=self._serve, args=(request,), name="gateway-exchange", daemon=True)
        with self._lock:
            self._threads.add(thread)
        thread.start()

    def _serve(self, request: Request) -> None:
        try:
            self._answer(request.connection, self._authorize(request))
        except RequestRejected as rejection:
            self._reject(request.connection, rejection)
        except _Stopped:
            self._sender.put(pack(Part.ABORT, request.connection))
        except Exception as error:  # boundary: of a thread; the episode's own tells it
            self.fault = self.fault or _as_fault(error)
            self._sender.put(pack(Part.ABORT, request.connection))
        finally:
            self._admission.release(len(request.body))
            with self._lock:
                self._threads.discard(threading.current_thread())

    def _authorize(self, request: Request) -> UpstreamRequest:
        try:
            return authorize(request, self.endpoint.model)
        except RequestRejected:
            if asks_model(request):
                self._admission.count_failure(turns_taken=0)
            raise

    def _answer(self, connection: int, request: UpstreamRequest) -> None:
        self._record_rewrites(request)
        if request.costs:
            self._ask_model(connection, request)
        else:
            self._forward(connection, request)

    def _reject(self, connection: int, rejection: RequestRejected) -> None:
        self._sender.put(pack_head(connection, rejection.status, [JSON_TYPE]))
        self._sender.put(pack(Part.BODY, connection, rejection.body) + pack(Part.END, connection))

    def _record_rewrites(self, request: UpstreamRequest) -> None:
        """The transcript says once of each name and key what became of it."""
        for key in request.dropped:
            self._recorder.note_once(f"{key!r} was left out of a request")
        if request.body is not None and request.model != self.endpoint.model:
            self._recorder.note_once(f"a request for the model {request.model!r} went to {self.endpoint.model}")
        if request.costs and request.max_tokens > ANSWER_TOKENS_MAX:
            self._recorder.note_once(f"answers were limited to {ANSWER_TOKENS_MAX} tokens")

    def _ask_model(self, connection: int, request: UpstreamRequest) -> None:
        turn = self._admission.take_turn()
        is_answered = False
        try:
            with self._admission.reserve(request, self._check) as (limited, reservation):
                self._recorder.request(turn, limited)
                began_s = time.monotonic()
                exchange = self._forward(connection, limited)
                seconds = time.monotonic() - began_s
                is_answered, answer = exchange.is_answered, exchange.answer if exchange.is_answered else None
                usage, dollars = self._admission.charge(limited, reservation, answer)
                attempt = Attempt(
                    seconds=round(seconds, 6), usage=usage, dollars=dollars, request_id=exchange.request_id,
                    error=exchange.error, is_bound=answer is not None and not answer.is_whole,
                )  # fmt: skip
                self._recorder.response(turn, answer, attempt)
                self._note_health(exchange)
        finally:
            if not is_answered:
                self._admission.count_failure(turns_taken=1)

    def _forward(self, connection: int, request: UpstreamRequest) -> _Exchange:
        """Send the request to the endpoint, and its answer to the program."""
        self.endpoint.limiter.wait(self._pause)
        try:
            with self.endpoint.ask(request) as response:
                return self._stream_back(connection, response)
        except UpstreamError as error:
            self._reject(connection, RequestRejected(502, "api_error", str(error)))
            return _Exchange(ResponseParser(""), error=str(error))

    def _stream_back(self, connection: int, response: UpstreamResponse) -> _Exchange:
        exchange = _Exchange(ResponseParser(response.content_type), response.status, response.request_id)
        with self._lock:
            self._responses.add(response)
        is_heard = self._sender.put(pack_head(connection, response.status, response.headers))
        last = Part.END
        try:
            for chunk in self._chunks(response):
                exchange.answer.feed(chunk)
                is_heard = is_heard and self._sender.put(pack(Part.BODY, connection, chunk))
                if self._closed.is_set():
                    response.shut_down()
        except UpstreamError as error:
            exchange.error, last = str(error), Part.ABORT
        finally:
            with self._lock:
                self._responses.discard(response)
        exchange.answer.close()
        self._sender.put(pack(last, connection))
        if not exchange.is_answered:
            exchange.error = f"HTTP {response.status} {exchange.answer.error}".strip()
        exchange.error = self.endpoint.masked(exchange.error or exchange.answer.error)
        return exchange

    def _chunks(self, response: UpstreamResponse) -> Iterator[bytes]:
        if response.status == 200:
            yield from self.endpoint.answer_of(response)
        else:
            yield self.endpoint.error_of(response)

    def _note_health(self, exchange: _Exchange) -> None:
        """Remember whether the endpoint may have failed; what happened after the command's end says nothing about it."""
        is_complete = not exchange.is_answered or exchange.answer.is_whole
        with self._lock:
            if not self._closed.is_set():
                is_fine = exchange.status in CLIENT_ERROR_STATUSES and is_complete
                self.upstream_suspect = "" if is_fine else exchange.error or "an answer broke off"

    def _check(self) -> None:
        if self._closed.is_set():
            raise _Stopped

    def _pause(self, seconds: float) -> None:
        with self._waits.waiting():
            if self._closed.wait(max(0.0, seconds)):
                raise _Stopped


def _as_fault(error: Exception) -> InfrastructureFault:
    if isinstance(error, InfrastructureFault):
        return error
    cause = f"an exchange with the model could not be carried out: {type(error).__name__}"
    return InfrastructureFault(cause=cause, hint="look at what the endpoint answers; else please report it")
