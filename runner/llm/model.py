"""The client of one model: the one policy of retries, deadlines, pauses and money, whatever the endpoint speaks.

A *transport* sends one request over the wire once. This module sends it again while that makes sense: exponential waits
with jitter, the endpoint's own `retry-after` up to a cap, one pause shared by all episodes, and a deadline around the
turn. The most that each attempt can cost is set aside before it is sent, and what it did cost is counted. What an
attempt cost that broke off in mid-stream is not known: the vendor bills what was generated, which is more than what had
been reported. So it is charged a bound (`AttemptProgress.cost_max`), or a job could spend more than its cap.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import tenacity

from runner.budget.clock import Clock
from runner.budget.ledger import Ledger, Meter, Reservation
from runner.budget.limits import BudgetExceeded
from runner.faults import Interrupted, ModelFault, ModelRefused
from runner.llm.backoff import Backoff
from runner.llm.messages import ModelRequest, ModelResponse
from runner.llm.prices import Prices
from runner.records.episode import Limit, Usage
from runner.records.events import Attempt

# Chosen: a first pause that outlasts a restart behind a load
# balancer, and a longest one that still leaves several attempts within a turn.
WAIT_FIRST_S, WAIT_MAX_S = 1.0, 60.0
# Chosen: how soon a stop is seen (no longer than a person notices), and how long an answer that was broken off may
# still take to say what it cost.
POLL_S, LAST_WORD_S = 0.1, 0.5
# Chosen: an attempt with less time would be paid for and not answered.
ATTEMPT_S_MIN = 1.0
# Chosen: somebody who starts a job waits for its preflight, and a model's first word takes seconds.
PREFLIGHT_S = 30.0
# Chosen: a model that writes sends something many times a second.
GROWING_S = 2.0


class TransientError(Exception):
    """Worth another attempt.

    Attributes:
        after_s: seconds that the endpoint asked to wait; 0: it did not say.
        rate_limited: the endpoint has no room: all episodes pause.
        hint: what to do where the endpoint has never answered: there, another attempt is not worth it; empty: it is.
    """

    def __init__(self, reason: str, *, after_s: float = 0.0, rate_limited: bool = False, hint: str = "") -> None:
        super().__init__(reason)
        self.after_s, self.rate_limited, self.hint = after_s, rate_limited, hint


class ContextLengthExceeded(Exception):
    """The conversation is longer than the model takes; the caller may shorten it."""


class ContextEditingUnsupported(Exception):
    """The endpoint does not clear the context by itself; the caller may do it."""


@dataclass
class AttemptProgress:
    """What has arrived of an attempt; the transport keeps it up to date, and it can be read while the transport hangs.

    Attributes:
        has_begun: the endpoint took the request (status 200 was seen): from then on it bills.
        usage: as it was reported so far.
        content_bytes: of text, thinking and inputs that arrived.
        request_id: the endpoint's id of the request.
        content_at_s: when the last of it came, on the host's monotonic clock.
    """

    has_begun: bool = False
    usage: Usage = Usage()
    content_bytes: int = 0
    request_id: str = ""
    content_at_s: float = 0.0

    def add_content(self, content_bytes: int) -> None:
        """So much of the answer is there now."""
        if content_bytes > self.content_bytes:
            self.content_bytes, self.content_at_s = content_bytes, time.monotonic()

    @property
    def is_growing(self) -> bool:
        """Whether an answer was coming in just now."""
        return self.content_bytes > 0 and time.monotonic() - self.content_at_s < GROWING_S

    def cost_max(self, request: ModelRequest, prices: Prices) -> float:
        """US dollars that an attempt which ended here cost at the most.

        Sent is what was reported, else the request's bound at the dearest kind of token; received is what was reported, or
        a token for every byte that arrived where that is more. Before status 200 it is nothing, whether the request was
        refused, never arrived, or was left waiting: as far as can be known, no vendor bills for it.
        """
        if not self.has_begun:
            return 0.0
        output = max(self.usage.output, min(self.content_bytes, request.max_tokens))
        if not self.usage.sent:
            return prices.cost_max(request.tokens_max(), output)
        return prices.cost(replace(self.usage, output=output))


class Transport(Protocol):
    """One endpoint.

    Attributes:
        api: the form of its requests: `messages` or `chat` (see `runner.llm.request_log`).
    """

    model: str
    api: str

    def body_of(self, request: ModelRequest) -> dict[str, Any]:
        """The body of a request, exactly as it is sent.

        Raises:
            ModelFault: it asks for something that this API cannot express.
        """
        ...

    def ask(self, request: ModelRequest, end_s: float, progress: AttemptProgress) -> ModelResponse:
        """Send the request once; must end by `end_s` of the monotonic clock, and keep `progress` up to date.

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
        turn_s: with all attempts and pauses.
        retry_after_max_s: the longest pause that the endpoint may ask for.
    """

    turn_s: float = 600.0
    retry_after_max_s: float = 120.0


@dataclass
class ModelClient:
    """Asks one model, for all episodes of a job.

    Attributes:
        report: told in words of what went wrong and is attempted again.
        refusal: why every later request is pointless; None while there is hope.
        has_answered: the endpoint is there, and has been asked rightly.
        backoff: the pause that all episodes share.
    """

    transport: Transport
    prices: Prices
    ledger: Ledger
    clock: Clock
    report: Callable[[str], None]
    retry_policy: RetryPolicy = RetryPolicy()
    refusal: ModelRefused | None = None
    has_answered: threading.Event = field(default_factory=threading.Event)
    backoff: Backoff = field(init=False)
    _closed: threading.Event = field(default_factory=threading.Event)
    _reported_uncounted: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.backoff = Backoff(self.clock)

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
        """Ask for one word, to check key, model and address before a sandbox starts.

        Raises:
            ModelFault: one of them is wrong, or the endpoint does not answer.
        """
        request = ModelRequest("", [{"role": "user", "content": "Say: ready"}], [], max_tokens=1)
        _RequestRun(self, request, Meter(), lambda attempt: None, min(PREFLIGHT_S, self.retry_policy.turn_s)).run()

    def body_of(self, request: ModelRequest) -> dict[str, Any]:
        """The body of a request, exactly as it is sent.

        Raises:
            ModelFault: it asks for something that the API cannot express.
        """
        return self.transport.body_of(request)

    def respond(
        self,
        request: ModelRequest,
        meter: Meter,
        on_attempt: Callable[[Attempt], None] = lambda attempt: None,
        spend_max: float | None = None,
        within_s: float | None = None,
    ) -> ModelResponse:
        """The model's answer; the request is sent again while that makes sense and the turn has time.

        Args:
            meter: adds up what every attempt used.
            on_attempt: called with every attempt.
            spend_max: US dollars that all attempts together may cost; None: no limit but the job's.
            within_s: seconds of the host's clock that the episode has left; None: no limit but the turn's.

        Raises:
            BudgetExceeded: the job, or the episode after a failed attempt, has no dollars for it; or the episode's time was
                up in the middle of an answer.
            ContextLengthExceeded, ContextEditingUnsupported: the conversation is too long; the endpoint does not shorten it.
            ModelFault: the endpoint gave no answer; says what it said.
            Interrupted: we are stopping.
        """
        turn_s = self.retry_policy.turn_s
        if within_s is not None and within_s < turn_s:
            return _RequestRun(self, request, meter, on_attempt, within_s, spend_max, is_last=True).run()
        return _RequestRun(self, request, meter, on_attempt, turn_s, spend_max).run()

    def check(self) -> None:
        """Whether it makes sense to go on.

        Raises:
            Interrupted, ModelRefused: it does not.
        """
        if self._closed.is_set():
            raise Interrupted
        if self.refusal is not None:
            raise self.refusal

    def check_usage(self, response: ModelResponse) -> None:
        """Report once that the endpoint does not count tokens: no limit on tokens or dollars can hold there."""
        if response.usage == Usage() and not self._reported_uncounted.is_set():
            self._reported_uncounted.set()
            self.report("the model's endpoint does not report its usage: tokens and dollars count as nothing")

    def sleep(self, seconds: float) -> None:
        """Wait, unless we are stopping.

        Raises:
            Interrupted: we are.
        """
        if self._closed.wait(max(0.0, seconds)):
            raise Interrupted


@dataclass
class _RequestRun:
    """One request, with all its attempts.

    Attributes:
        is_last: its time is all that the episode has left.
        progress: of the attempt under way, or of the last.
    """

    client: ModelClient
    request: ModelRequest
    meter: Meter
    on_attempt: Callable[[Attempt], None]
    turn_s: float
    spend_max: float | None = None
    is_last: bool = False
    progress: AttemptProgress = field(default_factory=AttemptProgress)
    started_s: float = field(init=False)
    end_s: float = field(init=False)
    answered_in_s: float = 0.0
    spent: float = 0.0

    def __post_init__(self) -> None:
        self.started_s = self.client.clock.monotonic()
        self.end_s = self.started_s + self.turn_s

    def run(self) -> ModelResponse:
        retry = tenacity.Retrying(
            retry=tenacity.retry_if_exception(self._is_worth_another),
            wait=self._pause_s,
            stop=self._is_over,
            sleep=self.client.sleep,
            before_sleep=self._report_retry,
            reraise=True,
        )
        try:
            return retry(self._attempt)
        except TransientError as error:
            if not self._is_worth_another(error):
                raise ModelFault(cause=f"the model's endpoint cannot be asked: {error}", hint=error.hint) from None
            if self.is_last and self.progress.is_growing:  # the endpoint was at work: the time was the agent's
                raise BudgetExceeded(Limit.WALL_CLOCK) from None
            raise ModelFault(
                cause=f"the model's endpoint gave no answer within {self.turn_s:g} s: {error}",
                hint="check that the address is right (--base-url); try again later, or with fewer --concurrency",
            ) from None
        except ModelRefused as refusal:
            self.client.refusal = refusal
            raise
        finally:
            whole_s = self.client.clock.monotonic() - self.started_s
            self.meter.add(waited_s=max(0.0, whole_s - self.answered_in_s))

    def _attempt(self) -> ModelResponse:
        client, request = self.client, self.request
        client.check()
        client.backoff.wait(self._sleep_within_turn)
        waits_from_s = client.clock.monotonic()
        cost_max = client.prices.cost_max(request.tokens_max(), request.max_tokens)
        if self.spend_max is not None and self.spent > 0 and self.spent + cost_max > self.spend_max:
            raise BudgetExceeded(Limit.DOLLARS)
        with client.ledger.reserve(cost_max, client.check) as hold:
            began_s = client.clock.monotonic()
            self.end_s += began_s - waits_from_s  # waiting for the job's own dollars is not the endpoint's delay
            progress = self.progress = AttemptProgress()
            try:
                response = self._send(progress)
            except Exception as error:  # boundary: whatever ended it, what it used is counted, then it goes on
                self._count(hold, self._failed(error, replace(progress), client.clock.monotonic() - began_s))
                if isinstance(error, TransientError):
                    client.check()  # a stream that we broke off ourselves is not the endpoint's fault
                raise
            self.answered_in_s = client.clock.monotonic() - began_s
            cost = client.prices.cost(response.usage)
            seconds = round(self.answered_in_s, 6)
            self._count(
                hold, Attempt(seconds=seconds, usage=response.usage, dollars=cost, request_id=response.request_id)
            )
            client.check_usage(response)
        client.has_answered.set()
        client.backoff.on_success()
        return response

    def _failed(self, error: Exception, seen: AttemptProgress, seconds: float) -> Attempt:
        cost = seen.cost_max(self.request, self.client.prices)
        reason = str(error) if isinstance(error, TransientError) else f"{type(error).__name__}: {error}"
        return Attempt(
            seconds=round(seconds, 6), usage=seen.usage, dollars=cost, request_id=seen.request_id, error=reason,
            is_bound=seen.has_begun,
        )  # fmt: skip

    def _count(self, hold: Reservation, attempt: Attempt) -> None:
        hold.charge(attempt.dollars)
        self.spent += attempt.dollars
        self.meter.add(attempt.usage, attempt.dollars)
        self.on_attempt(attempt)

    def _send(self, progress: AttemptProgress) -> ModelResponse:
        """The transport's answer, in a thread that can be left behind: a read that is blocked cannot be relied on to wake.

        Raises:
            TransientError: there was none in time, or we are stopping.
        """
        done: Future[ModelResponse] = Future()

        def work() -> None:
            try:
                done.set_result(self.client.transport.ask(self.request, self.end_s, progress))
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

    def _sleep_within_turn(self, seconds: float) -> None:
        left_s = self.end_s - self.client.clock.monotonic()
        if seconds + ATTEMPT_S_MIN >= left_s:
            self.client.sleep(left_s)
            raise TransientError("it asked for a longer pause than the turn has left")
        self.client.sleep(seconds)

    def _is_worth_another(self, error: BaseException) -> bool:
        """What keeps a connection from coming about does not pass by itself, unless the endpoint was there before."""
        return isinstance(error, TransientError) and (not error.hint or self.client.has_answered.is_set())

    def _is_over(self, state: tenacity.RetryCallState) -> bool:
        """Whether no time for another attempt is left after its pause."""
        return self.client.clock.monotonic() + state.upcoming_sleep + ATTEMPT_S_MIN >= self.end_s

    def _pause_s(self, state: tenacity.RetryCallState) -> float:
        """Exponential with full jitter, longer if the endpoint asks; where it has no room, the pause is the shared one."""
        error = state.outcome.exception() if state.outcome is not None else None
        asked_s = (
            min(error.after_s, self.client.retry_policy.retry_after_max_s) if isinstance(error, TransientError) else 0.0
        )
        if isinstance(error, TransientError) and error.rate_limited:
            self.client.backoff.on_rate_limited(asked_s)
            return 0.0  # the next attempt pauses with all others
        own_s: float = tenacity.wait_random_exponential(multiplier=WAIT_FIRST_S, max=WAIT_MAX_S)(state)
        return max(asked_s, own_s)

    def _report_retry(self, state: tenacity.RetryCallState) -> None:
        error: Any = state.outcome.exception() if state.outcome is not None else None
        self.client.report(f"the model's endpoint: {error}; trying again")
