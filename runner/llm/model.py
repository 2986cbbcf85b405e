"""A model that can be asked: the one policy of retries, deadlines, pauses and money, whatever the endpoint speaks.

A *transport* puts one question over the wire once. This module asks again while that makes sense: exponential waits with
jitter, the endpoint's own `retry-after` up to a cap, one pause shared by all episodes, and a deadline around the turn. What
each try can cost at the most is set aside before it is sent, and what it did cost is counted. Of a try that broke off in
mid-stream nobody says what it cost: the vendor bills what was generated, which is more than what had been reported. So it is
charged a bound (`cost_max`), or a job could spend more than its cap.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import tenacity

from runner.budget.ledger import Ledger, Meter, Reservation
from runner.budget.limits import BudgetExceeded
from runner.clock import Clock
from runner.faults import Interrupted, ModelFault, ModelRefused
from runner.llm.backoff import Backoff
from runner.llm.messages import ModelRequest, ModelResponse
from runner.llm.prices import Prices
from runner.records.episode import Usage
from runner.records.events import Attempt

WAIT_FIRST_S, WAIT_MAX_S = 1.0, 60.0
# How soon a stop is seen, and how long a broken-off answer may take to say what it cost.
POLL_S, LAST_WORD_S = 0.1, 0.5
# A try that has less time is only paid for.
TRY_S_MIN = 1.0
# Who starts a job waits for its first word, and no longer than a person would.
PREFLIGHT_S = 30.0


class TransientError(Exception):
    """Worth another try.

    Attributes:
        after_s: how long the endpoint asked to wait; 0: it did not say.
        crowded: it has no room: everyone holds off.
    """

    def __init__(self, why: str, *, after_s: float = 0.0, crowded: bool = False) -> None:
        super().__init__(why)
        self.after_s, self.crowded = after_s, crowded


class ContextLengthExceeded(Exception):
    """The conversation is longer than the model takes; the caller may shorten it."""


class ContextEditingUnsupported(Exception):
    """The endpoint does not clear the context by itself; the caller may do it."""


@dataclass
class Progress:
    """What has come of a try; the transport writes it as it comes, and it can be read while the transport hangs.

    Attributes:
        has_begun: the endpoint took the request (status 200 was seen): from then on it bills.
        usage: as it was reported so far.
        content_bytes: of text, thinking and inputs that came.
        request_id: the endpoint's name for the request.
    """

    has_begun: bool = False
    usage: Usage = Usage()
    content_bytes: int = 0
    request_id: str = ""

    def cost_max(self, question: ModelRequest, prices: Prices) -> float:
        """US dollars that a try which ended here cost at the most.

        Sent is what was reported, else the question's bound at the dearest kind of token; received is what was reported, or
        a token for every byte that came where that is more. Before status 200 it is nothing, whether the request was
        refused, never arrived, or was left waiting: as far as can be known, no vendor bills for it.
        """
        if not self.has_begun:
            return 0.0
        output = max(self.usage.output, min(self.content_bytes, question.max_tokens))
        if not self.usage.sent:
            return prices.worst(question.tokens_max(), output)
        return prices.cost(replace(self.usage, output=output))


class Transport(Protocol):
    """One endpoint.

    Attributes:
        api: the form of its requests: `messages` or `chat` (see `runner.llm.request_log`).
    """

    model: str
    api: str

    def body_of(self, question: ModelRequest) -> dict[str, Any]:
        """The request for a question, exactly as it is sent.

        Raises:
            ModelFault: it asks for something that this wire has no words for.
        """
        ...

    def ask(self, question: ModelRequest, end_s: float, progress: Progress) -> ModelResponse:
        """Put the question once; must end by `end_s` of the monotonic clock, and keep `progress` up to date.

        Raises:
            TransientError, ContextLengthExceeded, ContextEditingUnsupported, ModelFault, ModelRefused: there is no answer.
        """
        ...

    def close(self) -> None:
        """Break off whatever is under way, from another thread."""
        ...


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long one turn's answer may take.

    Attributes:
        turn_s: with all tries and pauses.
        retry_after_max_s: the longest pause that the endpoint may ask for.
    """

    turn_s: float = 600.0
    retry_after_max_s: float = 120.0


