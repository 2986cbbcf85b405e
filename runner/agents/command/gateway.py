"""The gateway of one command: hears its requests, judges them, asks the endpoint, and answers.

Three kinds of threads. The episode's own waits for the command's end and hears frames meanwhile (`hear`). Each exchange with
the endpoint has one, `EXCHANGES_MAX` at the most, and reads its answer to the end whether or not the program listens: what
an answer cost is said last. One thread sends, so that none of them waits for the sandbox, which may be frozen.
"""

import hashlib
import json
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from runner.agents.command.endpoint import Begun, Endpoint, Unreachable
from runner.agents.command.examine import Asked, Refused, examine
from runner.agents.command.heard import Heard
from runner.agents.command.messages import Malformed, Part, Request, Unpacker, pack, pack_head
from runner.budget import BudgetEnded, Spent, left, reached
from runner.faults import ModelFault, ModelRefused
from runner.ledger import Ledger, Meter
from runner.llm.prices import Prices
from runner.records.limits import Limits
from runner.records.transcript import Note
from runner.records.usage import Usage
from runner.sandbox.wire import Frame, Kind

EXCHANGES_MAX = 16  # the forwarder takes 8 connections; an answer is read on after its connection has gone
# Of an episode, whatever became of them: also requests that are refused or free put a load on the endpoint.
REQUESTS_MAX = 5_000
FRAMES_AHEAD_MAX = 16  # as in sandbox/inside/channel.py
PIECE_BYTES = 64 * 1024
QUEUED_BYTES_MAX = 64 * 1024 * 1024
RECORDED_BYTES_MAX = 4 * 1024 * 1024
# An answer shorter than this is no use; less money than it costs ends the episode.
OUTPUT_TOKENS_MIN = 256
NAMES_NOTED_MAX = 20
WAIT_STEP_S, JOIN_S = 0.25, 2.0
JSON_TYPE = ("content-type", "application/json")
REFUSED = frozenset([401, 403, 404])
# What the program itself may be to blame for.
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

    heard: Heard
    status: int = 0
    request_id: str = ""
    error: str = ""


