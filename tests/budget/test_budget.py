"""Money and limits: ten episodes side by side never spend more than the job's cap, and never strand more than one turn's
reservation below it; and the pure parts that this rests on.
"""

import json
import random
import threading
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.budget.estimate import estimate
from runner.budget.ledger import Ledger, Meter, MeterReading
from runner.budget.limits import Account, BudgetExceeded, format_remaining, reached, remaining_limits
from runner.faults import Interrupted, ModelFault, UsageFault
from runner.llm.backoff import LONGEST_S, SPREAD_S, SPREAD_SHARE, Backoff
from runner.llm.messages import ModelRequest, ModelResponse
from runner.llm.model import AttemptProgress, ModelClient, RetryPolicy, TransientError
from runner.llm.prices import CACHE_WRITE, Prices, prices_of
from runner.records.episode import Limit, Limits, Spent, Usage
from runner.records.events import Attempt
from tests.conftest import wait_until

pytestmark = pytest.mark.slow  # plays a thousand jobs

EPISODES, TURNS_MAX = 10, 30
ROUNDING = 1e-9
FOREVER_S = 1e15


class FakeClock:
    """Time that passes when somebody sleeps, shared by all threads."""

    def __init__(self) -> None:
        self._lock, self._now_s = threading.Lock(), 0.0

    def monotonic(self) -> float:
        with self._lock:
            return self._now_s

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.monotonic(), UTC)

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._now_s += seconds


class HurriedClient(ModelClient):
    """The real client; only its waits take no time."""

    def sleep(self, seconds: float) -> None:
        self.check()
        self.clock.sleep(seconds)


# What ten episodes spend


@dataclass
class RandomEndpoint:
    """Answers at once, with a random usage within the question's bounds; a share of the tries fails halfway, and is billed.

    Attributes:
        most: the largest sum of what was spent and set aside that was ever seen.
        billed: US dollars, for what was generated, whether or not it was reported.
    """

    rng: random.Random
    failing: float
    ledger: Ledger
    prices: Prices
    model: str = "random-1"
    api: str = "messages"
    most: float = 0.0
    billed: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def body_of(self, question: ModelRequest) -> dict[str, Any]:
        return {}

    def ask(self, question: ModelRequest, end_s: float, progress: AttemptProgress) -> ModelResponse:
        with self._lock:
            account = self.ledger.account
            self.most = max(self.most, account.spent + account.reserved)
            usage, fails = self._usage(question), self.rng.random() < self.failing
            crowded, after_s = self.rng.random() < 0.3, self.rng.choice([0.0, 0.0, 2.0, 3600.0])
            if fails and self.rng.random() < 0.3:
                raise TransientError("refused", rate_limited=crowded, after_s=after_s)
            self.billed += self.prices.cost(usage)
            if fails:
                progress.has_begun = True
                progress.usage = self.rng.choice([Usage(), replace(usage, output=self._part(usage.output))])
                progress.content_bytes = usage.output * self.rng.choice([1, 4])
                raise TransientError("halfway", rate_limited=crowded, after_s=after_s)
        return ModelResponse(({"type": "text", "text": "so"},), "end_turn", usage)

    def close(self) -> None:
        """There is nothing to break off."""

    def _usage(self, question: ModelRequest) -> Usage:
        sent, most = self._part(question.tokens_max()), question.max_tokens
        cache_write = self._part(sent)
        cache_read = self._part(sent - cache_write)
        return Usage(
            input=sent - cache_write - cache_read,
            cache_write=cache_write,
            cache_read=cache_read,
            output=self._part(most),
        )

    def _part(self, of: int) -> int:
        """All, nothing, or anything between."""
        return self.rng.choice([0, of, self.rng.randint(0, of), self.rng.randint(0, of)])


