"""Samples of the task's own files that were held up, and files whose processes take long to end."""

import pytest

from runner.grading.checks.answers import DYING_CPU_S_MAX, slow_death
from runner.grading.stalls import STALL_S_MIN, STALL_SHARE_MAX, OwnWaits, held_up_by_others, host_is_busy
from runner.grading.verdict import checks_verdict
from runner.records.grading import Ending, Sample
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


@pytest.mark.parametrize(
    ("seconds", "others_s", "unit_s", "held_up"),
    [
        pytest.param(0.018, 0.014, 0.0005, True, id="counted finely enough"),
        pytest.param(0.018, 0.014, None, False, id="counted in ticks, of which there are too few"),
        pytest.param(0.0055, 0.002, 0.0005, False, id="no longer than the way to a sample can be"),
        pytest.param(0.018, 0.006, 0.0005, False, id="most of its wait was nobody's work"),
    ],
)
def test_a_sample_of_milliseconds_was_held_up_by_others_where_they_are_counted_finely(
    seconds: float, others_s: float, unit_s: float | None, held_up: bool
) -> None:
    sample = Sample(
        side="candidate", run=1, round=1, position=0, ending=Ending.ANSWERED, seconds=seconds, cpu_s=0.003,
        others_s=others_s, others_unit_s=unit_s,
    )  # fmt: skip
    assert held_up_by_others(sample) is held_up


@pytest.mark.parametrize(
    ("unit_s", "busy"), [pytest.param(0.0005, True, id="counted finely"), pytest.param(None, False, id="in ticks")]
)
def test_a_host_is_busy_that_works_for_others_by_more_than_can_be_misread(unit_s: float | None, busy: bool) -> None:
    baseline = Sample(
        side="baseline", run=0, round=1, position=0, ending=Ending.ANSWERED, seconds=0.05, cpu_s=0.045, others_s=0.004,
        others_unit_s=unit_s,
    )  # fmt: skip
    assert host_is_busy([baseline] * 4) is busy


@pytest.mark.parametrize(
    ("seconds", "cpu_s", "others_s", "held_up"),
    [
        pytest.param(0.40, 0.04, 0.35, True, id="others had the CPU"),
        pytest.param(0.40, 0.04, 0.10, False, id="it slept, and little ran beside it"),
        pytest.param(0.40, 0.38, 0.35, False, id="it worked itself"),
        pytest.param(0.03, 0.01, 0.02, False, id="too short for the kernel's ticks"),
        pytest.param(0.40, None, 0.35, False, id="nobody counts its time"),
        pytest.param(0.40, 0.04, None, False, id="nobody counts the CPU's"),
    ],
)
def test_a_sample_whose_cpu_worked_for_others_was_held_up_by_them(
    seconds: float, cpu_s: float | None, others_s: float | None, held_up: bool
) -> None:
    sample = Sample(
        side="candidate", run=1, round=1, position=0, ending=Ending.ANSWERED, seconds=seconds, cpu_s=cpu_s, others_s=others_s
    )  # fmt: skip
    assert held_up_by_others(sample) is held_up


@pytest.mark.parametrize(("ending", "held_up"), [(Ending.CUT, True), (Ending.TIMED_OUT, True), (Ending.CRASHED, False)])
def test_a_sample_that_was_stopped_while_others_had_its_cpu_was_held_up_and_other_ends_are_the_files(
    ending: Ending, held_up: bool
) -> None:
    sample = Sample(side="candidate", run=1, round=1, position=0, ending=ending, seconds=0.5, cpu_s=0.1, others_s=0.39)
    assert held_up_by_others(sample) is held_up


def test_processes_that_take_the_cpu_after_they_were_killed_fail_the_file() -> None:
    assert slow_death(0.0) is None and slow_death(DYING_CPU_S_MAX) is None
    finding = slow_death(DYING_CPU_S_MAX + 0.1)
    assert finding is not None and finding.check == "ends-when-killed"
    verdict = checks_verdict([finding], RULES)
    assert verdict is not None and verdict.kind == "unsafe"