@dataclass
class Gateway:
    """Serves one command.

    Attributes:
        allowed: what the episode had left when the command began.
        limit: which one was used up, where a request was refused for it; empty: none.
    """

    endpoint: Endpoint
    ledger: Ledger
    prices: Prices
    meter: Meter
    note: Note
    allowed: Limits
    send: Callable[[Frame], bool]
    limit: str = ""
    _fault: ModelFault | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _noting: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)
    _unpacker: Unpacker | None = field(default_factory=Unpacker)
    _threads: set[threading.Thread] = field(default_factory=set)
    _live: set[Begun] = field(default_factory=set)
    _sequence: int = 0
    _requests: int = 0
    _turns: int = 0
    _answered: int = 0
    _names: set[str] = field(default_factory=set)
    _recorded: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._sender = _Sender(lambda piece: self.send(Frame(Kind.DATA, self._sequence, {}, piece)))

    @property
    def fault(self) -> ModelFault | None:
        """Why the endpoint gave the program no answer at all; None where it gave one, or was not asked."""
        with self._lock:
            return self._fault if self._answered == 0 else None

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
            except Malformed as error:
                self._unpacker = None
                self._note("note", {"text": f"the forwarder is not listened to any more: {error}"})
        self.send(Frame(Kind.TAKEN, frame.sequence, {"frames": 1}))

    def close(self, linger_s: float) -> None:
        """The command is over. What is under way may still say for so long what it cost; then it is broken off."""
        self._sender.stop()
        end_s = time.monotonic() + linger_s
        self._join(end_s)
        self._over.set()
        with self._lock:
            live = list(self._live)
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
            full, over = len(self._threads) >= EXCHANGES_MAX, self._requests > REQUESTS_MAX
            thread = threading.Thread(target=self._exchange, args=(request,), name="gateway-exchange", daemon=True)
            if not full and not over:
                self._threads.add(thread)
        if over:
            self._refuse(request.connection, self._used_up("requests"))
        elif full:
            busy = Refused(429, "rate_limit_error", f"{EXCHANGES_MAX} requests are under way already")
            self._refuse(request.connection, busy)
        else:
            thread.start()

    def _exchange(self, request: Request) -> None:
        try:
            asked = examine(request, self.endpoint.model)
            self._tell_rewritten(asked)
            if asked.costs:
                self._ask_model(request.connection, asked)
            else:
                self._pass_on(request.connection, asked)
        except Refused as refused:
            self._refuse(request.connection, refused)
        except _Stopped:
            self._sender.put(pack(Part.ABORT, request.connection))
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())

    def _refuse(self, connection: int, refused: Refused) -> None:
        self._sender.put(pack_head(connection, refused.status, [JSON_TYPE]))
        self._sender.put(pack(Part.BODY, connection, refused.body) + pack(Part.END, connection))

    def _used_up(self, limit: str) -> Refused:
        with self._lock:
            self.limit = self.limit or limit
        return Refused(400, "invalid_request_error", f"budget: {limit} used up")

    def _tell_rewritten(self, asked: Asked) -> None:
        """The record says once of each name and key what became of it."""
        if asked.body is None:
            return
        told = [f"{key!r} was left out of a request" for key in asked.dropped]
        if asked.model != self.endpoint.model:
            told.append(f"a request for the model {asked.model!r} went to {self.endpoint.model}")
        for text in told:
            with self._lock:
                new = text not in self._names and len(self._names) < NAMES_NOTED_MAX
                self._names |= {text} if new else set()
            if new:
                self._note("note", {"text": text})

    def _ask_model(self, connection: int, asked: Asked) -> None:
        turn = self._take_turn()
        answered = False
        try:
            asked = self._within(asked)
            content = asked.content() or b""
            worst = self.prices.worst(asked.sent_tokens_max(), asked.max_tokens)
            with self.ledger.hold(worst, self._check) as hold:
                self._note_request(turn, asked, content)
                began_s = time.monotonic()
                outcome = self._pass_on(connection, asked)
                cost = self.prices.cost(outcome.heard.usage)
                answered = outcome.status == 200
                hold.charge(cost)
                self.meter.add(outcome.heard.usage, cost, turns=int(answered))
                self._note_response(turn, outcome, cost, time.monotonic() - began_s)
                self._judge(outcome)
        except BudgetEnded as ended:
            raise self._used_up(ended.limit) from None
        finally:
            if not answered:
                with self._lock:
                    self._turns -= 1

    def _take_turn(self) -> int:
        """Its number.

        Raises:
            Refused: there is none left.
        """
        with self._lock:
            if self.allowed.turns is None or self._turns < self.allowed.turns:
                self._turns += 1
                return self._turns
        raise self._used_up("turns")

    def _within(self, asked: Asked) -> Asked:
        """The request with no more answer than tokens and dollars are left for.

        Raises:
            Refused: they are not enough for a useful one.
        """
        used = self.meter.reading
        remaining = left(self.allowed, Spent(0, used.usage, used.dollars))
        over = reached(replace(remaining, turns=None, wall_s=None, working_s=None))
        if over is not None:
            raise self._used_up(over)
        sent = asked.sent_tokens_max()
        most = affordable(self.prices, sent, asked.max_tokens, remaining)
        thinking = (asked.body or {}).get("thinking")
        thoughts = thinking.get("budget_tokens", 0) if isinstance(thinking, dict) else 0
        least = min(OUTPUT_TOKENS_MIN, asked.max_tokens)
        if most < least or (isinstance(thoughts, int) and thoughts >= most):
            dear = remaining.dollars is not None and self.prices.worst(sent, max(least, most + 1)) > remaining.dollars
            raise self._used_up("dollars" if dear else "output tokens")
        return replace(asked, body={**(asked.body or {}), "max_tokens": most})

    def _pass_on(self, connection: int, asked: Asked) -> _Outcome:
        """Put it to the endpoint, and its answer to the program."""
        self.endpoint.limiter.wait(self._sleep)
        try:
            with self.endpoint.ask(asked) as begun:
                return self._hand_on(connection, begun)
        except Unreachable as error:
            message = Refused(502, "api_error", str(error))
            self._refuse(connection, message)
            return _Outcome(Heard(""), error=str(error))

    def _hand_on(self, connection: int, begun: Begun) -> _Outcome:
        outcome = _Outcome(Heard(begun.content_type), begun.status, begun.request_id)
        with self._lock:
            self._live.add(begun)
        listens = self._sender.put(pack_head(connection, begun.status, begun.headers))
        last = Part.END
        try:
            for chunk in begun.chunks():
                outcome.heard.take(chunk)
                listens = listens and self._sender.put(pack(Part.BODY, connection, chunk))
                if self._over.is_set():
                    begun.shut()
        except Unreachable as error:
            outcome.error, last = str(error), Part.ABORT
        finally:
            with self._lock:
                self._live.discard(begun)
        outcome.heard.end()
        self._sender.put(pack(last, connection))
        if begun.status != 200:
            outcome.error = f"HTTP {begun.status} {outcome.heard.error}".strip()
        elif outcome.heard.error:
            outcome.error = outcome.error or outcome.heard.error
        return outcome

    def _judge(self, outcome: _Outcome) -> None:
        """Remember whether the endpoint answers at all."""
        kind = ModelRefused if outcome.status in REFUSED else ModelFault
        with self._lock:
            if outcome.status == 200:
                self._answered += 1
            elif outcome.status not in NOT_THE_ENDPOINTS:
                self._fault = kind(
                    cause=f"the model's endpoint gave the command no answer: {outcome.error}",
                    mend="see that key, --model and --base-url are right, or try again later",
                )

    def _check(self) -> None:
        if self._over.is_set():
            raise _Stopped

    def _sleep(self, seconds: float) -> None:
        if self._over.wait(max(0.0, seconds)):
            raise _Stopped

    # The record

    def _note(self, kind: str, event: dict[str, Any]) -> None:
        with self._noting:
            self.note(kind, event)

    def _note_request(self, turn: int, asked: Asked, content: bytes) -> None:
        """As `runner.records.transcript` has it; what the request before said already is not said again."""
        body = asked.body or {}
        rest = {key: value for key, value in body.items() if key not in ("messages", "system", "tools")}
        event: dict[str, Any] = {"turn": turn, "body": rest, "asked_model": asked.model}
        with self._noting:
            before, messages = self._recorded, body["messages"] if isinstance(body.get("messages"), list) else []
            kept = _common(before.get("messages", []), messages)
            event |= {"messages_kept": kept, "messages": messages[kept:]}
            event |= {key: body.get(key, []) for key in ("system", "tools") if body.get(key, []) != before.get(key, [])}
            self._recorded = {**body, "messages": messages}
            if len(content) > RECORDED_BYTES_MAX and len(json.dumps(event)) > RECORDED_BYTES_MAX:
                event = {"turn": turn, "body": {}, "asked_model": asked.model, "too_large": len(content)}
                self._recorded = {}
            self.note("request", {**event, "sha256": hashlib.sha256(content).hexdigest()})

    def _note_response(self, turn: int, outcome: _Outcome, cost: float, seconds: float) -> None:
        heard = outcome.heard
        one = {
            "seconds": round(seconds, 6), "usage": _usage(heard.usage), "dollars": cost,
            "request_id": outcome.request_id, "error": outcome.error,
        }  # fmt: skip
        event: dict[str, Any] = {"turn": turn, "tries": [one]}
        if outcome.status == 200:
            event |= {
                "stop_reason": heard.stop_reason, "content": heard.content, "usage": _usage(heard.usage),
                "request_id": outcome.request_id,
            }  # fmt: skip
        else:
            event |= {"error": outcome.error}
        self._note("response", event)


def affordable(prices: Prices, sent: int, asked: int, remaining: Limits) -> int:
    """The most tokens of an answer that what remains pays for, of those asked for."""
    counts = [asked, *(count for count in (remaining.output_tokens, remaining.tokens) if count is not None)]
    most = min(counts)
    if remaining.dollars is None or prices.worst(sent, most) <= remaining.dollars:
        return most
    for_sent = prices.worst(sent, 0)
    price = (prices.worst(sent, most) - for_sent) / most
    return max(0, int((remaining.dollars - for_sent) / price)) if price > 0 else 0


def _common(before: Any, now: list[Any]) -> int:
    """How many messages the two begin with in common."""
    count = 0
    while count < min(len(before), len(now)) and before[count] == now[count]:
        count += 1
    return count


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "input": usage.input, "cache_write": usage.cache_write, "cache_read": usage.cache_read, "output": usage.output,
    }  # fmt: skip