@dataclass
class Plan:
    """A job of ten episodes whose prices, sizes and faults are random."""

    seed: int
    prices: Prices
    failing: float
    turns_of_cap: float  # how many of the dearest turns the cap would pay
    sent_max: int
    output_max: int

    @property
    def cap(self) -> float:
        return self.turns_of_cap * self.prices.cost_max(self.sent_max, self.output_max)


class Job:
    """Plays a plan's episodes in threads, over one ledger and one client."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.clock, self.ledger = plan, FakeClock(), Ledger(plan.cap)
        self.endpoint = RandomEndpoint(random.Random(plan.seed), plan.failing, self.ledger, plan.prices)
        self.client = HurriedClient(
            self.endpoint, plan.prices, self.ledger, self.clock, lambda said: None, RetryPolicy(FOREVER_S)
        )
        self.meters = [Meter() for _ in range(EPISODES)]
        self.tries: list[Attempt] = []
        self.refused: list[float] = []  # dollars of the reservations that were refused

    def play(self) -> "Job":
        threads = [threading.Thread(target=self._episode, args=(number,)) for number in range(EPISODES)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert not any(thread.is_alive() for thread in threads), "an episode waits for dollars that nobody holds"
        return self

    def _episode(self, number: int) -> None:
        rng = random.Random(self.plan.seed * EPISODES + number)
        for _ in range(TURNS_MAX):
            sent, output = rng.randint(1, self.plan.sent_max), rng.randint(1, self.plan.output_max)
            question = ModelRequest("", [], [], output, sent_tokens_max=sent)
            try:
                self.client.respond(question, self.meters[number], self.tries.append)
            except BudgetExceeded:
                self.refused.append(self.plan.prices.cost_max(sent, output))
                return

    def check(self) -> None:
        account, readings = self.ledger.account, [meter.reading for meter in self.meters]
        cap, dust = self.plan.cap, ROUNDING * max(1.0, self.plan.cap)
        assert account.spent <= cap + dust and self.endpoint.most <= cap + dust
        assert self.endpoint.billed <= account.spent + dust, "what broke off was billed, and not counted"
        assert (account.reserved, account.open_reservations) == (0.0, 0)
        assert sum(reading.dollars for reading in readings) == pytest.approx(account.spent, rel=1e-9, abs=dust)
        assert sum(one.dollars for one in self.tries) == pytest.approx(account.spent, rel=1e-9, abs=dust)
        assert sum((reading.usage for reading in readings), Usage()) == sum((one.usage for one in self.tries), Usage())
        assert self.ledger.exhausted is bool(self.refused)
        assert all(cap - account.spent < amount + dust for amount in self.refused), "more than a turn's was stranded"


def some_plan(rng: random.Random) -> Plan:
    """Prices by hand mostly, since the tables are slow to ask; small caps mostly, so that the dollars end."""
    fixed = (rng.choice([0.0, 0.1, 3.0, 75.0]), rng.choice([0.0, 0.2, 15.0, 150.0]))
    prices = Prices("m", fixed=fixed) if rng.random() < 0.95 else Prices("claude-sonnet-5-5", "anthropic")
    return Plan(
        seed=rng.getrandbits(32),
        prices=prices,
        failing=rng.choice([0.0, 0.1, 0.3, 0.6]),
        turns_of_cap=rng.choice([0.5, 1.0, 2.5, 10.0, 25.0]),
        sent_max=rng.choice([1, 1_000, 200_000, 1_000_000]),
        output_max=rng.choice([1, 256, 16_384]),
    )


@pytest.mark.slow
def test_a_thousand_random_jobs_keep_to_their_cap_and_strand_no_more_than_one_turns_reservation() -> None:
    rng, ended = random.Random(20261124), 0
    for _ in range(1000):
        job = Job(some_plan(rng)).play()
        job.check()
        ended += job.ledger.exhausted
    assert ended >= 300, "the dollars of many of them ended"


@pytest.mark.slow
@given(
    seed=st.integers(0, 2**32),
    fixed=st.tuples(st.floats(0, 1000), st.floats(0, 1000)),
    failing=st.floats(0, 0.7),
    turns_of_cap=st.floats(0, 20),
    sent_max=st.integers(1, 2_000_000),
    output_max=st.integers(1, 128_000),
)
def test_a_job_spends_no_more_than_its_cap(
    seed: int, fixed: tuple[float, float], failing: float, turns_of_cap: float, sent_max: int, output_max: int
) -> None:
    Job(Plan(seed, Prices("m", fixed=fixed), failing, turns_of_cap, sent_max, output_max)).play().check()


# The ledger


def test_a_turn_waits_while_another_holds_dollars_that_may_come_back() -> None:
    ledger, got = Ledger(10.0), threading.Event()

    def second() -> None:
        with ledger.reserve(4.0):
            got.set()

    with ledger.reserve(7.0) as first:
        thread = threading.Thread(target=second)
        thread.start()
        assert not got.wait(0.3), "7 of 10 are set aside"
        first.charge(1.0)
    assert got.wait(5.0)
    thread.join()
    assert ledger.account == Account(10.0, spent=1.0) and not ledger.exhausted


def test_a_turn_is_refused_where_nothing_is_held() -> None:
    ledger = Ledger(1.0)
    with pytest.raises(BudgetExceeded, match=Limit.JOB_DOLLARS), ledger.reserve(1.01):
        pass
    assert ledger.exhausted and ledger.account == Account(1.0)


def test_a_turn_is_refused_at_once_where_all_that_is_held_would_not_be_enough() -> None:
    ledger = Ledger(10.0)
    with ledger.reserve(4.0) as first:
        first.charge(4.0)
    with ledger.reserve(1.0), pytest.raises(BudgetExceeded), ledger.reserve(6.5):
        pass
    assert ledger.exhausted and ledger.account.spent == 4.0


def test_waiting_for_dollars_ends_when_we_are_stopping() -> None:
    def stop() -> None:
        raise Interrupted

    ledger = Ledger(1.0)
    with ledger.reserve(1.0), pytest.raises(Interrupted), ledger.reserve(1.0, stop):
        pass
    assert ledger.account == Account(1.0)


def test_what_a_turn_cost_is_settled_also_where_it_failed() -> None:
    ledger = Ledger(1.0)
    with pytest.raises(TransientError), ledger.reserve(0.5) as hold:
        hold.charge(0.2)
        raise TransientError("halfway")
    assert ledger.account == Account(1.0, spent=0.2)


def test_without_a_cap_every_turn_has_room() -> None:
    ledger = Ledger(None)
    with ledger.reserve(1e12), ledger.reserve(1e12):
        assert ledger.account.reserved == 2e12


def test_a_meter_adds_up_what_threads_use() -> None:
    meter = Meter()

    def use() -> None:
        for _ in range(1000):
            meter.add(Usage(input=1, cache_write=2, cache_read=3, output=4), 0.5, 0.25)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert meter.reading == MeterReading(
        Usage(input=4000, cache_write=8000, cache_read=12000, output=16000), 2000.0, 1000.0
    )


def test_a_meter_keeps_numbers_of_any_library_as_numbers_that_a_record_can_hold() -> None:
    meter = Meter()
    meter.add(Usage(input=np.int64(3), output=np.int32(4)), np.float32(0.5), np.float64(0.25), np.int8(2))  # type: ignore[arg-type]
    assert json.loads(json.dumps(asdict(meter.reading))) == asdict(MeterReading(Usage(input=3, output=4), 0.5, 0.25, 2))


# An episode's limits


FULL = Limits(turns=10, output_tokens=1000, tokens=5000, dollars=2.0, wall_s=600.0, working_s=300.0)


def test_what_is_left_is_the_limit_less_what_was_spent_of_each() -> None:
    spent = Spent(
        turns=3,
        usage=Usage(input=100, cache_write=20, cache_read=30, output=50),
        dollars=0.5,
        wall_s=60.0,
        working_s=30.0,
    )
    assert remaining_limits(FULL, spent) == Limits(
        turns=7, output_tokens=950, tokens=4800, dollars=1.5, wall_s=540.0, working_s=270.0
    )


def test_nothing_is_the_least_that_can_be_left_and_no_limit_stays_none() -> None:
    spent = Spent(
        turns=99,
        usage=Usage(input=10**6, cache_write=0, cache_read=0, output=10**6),
        dollars=99.0,
        wall_s=1e6,
        working_s=1e6,
    )
    assert remaining_limits(FULL, spent) == Limits(
        turns=0, output_tokens=0, tokens=0, dollars=0.0, wall_s=0.0, working_s=0.0
    )
    assert remaining_limits(Limits(), spent) == Limits()


@pytest.mark.parametrize(
    ("spent", "name"),
    [
        (Spent(), None),
        (Spent(turns=10), "turns"),
        (Spent(usage=Usage(output=1000)), "output tokens"),
        (Spent(usage=Usage(input=5000)), "tokens"),
        (Spent(dollars=2.0), "dollars"),
        (Spent(wall_s=600.0), "wall clock"),
        (Spent(working_s=300.5), "working time"),
        (Spent(turns=10, dollars=2.0), "turns"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_the_limit_that_was_reached_is_named(spent: Spent, name: str | None) -> None:
    assert reached(remaining_limits(FULL, spent)) == name
    assert reached(remaining_limits(Limits(), spent)) is None


def test_what_is_left_is_told_in_words_and_no_limit_is_not_told() -> None:
    words = "10 turns, 300 s of work, 600 s, 1000 output tokens, 5000 tokens, $2.00"
    assert (
        format_remaining(FULL) == words
        and format_remaining(Limits(turns=2)) == "2 turns"
        and format_remaining(Limits()) == ""
    )


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_no_dust_of_rounding_stays_set_aside(amounts: list[float], rng: random.Random) -> None:
    account = Account(None)
    for amount in amounts:
        account = account.reserve(amount)
    rng.shuffle(amounts)
    for amount in amounts:
        account = account.settle(amount, 0.0)
    assert account == Account(None)


# Prices


MODELS = [
    Prices("m", fixed=(3.0, 15.0)),
    Prices("m", unknown=True),
    Prices("claude-sonnet-5-5", "anthropic"),
    Prices("gpt-4o"),
    # Read tokens cost more than sent ones there.
    Prices("~deepseek/deepseek-pro-latest", "openrouter"),
]


@given(
    prices=st.sampled_from(MODELS),
    parts=st.tuples(*[st.integers(0, 400_000)] * 3),
    output=st.integers(0, 64_000),
    slack=st.tuples(st.integers(0, 100_000), st.integers(0, 1000)),
)
def test_no_usage_within_its_bounds_costs_more_than_was_set_aside(
    prices: Prices, parts: tuple[int, int, int], output: int, slack: tuple[int, int]
) -> None:
    fresh, written, read = parts
    cost = prices.cost(Usage(input=fresh, cache_write=written, cache_read=read, output=output))
    assert cost <= prices.cost_max(sum(parts) + slack[0], output + slack[1]) * (1 + ROUNDING)


@pytest.mark.parametrize("given_", ["3/15", "$3/$15", " 3.0 / 15.00 "])
def test_a_price_can_be_given_by_hand(given_: str) -> None:
    prices = prices_of("nobody-knows-it", price=given_)
    assert prices.cost(Usage(input=1_000_000, output=1_000_000)) == pytest.approx(18.0)
    assert prices.cost(Usage(cache_write=1_000_000)) == pytest.approx(3.0 * CACHE_WRITE)


@pytest.mark.parametrize("given_", ["3", "3/", "/15", "-3/15", "three/15", "3/15/20", "nan/1", "1e9/2"])
def test_a_price_that_cannot_be_read_is_refused_with_its_form(given_: str) -> None:
    with pytest.raises(UsageFault) as caught:
        prices_of("m", price=given_)
    assert caught.value.cause == f"--price {given_}: must be IN/OUT" and "3/15" in caught.value.hint


def test_a_model_that_no_table_knows_is_refused_unless_that_is_wanted() -> None:
    with pytest.raises(UsageFault, match="no price is known for the model 'clode-9'"):
        prices_of("clode-9", "anthropic")
    prices = prices_of("clode-9", "anthropic", check=False)
    assert prices.unknown and prices.cost_max(10**6, 10**6) == 0.0
    assert not prices_of("claude-sonnet-5-5", "anthropic", check=False).unknown


# The estimate


@pytest.mark.parametrize(
    ("limits", "cap", "dollars_max"),
    [
        (Limits(turns=30), 10.0, 10.0),
        (Limits(turns=30), 1000.0, 10 * 30 * 0.5),
        (Limits(turns=30, dollars=2.0), 1000.0, 10 * 2.0),
        (Limits(turns=2, dollars=2.0), 1000.0, 10 * 2 * 0.5),
        (Limits(), 1000.0, 1000.0),
    ],
    ids=["the cap", "turns", "dollars", "turns before dollars", "no limit but the cap"],
)
def test_the_most_that_a_job_costs_follows_from_its_narrowest_limit(
    limits: Limits, cap: float, dollars_max: float
) -> None:
    found = estimate(limits, 10, 4, cap, 0.5)
    assert found.dollars_max == pytest.approx(dollars_max)
    assert found.dollars_is_guess is (dollars_max < cap), "only the cap is a promise"


def test_the_time_of_a_job_is_that_of_its_waves() -> None:
    found = estimate(Limits(turns=30, wall_s=3600.0, working_s=600.0), 10, 4, 10.0, 0.5)
    assert (found.episodes_s, found.episodes_s_max) == (3 * 225.0, 3 * 600.0)


def test_a_model_that_costs_nothing_costs_nothing() -> None:
    found = estimate(Limits(), 10, 4, 10.0, 0.0)
    assert (found.dollars_max, found.episode_dollars_max) == (0.0, 0.0)


# One pause for all


class Sleeper:
    """Notes how long it was asked to sleep, and lets the clock go on."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.slept = clock, list[float]()

    def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.sleep(seconds)


