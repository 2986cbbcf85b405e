"""What a command may still ask for: requests, turns, tokens, dollars; and what an answer is charged. Protected by a lock.

A guest chooses how many requests it makes, how large, and how wrong they are. Each is admitted or rejected here, before
anything of it goes out; the most that its answer can cost is reserved first, and what it did cost is charged after.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from runner.budget.ledger import Ledger, Meter, Reservation
from runner.budget.limits import Account, BudgetExceeded, reached, remaining_limits
from runner.gateway.policy import ANSWER_TOKENS_MAX, RequestRejected, UpstreamRequest
from runner.gateway.response_parser import ResponseParser
from runner.gateway.wait_timer import WaitTimer
from runner.llm.prices import OUTPUT_TOKENS_MIN, Prices
from runner.records.episode import Limit, Limits, Spent, Usage

# The forwarder takes 8 connections, and an answer is read to its end after its connection has gone: twice as many.
EXCHANGES_MAX = 16
# Chosen: per command, whatever became of them. Rejected and free requests put a load on host and endpoint, too; the longest
# episodes of coding agents make some hundred requests.
REQUESTS_MAX = 5_000
# Chosen: this many requests may fail without taking a turn, which forgives an endpoint's bad minute and a program's own
# mistakes; after them each takes one, so that a program cannot fail for ever.
FAILURES_FREE = 20
# Chosen: of all requests that are under way, as held on the host: eight of the largest (framing.BODY_BYTES_MAX).
REQUEST_BYTES_MAX = 64 * 1024 * 1024
# Chosen; a guest influences neither. Below the cost of SMALL_TOKENS the job's budget counts as exhausted. A rejected request
# ends the episode for the job's dollars only if its first ORDINARY_TOKENS (a context window) cannot be afforded.
SMALL_TOKENS, ORDINARY_TOKENS = 10_000, 200_000
# The remaining dollars are compared again when they are reserved, in another order of additions: a rounding error, relative.
ROUNDING_ERROR = 1e-9


@dataclass
class Admission:
    """The limits of one command, for all threads of its gateway.

    Attributes:
        allowed: what the episode had left when the command began.
        waits: measures the seconds that exchanges wait for the job's dollars.
        limit: the first one for which a request was rejected; None: none was.
    """

    ledger: Ledger
    prices: Prices
    meter: Meter
    allowed: Limits
    waits: WaitTimer
    limit: Limit | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _requests: int = 0
    _exchanges: int = 0
    _request_bytes: int = 0
    _turns: int = 0
    _failures: int = 0

    def admit(self, body_bytes: int) -> None:
        """Let a request in, until `release`.

        Raises:
            RequestRejected: there were too many, or too many are under way.
        """
        with self._lock:
            self._requests += 1
            if self._requests <= REQUESTS_MAX:
                self._check_room_for(body_bytes)
                self._exchanges += 1
                self._request_bytes += body_bytes
                return
        raise self._reject_for(Limit.REQUESTS)

    def _check_room_for(self, body_bytes: int) -> None:
        if self._exchanges >= EXCHANGES_MAX:
            raise _busy(f"{EXCHANGES_MAX} requests are under way already")
        if self._request_bytes + body_bytes > REQUEST_BYTES_MAX:
            raise _busy(f"the requests under way may have {REQUEST_BYTES_MAX} bytes together")

    def release(self, body_bytes: int) -> None:
        """An admitted request has been answered."""
        with self._lock:
            self._exchanges -= 1
            self._request_bytes -= body_bytes

    def take_turn(self) -> int:
        """The number of the next turn, from 1 on.

        Raises:
            RequestRejected: there is none left.
        """
        with self._lock:
            if self.allowed.turns is None or self._turns < self.allowed.turns:
                self._turns += 1
                return self._turns
        raise self._reject_for(Limit.TURNS)

    def count_failure(self, *, turns_taken: int) -> None:
        """A request came to nothing: the first `FAILURES_FREE` give their turn back, the others take or keep one.

        Args:
            turns_taken: 1 if the request had taken a turn, 0 if it failed before.
        """
        with self._lock:
            self._failures += 1
            self._turns += int(self._failures > FAILURES_FREE) - turns_taken

    @contextlib.contextmanager
    def reserve(
        self, request: UpstreamRequest, check: Callable[[], None]
    ) -> Iterator[tuple[UpstreamRequest, Reservation]]:
        """The request with its answer limited to what can be paid, and the dollars reserved for it meanwhile.

        Args:
            check: called now and then while waiting for reservations of others; raises to give up.

        Raises:
            RequestRejected: the episode's limits, or the job's dollars, are not enough for a useful answer.
        """
        with contextlib.ExitStack() as stack:
            yield self._reserve(stack, request, check)

    def _reserve(
        self, stack: contextlib.ExitStack, request: UpstreamRequest, check: Callable[[], None]
    ) -> tuple[UpstreamRequest, Reservation]:
        small = self.prices.cost_max(SMALL_TOKENS, OUTPUT_TOKENS_MIN)
        while True:
            account = self.ledger.account
            tokens = affordable_tokens(
                self.prices, request.sent_tokens_max(), self._answer_tokens_max(request), _job_limits(account)
            )
            limited = request.limited_to(max(tokens, _answer_tokens_min(request)))
            cost_max = self.prices.cost_max(limited.sent_tokens_max(), limited.max_tokens)
            try:
                with self.waits.waiting():
                    return limited, stack.enter_context(self.ledger.reserve(cost_max, check, small))
            except BudgetExceeded:
                if self.ledger.account.spent == account.spent:  # else others spent meanwhile: a shorter one may do
                    raise self._reject_unpaid(limited) from None

    def _reject_unpaid(self, request: UpstreamRequest) -> RequestRejected:
        """The job's dollars end the episode only where they are short for what any program may ask."""
        ordinary = self.prices.cost_max(min(request.sent_tokens_max(), ORDINARY_TOKENS), OUTPUT_TOKENS_MIN)
        if not self.ledger.account.could_reserve(ordinary):
            return self._reject_for(Limit.JOB_DOLLARS)
        return RequestRejected(
            400, "invalid_request_error", "budget: the job's dollars do not pay for a request of this size"
        )

    def _answer_tokens_max(self, request: UpstreamRequest) -> int:
        """Tokens of an answer that the episode's limits allow.

        Raises:
            RequestRejected: they are not enough for a useful one.
        """
        reading = self.meter.reading
        remaining = remaining_limits(self.allowed, Spent(turns=0, usage=reading.usage, dollars=reading.dollars))
        limit = reached(replace(remaining, turns=None, wall_s=None, working_s=None))
        if limit is not None:
            raise self._reject_for(limit)
        sent, least = request.sent_tokens_max(), _answer_tokens_min(request)
        most = affordable_tokens(self.prices, sent, min(request.max_tokens, ANSWER_TOKENS_MAX), remaining)
        if most < least:
            too_dear = remaining.dollars is not None and self.prices.cost_max(sent, least) > remaining.dollars
            raise self._reject_for(Limit.DOLLARS if too_dear else Limit.OUTPUT_TOKENS)
        return most

    def charge(
        self, request: UpstreamRequest, reservation: Reservation, answer: ResponseParser | None
    ) -> tuple[Usage, float]:
        """Charge an exchange to the reservation and the meter: (tokens, US dollars).

        Args:
            answer: None where the endpoint gave none (no status 200), which costs nothing.
        """
        usage, dollars = (Usage(), 0.0) if answer is None else billable(self.prices, request, answer)
        reservation.charge(dollars)
        self.meter.add(usage, dollars, turns=int(answer is not None))
        return usage, dollars

    def _reject_for(self, limit: Limit) -> RequestRejected:
        with self._lock:
            self.limit = self.limit or limit
        return RequestRejected(400, "invalid_request_error", f"budget exceeded: {limit}")