@dataclass
class ModelClient:
    """Asks one model, for all episodes of a job.

    Attributes:
        say: told of tries that failed.
        refused: why every next question is pointless; None while there is hope.
    """

    transport: Transport
    prices: Prices
    ledger: Ledger
    clock: Clock
    say: Callable[[str], None]
    patience: RetryPolicy = RetryPolicy()
    refused: ModelRefused | None = None
    _limiter: Backoff = field(init=False)
    _closed: threading.Event = field(default_factory=threading.Event)
    _told_uncounted: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._limiter = Backoff(self.clock)

    @property
    def model(self) -> str:
        return self.transport.model

    @property
    def api(self) -> str:
        return self.transport.api

    @property
    def is_closed(self) -> bool:
        return self._closed.is_set()

    def close(self) -> None:
        """Give up whatever is under way: it ends with `Interrupted`."""
        self._closed.set()
        self.transport.close()

    def preflight(self) -> None:
        """One word, to see that key, model and address are right before a sandbox starts.

        Raises:
            ModelFault: they are not, or nobody answers.
        """
        question = ModelRequest("", [{"role": "user", "content": "Say: ready"}], [], max_tokens=1)
        _Asking(self, question, Meter(), lambda one: None, min(PREFLIGHT_S, self.patience.turn_s)).answer()

    def body_of(self, question: ModelRequest) -> dict[str, Any]:
        """The request for a question, exactly as it is sent.

        Raises:
            ModelFault: it asks for something that the wire has no words for.
        """
        return self.transport.body_of(question)

    def reply(
        self,
        question: ModelRequest,
        meter: Meter,
        tried: Callable[[Attempt], None] = lambda one: None,
        spend_max: float | None = None,
    ) -> ModelResponse:
        """The model's answer, asked for again while trying again makes sense and the turn has time.

        Args:
            meter: takes what every try used.
            tried: told of every try.
            spend_max: US dollars that all tries together may come to; None: no limit but the job's.

        Raises:
            BudgetExceeded: the job, or the episode after a try that failed, has no dollars for it.
            ContextLengthExceeded, ContextEditingUnsupported: the conversation is too long; the endpoint does not shorten it.
            ModelFault: the endpoint gave no answer; says what it said.
            Interrupted: we are stopping.
        """
        return _Asking(self, question, meter, tried, self.patience.turn_s, spend_max).answer()

    def check(self) -> None:
        """Whether it makes sense to go on.

        Raises:
            Interrupted, ModelRefused: it does not.
        """
        if self._closed.is_set():
            raise Interrupted
        if self.refused is not None:
            raise self.refused

    def heard(self, reply: ModelResponse) -> None:
        """Say it once where the endpoint does not count: no limit on tokens or dollars can hold there."""
        if reply.usage == Usage() and not self._told_uncounted.is_set():
            self._told_uncounted.set()
            self.say("the model's endpoint does not say what it uses: tokens and dollars count as nothing")

    def sleep(self, seconds: float) -> None:
        """Wait, unless we are stopping.

        Raises:
            Interrupted: we are.
        """
        if self._closed.wait(max(0.0, seconds)):
            raise Interrupted