def waited(limiter: Backoff, clock: FakeClock) -> list[float]:
    sleeper = Sleeper(clock)
    limiter.wait(sleeper)
    return sleeper.slept


def test_one_refusal_holds_off_all_for_as_long_as_was_asked() -> None:
    clock = FakeClock()
    limiter = Backoff(clock)
    assert waited(limiter, clock) == []
    assert limiter.on_rate_limited(20.0) == 20.0
    clock.sleep(5.0)
    waits = waited(limiter, clock)
    assert len(waits) == 1 and 15.0 <= waits[0] <= 15.0 * (1 + SPREAD_SHARE) + SPREAD_S
    assert waited(limiter, clock) == [], "the pause is over"


def test_a_pause_that_nobody_asked_for_doubles_up_to_its_longest() -> None:
    clock = FakeClock()
    limiter, pauses = Backoff(clock), []
    for _ in range(8):
        pauses.append(limiter.on_rate_limited(0.0))
        waited(limiter, clock)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, LONGEST_S, LONGEST_S]


def test_ten_that_ran_into_the_same_wall_together_are_one_refusal() -> None:
    clock = FakeClock()
    limiter = Backoff(clock)
    assert [limiter.on_rate_limited(0.0) for _ in range(10)] == [1.0] * 10
    waited(limiter, clock)
    assert limiter.on_rate_limited(0.0) == 2.0


