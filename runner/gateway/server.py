"""The gateway of one command: hears its requests, judges them, asks the endpoint, and answers.

Three kinds of threads. The episode's own waits for the command's end and hears frames meanwhile (`hear`). Each exchange with
the endpoint has one, `EXCHANGES_MAX` at the most, and reads its answer to the end whether or not the program listens: what
an answer cost is said last. One thread sends, so that none of them waits for the sandbox, which may be frozen.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from runner.budget.ledger import Ledger, Meter, Reservation
from runner.budget.limits import Account, BudgetExceeded, reached, remaining_limits
from runner.gateway.framing import FramingError, Part, Request, Unpacker, pack, pack_head
from runner.gateway.policy import ANSWER_TOKENS_MAX, RequestRejected, UpstreamRequest, examine, is_for_a_model
from runner.gateway.recorder import Recorder
from runner.gateway.response_parser import ResponseParser
from runner.gateway.upstream import Endpoint, UpstreamError, UpstreamResponse
from runner.gateway.wait_timer import WaitTimer
from runner.llm.prices import OUTPUT_TOKENS_MIN, Prices
from runner.records.episode import Limit, Limits, Spent, Usage
from runner.records.events import Attempt, EventSink
from runner.sandbox.wire import Frame, Kind

EXCHANGES_MAX = 16  # the forwarder takes 8 connections; an answer is read on after its connection has gone
# Of an episode, whatever became of them: also requests that are refused or free put a load on the endpoint.
REQUESTS_MAX = 5_000
# So many of them may go wrong for nothing; then each takes a turn.
FAILURES_FREE = 20
REQUEST_BYTES_MAX = 64 * 1024 * 1024  # of all that are under way
FRAMES_AHEAD_MAX = 16  # as in sandbox/inside/channel.py
PIECE_BYTES = 64 * 1024
QUEUED_BYTES_MAX = 64 * 1024 * 1024
# Of the job's dollars: they are used up where not even a turn of so many tokens is left; and they are what ended an episode
# where one of its requests, but no more of it than this, could not be paid. A guest chooses neither.
SMALL_TOKENS, ORDINARY_TOKENS = 10_000, 200_000
# What is left is compared again when dollars are set aside, in another order of additions.
DUST = 1e-9
WAIT_STEP_S, JOIN_S = 0.25, 2.0
JSON_TYPE = ("content-type", "application/json")
# An exchange that ended in another way may be the endpoint's failure.
NOT_THE_ENDPOINTS = frozenset([200, 400, 413, 422])


class _Stopped(Exception):
    """The command is over; nobody waits for this any more."""


class _Sender:
    """Puts messages on their way, one after the other, no more ahead than PID 1 has room for."""

    def __init__(self, send: Callable[[bytes], bool]) -> None:
        self._send, self._lock = send, threading.Lock()
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(FRAMES_AHEAD_MAX)
        self._queued, self._over = 0, threading.Event()
        self._thread = threading.Thread(target=self._work, name="gateway-sender", daemon=True)
        self._thread.start()

    def put(self, message: bytes) -> bool:
        """Send it when there is room; False where nobody takes what waits already."""
        with self._lock:
            if self._over.is_set() or self._queued + len(message) > QUEUED_BYTES_MAX:
                return False
            self._queued += len(message)
        self._queue.put(message)
        return True

    def taken(self, frames: int) -> None:
        """So many frames have left PID 1."""
        self._room.release(min(frames, FRAMES_AHEAD_MAX))

    def stop(self) -> None:
        self._over.set()
        self._queue.put(None)

    def _work(self) -> None:
        while (message := self._queue.get()) is not None and not self._over.is_set():
            for at in range(0, len(message), PIECE_BYTES):
                while not self._room.acquire(timeout=WAIT_STEP_S):
                    if self._over.is_set():
                        return
                if not self._send(message[at : at + PIECE_BYTES]):
                    self._over.set()
                    return
            with self._lock:
                self._queued -= len(message)


@dataclass
class _Outcome:
    """How an exchange went.

    Attributes:
        status: of HTTP; 0: there was no answer.
    """

    heard: ResponseParser
    status: int = 0
    request_id: str = ""
    error: str = ""


@dataclass
class Gateway:
    """Serves one command.

    Attributes:
        allowed: what the episode had left when the command began.
        limit: which one was used up, where a request was refused for it; None: none was.
        suspect: why the last exchange with a model may have failed by the endpoint's doing; empty: it did not. A program can
            bring that about, so it is a reason to ask the endpoint, and no more.
    """

    endpoint: Endpoint
    ledger: Ledger
    prices: Prices
    meter: Meter
    emit: EventSink
    allowed: Limits
    send: Callable[[Frame], bool]
    limit: Limit | None = None
    suspect: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)
    _unpacker: Unpacker | None = field(default_factory=Unpacker)
    _threads: set[threading.Thread] = field(default_factory=set)
    _live: set[UpstreamResponse] = field(default_factory=set)
    _sequence: int = 0
    _requests: int = 0
    _request_bytes: int = 0
    _turns: int = 0
    _failures: int = 0

    def __post_init__(self) -> None:
        self._record = Recorder(self.emit)
        self._waits = WaitTimer(lambda seconds: self.meter.add(waited_s=seconds))
        self._sender = _Sender(lambda piece: self.send(Frame(Kind.DATA, self._sequence, {}, piece)))

    def hear(self, frame: Frame) -> None:
        """A frame that came beside the command's answer."""
        self._sequence = frame.sequence
        if frame.kind is Kind.TAKEN:
            count = frame.head.get("frames")
            self._sender.taken(count if type(count) is int and count > 0 else 0)
            return
        if self._unpacker is not None:
            try:
                for request in self._unpacker.feed(frame.body):
                    self._begin(request)
            except FramingError as error:
                self._unpacker = None
                self._record.say(f"the forwarder is not listened to any more: {error}")
        self.send(Frame(Kind.TAKEN, frame.sequence, {"frames": 1}))

    def close(self, linger_s: float) -> None:
        """The command is over. What is under way may still say for so long what it cost; then it is broken off."""
        self._sender.stop()
        end_s = time.monotonic() + linger_s
        self._join(end_s)
        self._over.set()
        with self._lock:
            live = list(self._live)
            if self._threads:
                self.suspect = self.suspect or "an answer had not come to its end"
        for begun in live:
            begun.shut()
        self._join(time.monotonic() + JOIN_S)

    def _join(self, end_s: float) -> None:
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, end_s - time.monotonic()))

    # One exchange

    def _begin(self, request: Request) -> None:
        with self._lock:
            self._requests += 1
            over, full = self._requests > REQUESTS_MAX, self._is_full_for(request)
            thread = threading.Thread(target=self._exchange, args=(request,), name="gateway-exchange", daemon=True)
            if not over and not full:
                self._threads.add(thread)
                self._request_bytes += len(request.body)
        if over:
            self._refuse(request.connection, self._used_up(Limit.REQUESTS))
        elif full:
            self._refuse(request.connection, RequestRejected(429, "rate_limit_error", full))
        else:
            thread.start()

    def _is_full_for(self, request: Request) -> str:
        """Why there is no room; empty: there is."""
        if len(self._threads) >= EXCHANGES_MAX:
            return f"{EXCHANGES_MAX} requests are under way already"
        if self._request_bytes + len(request.body) > REQUEST_BYTES_MAX:
            return f"requests of {REQUEST_BYTES_MAX} bytes together may be under way"
        return ""

    def _exchange(self, request: Request) -> None:
        try:
            self._serve(request.connection, self._examined(request))
        except RequestRejected as refused:
            self._refuse(request.connection, refused)
        except _Stopped:
            self._sender.put(pack(Part.ABORT, request.connection))
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())
                self._request_bytes -= len(request.body)

    def _examined(self, request: Request) -> UpstreamRequest:
        try:
            return examine(request, self.endpoint.model)
        except RequestRejected:
            if is_for_a_model(request):
                self._failed(turns_taken=0)
            raise

    def _serve(self, connection: int, asked: UpstreamRequest) -> None:
        self._tell_rewritten(asked)
        if asked.costs:
            self._ask_model(connection, asked)
        else:
            self._pass_on(connection, asked)

    def _refuse(self, connection: int, refused: RequestRejected) -> None:
        self._sender.put(pack_head(connection, refused.status, [JSON_TYPE]))
        self._sender.put(pack(Part.BODY, connection, refused.body) + pack(Part.END, connection))

    def _used_up(self, limit: Limit) -> RequestRejected:
        with self._lock:
            self.limit = self.limit or limit
        return RequestRejected(400, "invalid_request_error", f"budget: {limit} used up")

    def _tell_rewritten(self, asked: UpstreamRequest) -> None:
        """The record says once of each name and key what became of it."""
        for key in asked.dropped:
            self._record.say_once(f"{key!r} was left out of a request")
        if asked.body is not None and asked.model != self.endpoint.model:
            self._record.say_once(f"a request for the model {asked.model!r} went to {self.endpoint.model}")
        if asked.costs and asked.max_tokens > ANSWER_TOKENS_MAX:
            self._record.say_once(f"answers were limited to {ANSWER_TOKENS_MAX} tokens")

    def _ask_model(self, connection: int, asked: UpstreamRequest) -> None:
        turn = self._take_turn()
        answered = False
        try:
            with contextlib.ExitStack() as stack:
                asked, hold = self._paid(stack, asked)
                self._record.request(turn, asked)
                began_s = time.monotonic()
                outcome = self._pass_on(connection, asked)
                answered = outcome.status == 200
                self._settle(turn, asked, hold, outcome, time.monotonic() - began_s)
        finally:
            if not answered:
                self._failed(turns_taken=1)

    def _settle(self, turn: int, asked: UpstreamRequest, hold: Reservation, outcome: _Outcome, seconds: float) -> None:
        usage, cost = charged(self.prices, asked, outcome.heard) if outcome.status == 200 else (Usage(), 0.0)
        hold.charge(cost)
        self.meter.add(usage, cost, turns=int(outcome.status == 200))
        attempt = Attempt(
            seconds=round(seconds, 6), usage=usage, dollars=cost, request_id=outcome.request_id, error=outcome.error,
            is_bound=outcome.status == 200 and not outcome.heard.is_whole,
        )  # fmt: skip
        self._record.response(turn, outcome.heard if outcome.status == 200 else None, attempt)
        self._judge(outcome)

    def _take_turn(self) -> int:
        """Its number.

        Raises:
            RequestRejected: there is none left.
        """
        with self._lock:
            if self.allowed.turns is None or self._turns < self.allowed.turns:
                self._turns += 1
                return self._turns
        raise self._used_up(Limit.TURNS)

    def _failed(self, turns_taken: int) -> None:
        """A turn came to nothing, before or after it was taken: the first ones are not counted, the others are."""
        with self._lock:
            self._failures += 1
            counts = self._failures > FAILURES_FREE
            self._turns += int(counts) - turns_taken

    def _paid(self, stack: contextlib.ExitStack, asked: UpstreamRequest) -> tuple[UpstreamRequest, Reservation]:
        """The request with no more answer than is paid for, and the dollars set aside for it until the stack unwinds.

        Raises:
            RequestRejected: the episode's limits, or the job's dollars, are not enough for a useful one.
        """
        small = self.prices.cost_max(SMALL_TOKENS, OUTPUT_TOKENS_MIN)
        while True:
            account = self.ledger.account
            most = affordable(self.prices, asked.sent_tokens_max(), self._most(asked), _left_of(account))
            within = asked.shortened(max(most, _least(asked)))
            worst = self.prices.cost_max(within.sent_tokens_max(), within.max_tokens)
            try:
                with self._waits.one():
                    return within, stack.enter_context(self.ledger.reserve(worst, self._check, small))
            except BudgetExceeded:
                if self.ledger.account.spent == account.spent:  # else others spent meanwhile: a shorter one may do
                    raise self._unpaid(within) from None

    def _unpaid(self, asked: UpstreamRequest) -> RequestRejected:
        """The job's dollars ended the episode only where they are short for what any program may ask."""
        ordinary = self.prices.cost_max(min(asked.sent_tokens_max(), ORDINARY_TOKENS), OUTPUT_TOKENS_MIN)
        if not self.ledger.account.could_reserve(ordinary):
            return self._used_up(Limit.JOB_DOLLARS)
        return RequestRejected(
            400, "invalid_request_error", "budget: the job's dollars do not pay for a request of this size"
        )

    def _most(self, asked: UpstreamRequest) -> int:
        """Tokens of its answer that the episode pays for.

        Raises:
            RequestRejected: they are not enough for a useful one.
        """
        used = self.meter.reading
        remaining = remaining_limits(self.allowed, Spent(0, used.usage, used.dollars))
        over = reached(replace(remaining, turns=None, wall_s=None, working_s=None))
        if over is not None:
            raise self._used_up(over)
        sent, least = asked.sent_tokens_max(), _least(asked)
        most = affordable(self.prices, sent, min(asked.max_tokens, ANSWER_TOKENS_MAX), remaining)
        if most < least:
            dear = remaining.dollars is not None and self.prices.cost_max(sent, least) > remaining.dollars
            raise self._used_up(Limit.DOLLARS if dear else Limit.OUTPUT_TOKENS)
        return most

    def _pass_on(self, connection: int, asked: UpstreamRequest) -> _Outcome:
        """Put it to the endpoint, and its answer to the program."""
        self.endpoint.limiter.wait(self._hold_off)
        try:
            with self.endpoint.ask(asked) as begun:
                return self._hand_on(connection, begun)
        except UpstreamError as error:
            message = RequestRejected(502, "api_error", str(error))
            self._refuse(connection, message)
            return _Outcome(ResponseParser(""), error=str(error))

    def _hand_on(self, connection: int, begun: UpstreamResponse) -> _Outcome:
        outcome = _Outcome(ResponseParser(begun.content_type), begun.status, begun.request_id)
        with self._lock:
            self._live.add(begun)
        listens = self._sender.put(pack_head(connection, begun.status, begun.headers))
        last = Part.END
        try:
            for chunk in self._chunks(begun):
                outcome.heard.feed(chunk)
                listens = listens and self._sender.put(pack(Part.BODY, connection, chunk))
                if self._over.is_set():
                    begun.shut()
        except UpstreamError as error:
            outcome.error, last = str(error), Part.ABORT
        finally:
            with self._lock:
                self._live.discard(begun)
        outcome.heard.close()
        self._sender.put(pack(last, connection))
        if begun.status != 200:
            outcome.error = f"HTTP {begun.status} {outcome.heard.error}".strip()
        outcome.error = self.endpoint.masked(outcome.error or outcome.heard.error)
        return outcome

    def _chunks(self, begun: UpstreamResponse) -> Iterator[bytes]:
        if begun.status == 200:
            yield from begun.chunks()
        else:
            yield self.endpoint.error_of(begun)

    def _judge(self, outcome: _Outcome) -> None:
        """Remember whether the endpoint may have failed; what came after the command says nothing about it."""
        whole = outcome.status != 200 or outcome.heard.is_whole
        with self._lock:
            if not self._over.is_set():
                is_fine = outcome.status in NOT_THE_ENDPOINTS and whole
                self.suspect = "" if is_fine else outcome.error or "an answer broke off"

    def _check(self) -> None:
        if self._over.is_set():
            raise _Stopped

    def _hold_off(self, seconds: float) -> None:
        with self._waits.one():
            if self._over.wait(max(0.0, seconds)):
                raise _Stopped


