"""Samples of the task's own files that were held up, and files whose processes take long to end."""

import pytest

from runner.grading.checks.answers import DYING_CPU_S_MAX, slow_death
from runner.grading.stalls import STALL_S_MIN, STALL_SHARE_MAX, OwnWaits
from runner.grading.verdict import checks_verdict
from runner.sandbox.cgroup import ResourceUsage
from tests.builders import RULES


def used(cpu_s: float | None, throttled_s: float | None = 0.0) -> ResourceUsage:
    return ResourceUsage(cpu_s=cpu_s, throttled_s=throttled_s)


@pytest.mark.parametrize(
    ("seconds", "cpu_s", "throttled_s", "held_up"),
    [
        pytest.param(41.0, 20.7, 0.0, True, id="twice its CPU time"),
        pytest.param(41.0, 20.7, 20.0, False, id="the quota's doing"),
        pytest.param(20.8, 20.7, 0.0, False, id="undisturbed"),
        pytest.param(20.0, 20.0 * (1 - STALL_SHARE_MAX) + 0.01, None, False, id="under the share"),
        pytest.param(20.0, 20.0 * (1 - STALL_SHARE_MAX) - 0.01, None, True, id="over the share"),
        pytest.param(STALL_S_MIN, 0.0, 0.0, False, id="too short to say"),
        pytest.param(41.0, None, None, False, id="nobody counts"),
        pytest.param(0.0, 0.0, 0.0, False, id="no time at all"),
    ],
)
def test_a_sample_whose_time_and_cpu_time_part_was_held_up(
    seconds: float, cpu_s: float | None, throttled_s: float | None, held_up: bool
) -> None:
    assert OwnWaits({}).held_up("baseline", seconds, used(cpu_s, throttled_s)) is held_up


def test_a_file_that_waits_by_itself_is_asked_again_once_and_then_known() -> None:
    waits = OwnWaits({})
    assert waits.held_up("baseline", 10.0, used(4.0))
    assert not waits.held_up("baseline", 10.0, used(4.0))
    assert not waits.held_up("baseline", 10.0, used(4.1))
    assert waits.held_up("baseline", 20.0, used(2.0)), "it waits longer than it ever did"
    assert waits.held_up("sentinel", 10.0, used(4.0)), "the other side's waits are its own"


def test_one_held_up_sample_excuses_none_after_an_undisturbed_one() -> None:
    waits = OwnWaits({})
    assert waits.held_up("baseline", 41.0, used(20.7))
    assert not waits.held_up("baseline", 20.8, used(20.7))
    assert waits.held_up("baseline", 41.0, used(20.7))


def test_processes_that_take_the_cpu_after_they_were_killed_fail_the_file() -> None:
    assert slow_death(0.0) is None and slow_death(DYING_CPU_S_MAX) is None
    finding = slow_death(DYING_CPU_S_MAX + 0.1)
    assert finding is not None and finding.check == "ends-when-killed"
    verdict = checks_verdict([finding], RULES)
    assert verdict is not None and verdict.kind == "unsafe"
