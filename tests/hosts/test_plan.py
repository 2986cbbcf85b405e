"""The plan of shares: every run ends exactly once, and goes to another host at most once."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.hosts.plan import Plan, share_size


@given(
    st.integers(1, 12), st.integers(1, 5), st.lists(st.sampled_from(["finish", "lose", "refuse", "over"]), max_size=60)
)
def test_every_run_ends_once_whatever_becomes_of_the_shares(runs: int, size: int, steps: list[str]) -> None:
    plan, ends = Plan(size, deque(range(1, runs + 1))), []
    for step in [*steps, *["finish"] * 3 * runs]:
        if not plan.shares and plan.next_share() is None:
            break
        share = next(iter(plan.shares))
        match step:
            case "finish" if plan.shares[share]:
                ends.append(plan.shares[share][0])
                plan.finished(share, plan.shares[share][0])
            case "lose":
                _, given_up = plan.lost(share, "host")
                ends += given_up
            case "refuse":
                plan.put_back(share)
            case _:
                ends += plan.over(share)
    ends += plan.give_up()
    assert sorted(ends) == list(range(1, runs + 1)) and plan.is_over
    assert all(len(hosts) <= 2 for hosts in plan.lost_on.values())


@pytest.mark.parametrize(
    ("runs", "hosts", "asked", "size"), [(10, 2, 0, 5), (10, 3, 0, 4), (10, 40, 0, 1), (10, 2, 1, 1), (0, 0, 0, 1)]
)
def test_a_share_gives_every_host_one_unless_asked_otherwise(runs: int, hosts: int, asked: int, size: int) -> None:
    assert share_size(runs, hosts, asked) == size