def test_an_answer_makes_the_next_pause_short_again_but_does_not_end_this_one() -> None:
    clock = FakeClock()
    limiter = Backoff(clock)
    for _ in range(5):
        limiter.on_rate_limited(0.0)
        waited(limiter, clock)
    limiter.on_rate_limited(30.0)
    limiter.on_success()
    assert sum(waited(limiter, clock)) >= 30.0 and limiter.on_rate_limited(0.0) == 1.0


def test_a_longer_pause_stands_over_a_shorter_one() -> None:
    clock = FakeClock()
    limiter = Backoff(clock)
    limiter.on_rate_limited(60.0)
    limiter.on_rate_limited(1.0)
    assert sum(waited(limiter, clock)) >= 60.0


def test_holding_off_can_be_given_up() -> None:
    def stop(seconds: float) -> None:
        raise Interrupted

    limiter = Backoff(FakeClock())
    limiter.on_rate_limited(60.0)
    with pytest.raises(Interrupted):
        limiter.wait(stop)


@dataclass
class Busy:
    """Refuses the first questions; time passes only in waits."""

    clock: FakeClock
    refusals: list[TransientError]
    model: str = "busy-1"
    api: str = "messages"
    asked_s: list[float] = field(default_factory=list)

    def body_of(self, question: ModelRequest) -> dict[str, Any]:
        return {}

    def ask(self, question: ModelRequest, end_s: float, progress: AttemptProgress) -> ModelResponse:
        self.asked_s.append(self.clock.monotonic())
        if self.refusals:
            raise self.refusals.pop(0)
        return ModelResponse((), "end_turn", Usage(input=1, output=1))

    def close(self) -> None:
        """There is nothing to break off."""