def _busy(message: str) -> RequestRejected:
    return RequestRejected(429, "rate_limit_error", message)


def _answer_tokens_min(request: UpstreamRequest) -> int:
    """Tokens of the shortest useful answer; thinking must leave some for text."""
    thinking = request.thinking_tokens + 1 if request.thinking_tokens < request.max_tokens else 0
    return max(min(OUTPUT_TOKENS_MIN, request.max_tokens), thinking)


def _job_limits(account: Account) -> Limits:
    """The job's dollars, including reserved ones that may come back: they are waited for."""
    if account.cap is None:
        return Limits()
    return Limits(dollars=(account.cap - account.spent) * (1 - ROUNDING_ERROR))


def billable(prices: Prices, request: UpstreamRequest, answer: ResponseParser) -> tuple[Usage, float]:
    """Tokens and US dollars of an answer that has begun (status 200).

    One that broke off did not report its final usage, and the vendor bills what was generated: it is charged a token
    for every byte that arrived and, where not even the sent tokens were reported, the most that the request can have.
    An answer that is not streamed was generated whole before its first byte.
    """
    usage = answer.usage
    if answer.is_whole:
        return usage, prices.cost(usage)
    arrived = request.max_tokens
    if answer.is_streamed:
        arrived = min(usage.output + answer.content_bytes, request.max_tokens)
    usage = replace(usage, output=max(usage.output, arrived))
    if answer.has_begun:
        return usage, prices.cost(usage)
    return usage, prices.cost_max(request.sent_tokens_max(), usage.output)


def affordable_tokens(prices: Prices, sent_tokens: int, answer_tokens: int, remaining: Limits) -> int:
    """The most tokens of an answer that the remaining limits allow, of those that were asked for."""
    limits = (limit for limit in (remaining.output_tokens, remaining.tokens) if limit is not None)
    return prices.max_affordable_tokens(sent_tokens, min([answer_tokens, *limits]), remaining.dollars)