def _least(asked: UpstreamRequest) -> int:
    """Tokens of an answer under which it is no use; thoughts must leave some for words."""
    thoughts = asked.thoughts + 1 if asked.thoughts < asked.max_tokens else 0
    return max(min(OUTPUT_TOKENS_MIN, asked.max_tokens), thoughts)


def _left_of(account: Account) -> Limits:
    """The job's dollars, those included that may come back: they are waited for."""
    return Limits() if account.cap is None else Limits(dollars=(account.cap - account.spent) * (1 - DUST))


def charged(prices: Prices, asked: UpstreamRequest, heard: ResponseParser) -> tuple[Usage, float]:
    """Tokens and dollars of an answer that has begun.

    What broke off did not say its last word on usage, and the vendor bills what was generated: then it is a token for every
    byte that came and, where not even the tokens that were sent were told, the most that the request can have. An answer
    that comes in one piece was whole there before it began here.
    """
    usage = heard.usage
    if heard.is_whole:
        return usage, prices.cost(usage)
    came = min(usage.output + heard.content_bytes, asked.max_tokens) if heard.is_streamed else asked.max_tokens
    usage = replace(usage, output=max(usage.output, came))
    if heard.has_begun:
        return usage, prices.cost(usage)
    return usage, prices.cost_max(asked.sent_tokens_max(), usage.output)


def affordable(prices: Prices, sent: int, asked: int, remaining: Limits) -> int:
    """The most tokens of an answer that what remains pays for, of those asked for."""
    counts = [asked, *(count for count in (remaining.output_tokens, remaining.tokens) if count is not None)]
    return prices.max_affordable_tokens(sent, min(counts), remaining.dollars)