class MeetingClient(HurriedClient):
    """The real client; the first long wait of each thread lasts until as many wait."""

    meeting = threading.Barrier(6)

    def sleep(self, seconds: float) -> None:
        if seconds >= 30.0:
            self.meeting.wait(timeout=30)
        super().sleep(seconds)


def test_one_refusal_slows_all_episodes_of_a_job() -> None:
    clock = FakeClock()
    endpoint = Busy(clock, [TransientError("HTTP 429", rate_limited=True, after_s=30.0)])
    client = MeetingClient(endpoint, Prices("m", fixed=(1.0, 1.0)), Ledger(None), clock, lambda said: None)
    question = ModelRequest("", [], [], 10, sent_tokens_max=10)
    threads = [threading.Thread(target=client.respond, args=(question, Meter())) for _ in range(6)]
    threads[0].start()
    wait_until(lambda: client.meeting.n_waiting == 1)
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(endpoint.asked_s) == 7 and endpoint.asked_s[0] == 0.0 and min(endpoint.asked_s[1:]) >= 30.0


# Pauses and the turn's deadline


def alone(clock: FakeClock, refusals: list[TransientError], patience: RetryPolicy) -> tuple[Busy, ModelClient]:
    endpoint = Busy(clock, refusals)
    prices = Prices("m", fixed=(1.0, 1.0))
    return endpoint, HurriedClient(endpoint, prices, Ledger(None), clock, lambda said: None, patience)


def test_a_pause_that_a_broken_endpoint_asks_for_is_taken_up_to_the_cap() -> None:
    refusals = [TransientError("HTTP 503", after_s=90.0), TransientError("HTTP 500", after_s=3600.0)]
    endpoint, client = alone(FakeClock(), refusals, RetryPolicy(600.0, retry_after_max_s=120.0))
    client.respond(ModelRequest("", [], [], 10, sent_tokens_max=10), Meter())
    assert endpoint.asked_s == [0.0, 90.0, 210.0]


def test_no_try_is_sent_for_which_the_turn_has_no_time() -> None:
    endpoint, client = alone(FakeClock(), [TransientError("HTTP 503", after_s=59.5)] * 2, RetryPolicy(60.0))
    with pytest.raises(ModelFault, match="HTTP 503"):
        client.respond(ModelRequest("", [], [], 10, sent_tokens_max=10), Meter())
    assert endpoint.asked_s == [0.0]