@dataclass
class _Asking:
    """One question, with all its tries."""

    client: ModelClient
    question: ModelRequest
    meter: Meter
    tried: Callable[[Attempt], None]
    turn_s: float
    spend_max: float | None = None
    started_s: float = field(init=False)
    end_s: float = field(init=False)
    answered_in_s: float = 0.0
    spent: float = 0.0

    def __post_init__(self) -> None:
        self.started_s = self.client.clock.monotonic()
        self.end_s = self.started_s + self.turn_s

    def answer(self) -> ModelResponse:
        retry = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TransientError),
            wait=self._pause_s,
            stop=self._is_over,
            sleep=self.client.sleep,
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            return retry(self._once)
        except TransientError as error:
            raise ModelFault(
                cause=f"the model's endpoint gave no answer within {self.turn_s:g} s: {error}",
                hint="see that the address is right (--base-url); try again later, or with fewer --jobs",
            ) from None
        except ModelRefused as refused:
            self.client.refused = refused
            raise
        finally:
            whole_s = self.client.clock.monotonic() - self.started_s
            self.meter.add(waited_s=max(0.0, whole_s - self.answered_in_s))

    def _once(self) -> ModelResponse:
        client, question = self.client, self.question
        client.check()
        client._limiter.wait(self._sleep_to_the_end)
        waits_from_s = client.clock.monotonic()
        worst = client.prices.worst(question.tokens_max(), question.max_tokens)
        if self.spend_max is not None and self.spent > 0 and self.spent + worst > self.spend_max:
            raise BudgetExceeded("dollars")
        with client.ledger.hold(worst, client.check) as hold:
            began_s = client.clock.monotonic()
            self.end_s += began_s - waits_from_s  # waiting for the job's own dollars is nobody's delay
            progress = Progress()
            try:
                reply = self._ask(progress)
            except Exception as error:  # boundary: whatever ended it, what it used is counted, then it goes on
                self._count(hold, self._failed(error, replace(progress), client.clock.monotonic() - began_s))
                if isinstance(error, TransientError):
                    client.check()  # a stream that we broke off ourselves is no fault of the endpoint's
                raise
            self.answered_in_s = client.clock.monotonic() - began_s
            cost = client.prices.cost(reply.usage)
            seconds = round(self.answered_in_s, 6)
            self._count(hold, Attempt(seconds=seconds, usage=reply.usage, dollars=cost, request_id=reply.request_id))
            client.heard(reply)
        client._limiter.answered()
        return reply

    def _failed(self, error: Exception, seen: Progress, seconds: float) -> Attempt:
        cost = seen.cost_max(self.question, self.client.prices)
        why = str(error) if isinstance(error, TransientError) else f"{type(error).__name__}: {error}"
        return Attempt(
            seconds=round(seconds, 6), usage=seen.usage, dollars=cost, request_id=seen.request_id, error=why,
            is_bound=seen.has_begun,
        )  # fmt: skip

    def _count(self, hold: Reservation, one: Attempt) -> None:
        hold.charge(one.dollars)
        self.spent += one.dollars
        self.meter.add(one.usage, one.dollars)
        self.tried(one)

    def _ask(self, progress: Progress) -> ModelResponse:
        """The transport's answer, in a thread that can be left behind: a read that is blocked cannot be relied on to wake.

        Raises:
            TransientError: there was none in time, or we are stopping.
        """
        done: Future[ModelResponse] = Future()

        def work() -> None:
            try:
                done.set_result(self.client.transport.ask(self.question, self.end_s, progress))
            except BaseException as error:  # boundary: it is raised where the answer is waited for
                done.set_exception(error)

        threading.Thread(target=work, name="ask", daemon=True).start()
        while not self._is_past(done):
            wait([done], timeout=POLL_S)
        if not done.done():
            wait([done], timeout=LAST_WORD_S)
        if not done.done():
            raise TransientError("the answer took too long")
        return done.result()

    def _is_past(self, done: "Future[ModelResponse]") -> bool:
        late = self.client.clock.monotonic() > self.end_s + LAST_WORD_S
        return done.done() or late or self.client.is_closed

    def _sleep_to_the_end(self, seconds: float) -> None:
        left_s = self.end_s - self.client.clock.monotonic()
        if seconds + TRY_S_MIN >= left_s:
            self.client.sleep(left_s)
            raise TransientError("it asked for a longer pause than the turn has")
        self.client.sleep(seconds)

    def _is_over(self, state: tenacity.RetryCallState) -> bool:
        """Whether no time for another try is left after its pause."""
        return self.client.clock.monotonic() + state.upcoming_sleep + TRY_S_MIN >= self.end_s

    def _pause_s(self, state: tenacity.RetryCallState) -> float:
        """Exponential with full jitter, longer if the endpoint asks; where it has no room, the pause is the shared one."""
        error = state.outcome.exception() if state.outcome is not None else None
        asked_s = (
            min(error.after_s, self.client.patience.retry_after_max_s) if isinstance(error, TransientError) else 0.0
        )
        if isinstance(error, TransientError) and error.crowded:
            self.client._limiter.refused(asked_s)
            return 0.0  # the next try holds off with everyone else
        own_s: float = tenacity.wait_random_exponential(multiplier=WAIT_FIRST_S, max=WAIT_MAX_S)(state)
        return max(asked_s, own_s)

    def _tell(self, state: tenacity.RetryCallState) -> None:
        error: Any = state.outcome.exception() if state.outcome is not None else None
        self.client.say(f"the model's endpoint: {error}; trying again")
