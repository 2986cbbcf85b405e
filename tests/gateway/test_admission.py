"""What a command may still ask for, without a thread, a container or an endpoint."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from runner.budget.ledger import Ledger, Meter
from runner.gateway.admission import EXCHANGES_MAX, FAILURES_FREE, REQUEST_BYTES_MAX, REQUESTS_MAX, Admission
from runner.gateway.framing import Request
from runner.gateway.policy import RequestRejected, UpstreamRequest, authorize
from runner.gateway.response_parser import ResponseParser
from runner.gateway.wait_timer import WaitTimer
from runner.llm.prices import Prices
from runner.records.episode import Limits, Usage

PRICES = Prices("m", fixed=(3.0, 15.0))


def admission(allowed: Limits = Limits(), cap: float | None = 10.0) -> Admission:
    return Admission(Ledger(cap), PRICES, Meter(), allowed, WaitTimer(lambda seconds: None))


def asked(max_tokens: int = 1000, **keys: Any) -> UpstreamRequest:
    body = {"model": "m", "max_tokens": max_tokens, "messages": [{"role": "user", "content": "hi"}], **keys}
    return authorize(Request(1, {"method": "POST", "path": "/v1/messages"}, json.dumps(body).encode()), "m")


def no_check() -> None:
    """Never gives up."""


def test_so_many_requests_may_be_under_way_and_a_released_one_makes_room() -> None:
    doors = admission()
    for _ in range(EXCHANGES_MAX):
        doors.admit(10)
    with pytest.raises(RequestRejected, match="under way already") as busy:
        doors.admit(10)
    assert busy.value.status == 429 and doors.limit is None
    doors.release(10)
    doors.admit(10)


def test_requests_under_way_have_so_many_bytes_together() -> None:
    doors = admission()
    doors.admit(REQUEST_BYTES_MAX)
    with pytest.raises(RequestRejected, match="bytes together"):
        doors.admit(1)
    doors.release(REQUEST_BYTES_MAX)
    doors.admit(1)


def test_a_command_has_so_many_requests_whatever_becomes_of_them() -> None:
    doors = admission()
    for _ in range(REQUESTS_MAX):
        doors.admit(0)
        doors.release(0)
    with pytest.raises(RequestRejected, match="budget exceeded: requests") as rejection:
        doors.admit(0)
    assert rejection.value.status == 400 and doors.limit == "requests"


def test_the_first_failures_give_their_turn_back_and_later_ones_keep_it() -> None:
    doors = admission(Limits(turns=2))
    for _ in range(FAILURES_FREE):
        assert doors.take_turn() == 1
        doors.count_failure(turns_taken=1)
    for number in (1, 2):
        assert doors.take_turn() == number
        doors.count_failure(turns_taken=1)
    with pytest.raises(RequestRejected, match="budget exceeded: turns"):
        doors.take_turn()


def test_failures_before_a_turn_take_one_once_the_free_ones_are_used() -> None:
    doors = admission(Limits(turns=1))
    for _ in range(FAILURES_FREE + 1):
        doors.count_failure(turns_taken=0)
    with pytest.raises(RequestRejected, match="budget exceeded: turns"):
        doors.take_turn()


@pytest.mark.parametrize(
    ("allowed", "cap", "limit"),
    [
        (Limits(output_tokens=0), 10.0, "output tokens"),
        (Limits(output_tokens=100), 10.0, "output tokens"),
        (Limits(dollars=0.001), 10.0, "dollars"),
        (Limits(), 0.001, "the job's dollars"),
    ],
)
def test_a_limit_that_leaves_no_useful_answer_is_named_and_remembered(allowed: Limits, cap: float, limit: str) -> None:
    doors = admission(allowed, cap)
    with pytest.raises(RequestRejected, match=f"budget exceeded: {limit}"), doors.reserve(asked(), no_check):
        pass
    assert doors.limit == limit and doors.ledger.account.open_reservations == 0


def test_a_reservation_is_the_most_that_the_limited_answer_can_cost_and_comes_back() -> None:
    doors = admission(Limits(output_tokens=400))
    with doors.reserve(asked(), no_check) as (limited, reservation):
        assert limited.max_tokens == 400
        assert doors.ledger.account.reserved == pytest.approx(PRICES.cost_max(limited.sent_tokens_max(), 400))
        assert doors.charge(limited, reservation, None) == (Usage(), 0.0)
    assert (doors.ledger.account.open_reservations, doors.ledger.account.spent, doors.meter.reading.turns) == (
        0,
        0.0,
        0,
    )


def test_an_answer_is_charged_to_job_and_episode_and_counts_as_a_turn() -> None:
    doors = admission()
    answer = ResponseParser("application/json")
    answer.feed(b'{"content": [], "usage": {"input_tokens": 7, "output_tokens": 3}}')
    answer.close()
    with doors.reserve(asked(), no_check) as (limited, reservation):
        usage, dollars = doors.charge(limited, reservation, answer)
    assert usage == Usage(input=7, cache_write=0, cache_read=0, output=3) and dollars == pytest.approx(
        (7 * 3 + 3 * 15) / 1e6
    )
    assert doors.ledger.account.spent == dollars and doors.meter.reading.turns == 1


def test_a_wait_for_the_jobs_dollars_can_be_given_up() -> None:
    class GaveUp(Exception):
        pass

    def give_up() -> None:
        raise GaveUp

    doors = admission(cap=0.03)
    check: Callable[[], None] = give_up
    with doors.reserve(asked(1000), no_check), pytest.raises(GaveUp), doors.reserve(asked(1000), check):
        pass
    assert doors.ledger.account.open_reservations == 0 and doors.limit is None
