"""How many gradings measure at once: what is refused with a word, what a calibration proves, what `auto` takes."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace
from typing import Any

import pytest

from runner.faults import InfrastructureFault, UsageFault
from runner.grading.calibration.certificates import find_certificate, write_certificate
from runner.grading.calibration.slots import compare_with_alone
from runner.grading.calibration.study import BASELINE_RUN, ORACLE_RUN, Study, study
from runner.grading.context import Candidate, GradingContext
from runner.job import calibration as calibrations
from runner.job import slots as planned
from runner.job.calibration import Calibration
from runner.job.slots import AUTO, host_of_slot, with_slots
from runner.records.grading import Certificate, Ending, GradingStep, Sample
from runner.records.run import GradingConfig
from runner.sandbox.core_sets import Core, plan_core_sets
from tests.cli.test_calibrate import samples
from tests.fakes.paper import RULES
from tests.sandbox.test_core_sets import EIGHT, SIXTY_FOUR, TWO

Run = Callable[..., CompletedProcess[str]]
HOST = {"cpu": "a", "cores": 8}


@pytest.fixture(autouse=True)
def _own_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def on_machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[GradingContext, list[GradingStep]]]:
    """A context on a machine with these cores."""

    def make(cores: Sequence[Core], why: str = "") -> tuple[GradingContext, list[GradingStep]]:
        for module in (planned, calibrations):
            monkeypatch.setattr(module, "read_cores", lambda engine: (tuple(cores), why))
        monkeypatch.setattr(planned, "fingerprint", lambda *_: SimpleNamespace())
        monkeypatch.setattr(planned, "asdict", lambda _: HOST)
        steps: list[GradingStep] = []
        nothing: Any = SimpleNamespace()
        task: Any = SimpleNamespace(name="slow_nbody")
        context = GradingContext(
            fleet=SimpleNamespace(engine=nothing), task=task, problem=nothing, scale="full", spec=nothing,  # type: ignore[arg-type]
            measure_cpu="", warmup_cpus="0-7", memory_bytes=2**36, rules=RULES, clock=nothing,
            report_step=steps.append,
        )  # fmt: skip
        return context, steps

    return make


IMAGE: Any = SimpleNamespace(id="sha256:1")


def prove(cores: Sequence[Core], count: int, left_out: int = 0, variance: float = 1e-4) -> None:
    for number, cpus in enumerate(plan_core_sets(cores, count), 1):
        certificate = Certificate(
            id=f"slot{number}of{count}", variance=variance, df=6, sentinel_log_mean=0.0, sentinel_log_sd=0.1,
            slot=number, slots=count, cpus=cpus.cpus,
        )  # fmt: skip
        content = {"made": "2999-01-01T00:00:00+00:00", "certificate": asdict(certificate)}
        if number != left_out:
            write_certificate(host_of_slot(HOST, cpus, number, count), content)


def test_two_cores_have_room_for_one_and_a_wish_for_two_is_refused_with_the_reason(on_machine: Any) -> None:
    context, _ = on_machine(TWO)
    with pytest.raises(UsageFault) as refused:
        with_slots(context, IMAGE, GradingConfig(slots=2))
    assert "--slots 2: this machine has room for one slot: the runner may use 2 physical cores" in refused.value.cause
    assert "leave it out" in refused.value.hint


def test_what_no_calibration_has_proved_is_refused_with_the_command_that_would(on_machine: Any) -> None:
    context, _ = on_machine(EIGHT)
    with pytest.raises(UsageFault) as refused:
        with_slots(context, IMAGE, GradingConfig(slots=3))
    assert "no calibration has shown" in refused.value.cause
    assert "python -m runner calibrate --task slow_nbody --scale full --slots 3" in refused.value.hint
    with pytest.raises(UsageFault, match="room for 3 slots"):
        with_slots(context, IMAGE, GradingConfig(slots=4))


@pytest.mark.parametrize(
    ("cores", "why", "words"),
    [
        (TWO, "", "may use 2 physical cores"),
        (EIGHT, "", "no calibration has proved more (`python -m runner calibrate"),
        ((), "the engine is on another machine", "on another machine"),
    ],
)
def test_auto_without_a_proof_is_one_and_says_why(on_machine: Any, cores: Any, why: str, words: str) -> None:
    context, steps = on_machine(cores, why)
    assert with_slots(context, IMAGE, GradingConfig(slots=AUTO)).slots == ()
    assert [step.text.startswith("one grading measures at a time: ") and words in step.text for step in steps] == [True]


def test_auto_takes_the_most_that_is_proved_and_each_slot_its_own_certificate(on_machine: Any) -> None:
    context, steps = on_machine(SIXTY_FOUR)
    prove(SIXTY_FOUR, 2)
    prove(SIXTY_FOUR, 5)
    prove(SIXTY_FOUR, 6, left_out=4)
    found = with_slots(context, IMAGE, GradingConfig(slots=AUTO)).slots
    assert [slot.certificate.id for slot in found] == [f"slot{number}of5" for number in range(1, 6)]
    assert [slot.certificate.cpus for slot in found] == [slot.cores.cpus for slot in found] and not steps
    assert len(with_slots(context, IMAGE, GradingConfig(slots=2)).slots) == 2
    with pytest.raises(UsageFault, match="no calibration has shown"):
        with_slots(context, IMAGE, GradingConfig(slots=6))


def test_one_slot_is_what_there_was_before_whatever_is_proved(on_machine: Any) -> None:
    context, steps = on_machine(EIGHT)
    prove(EIGHT, 2)
    assert with_slots(context, IMAGE, GradingConfig()) is context and not steps


def test_a_slot_that_is_noisier_than_is_allowed_is_refused(on_machine: Any) -> None:
    context, _ = on_machine(EIGHT)
    prove(EIGHT, 2, variance=0.01)
    with pytest.raises(InfrastructureFault, match=r"varies by 10\.0 %"):
        with_slots(context, IMAGE, GradingConfig(slots=2, max_noise=5.0))


# What a calibration keeps

QUIET = samples(7, 0.01, seed=2)
ALONE = QUIET, study(QUIET, 0.95)


def slowed(taken: Sequence[Sample], times: float, *sides: str) -> list[Sample]:
    return [replace(sample, seconds=sample.seconds * (times if sample.side in sides else 1.0)) for sample in taken]


def beside(taken: Sequence[Sample]) -> tuple[Sequence[Sample], Study]:
    return taken, study(taken, 0.95)


@pytest.mark.parametrize(
    ("taken", "words"),
    [
        (samples(7, 0.01, seed=3), ""),
        (slowed(QUIET, 1.2, "baseline", "candidate"), "the baseline's time is 1.200 times what it is alone"),
        (slowed(QUIET, 1 / 1.2, "baseline", "candidate"), "the baseline's time is 0.833 times"),
        ([replace(s, seconds=s.seconds * (1.2 if s.run == 1 else 1.0)) for s in QUIET], "the ratio is 0.833 times"),
    ],
    ids=["as quiet", "boost", "faster beside", "memory bus"],
)
def test_a_slot_is_disturbed_where_its_level_differs_by_more_than_can_be_told(taken: Any, words: str) -> None:
    found = compare_with_alone(1, 2, beside(taken), ALONE)
    assert found.disturbed.startswith(words) and bool(found.disturbed) == bool(words)


def test_spread_alone_disturbs() -> None:
    _, quiet = ALONE
    noisy = replace(quiet, ratio_sd=4 * quiet.ratio_sd)
    found = compare_with_alone(1, 2, (QUIET, noisy), ALONE)
    assert found.baseline_times == found.ratio_times == 1.0 and "varies by" in found.disturbed
    assert not compare_with_alone(1, 2, (QUIET, replace(quiet, ratio_sd=2 * quiet.ratio_sd)), ALONE).disturbed


def calibrate(context: GradingContext, monkeypatch: pytest.MonkeyPatch, tried: int, disturbed_from: int) -> Calibration:
    """As many as are tried, on a machine of eight cores where so many disturb each other."""

    def side_by_side(context: GradingContext, candidates: Any, rounds: int) -> tuple[list[Sample], ...]:
        count = len(context.slots)
        last = slowed(QUIET, 1.3, "baseline", "candidate") if count >= disturbed_from else list(QUIET)
        return (*[list(QUIET) for _ in range(count - 1)], last)

    monkeypatch.setattr(calibrations, "sample_side_by_side", side_by_side)
    content = {"made": "2999-01-01T00:00:00+00:00"}
    alone = Calibration("c", Path("c.json"), dict(HOST), content, ALONE[1])
    return calibrations._try_slots(alone, context, [Candidate(1, b"")], QUIET, tried, 3, context.report_step)


def proved(cores: Sequence[Core], count: int) -> int:
    plan = plan_core_sets(cores, count)
    hosts = [host_of_slot(HOST, cpus, number, count) for number, cpus in enumerate(plan, 1)]
    return sum(find_certificate(host)[0] is not None for host in hosts)


def test_the_largest_number_that_does_not_disturb_is_kept_and_each_slot_is_certified(
    on_machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, _ = on_machine(EIGHT)
    prove(EIGHT, 3)  # by an earlier one, which this one contradicts
    found = calibrate(context, monkeypatch, tried=3, disturbed_from=3)
    assert found.slots == 2 and [(one.slots, one.slot, bool(one.disturbed)) for one in found.beside] == [
        (2, 1, False), (2, 2, False), (3, 1, False), (3, 2, False), (3, 3, True)
    ]  # fmt: skip
    assert "with 3 at once, slot 3 is disturbed" in found.slots_held_by
    assert (proved(EIGHT, 2), proved(EIGHT, 3)) == (2, 0)
    slots = with_slots(context, IMAGE, GradingConfig(slots=AUTO)).slots
    assert [(slot.certificate.slot, slot.certificate.slots, slot.certificate.cpus) for slot in slots] == [
        (1, 2, "4-7"), (2, 2, "1-3")
    ]  # fmt: skip


@pytest.mark.parametrize("run", [ORACLE_RUN, BASELINE_RUN])
@pytest.mark.parametrize("goes_on", [True, False], ids=["answers again", "is not run again"])
def test_a_calibration_in_which_a_file_of_the_tasks_ended_without_an_answer_certifies_nothing(
    run: int, goes_on: bool, on_machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hit = next(sample for sample in QUIET if sample.run == run and sample.round == 2)
    ended = replace(hit, ending=Ending.OUT_OF_MEMORY, seconds=0.01, detail="killed")
    rest = [s for s in QUIET if s is not hit and (goes_on or s.run != run or s.round < hit.round)]
    context, _ = on_machine(EIGHT)
    monkeypatch.setattr(calibrations, "sample_side_by_side", lambda *_: ([*rest, ended], list(QUIET)))
    alone = Calibration("c", Path("c.json"), dict(HOST), {"made": "2999-01-01T00:00:00+00:00"}, ALONE[1])
    with pytest.raises(InfrastructureFault, match=r"in round 2 without an answer \(out of memory\): killed"):
        calibrations._try_slots(alone, context, [Candidate(1, b"")], QUIET, 2, 3, context.report_step)
    assert proved(EIGHT, 2) == 0


def test_where_two_disturb_each_other_one_is_kept(on_machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    context, _ = on_machine(EIGHT)
    prove(EIGHT, 2)
    found = calibrate(context, monkeypatch, tried=3, disturbed_from=2)
    assert found.slots == 1 and {one.slots for one in found.beside} == {2}
    assert (proved(EIGHT, 2), proved(EIGHT, 3)) == (0, 0)


@pytest.mark.parametrize(("given", "slots"), [("auto", AUTO), ("1", 1), ("3", 3)])
def test_the_flag_takes_a_number_or_auto(given: str, slots: int) -> None:
    from runner.cli.option_groups import parse_slots

    assert parse_slots(given) == slots


@pytest.mark.slow
@pytest.mark.parametrize("command", ["run", "grade", "calibrate"])
@pytest.mark.parametrize("given", ["0", "-1", "many", "1.5", " "])
def test_another_value_is_refused_by_name(in_process: Run, command: str, given: str) -> None:
    files = ("x.py",) if command == "grade" else ()
    done = in_process(command, *files, "--slots", given)
    assert done.returncode == 2 and "is neither a number of slots from 1 nor `auto`" in done.stderr


def test_calibrate_says_what_the_others_did_to_each_slot_and_what_holds_more_up(
    on_machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runner.cli.calibrate import _slot_lines

    context, _ = on_machine(EIGHT)
    first, *_, last = _slot_lines(calibrate(context, monkeypatch, tried=3, disturbed_from=3))
    assert first.startswith("  slot 1 of 2 at once: the baseline takes 1.000 times as long as alone")
    assert last.startswith(
        "2 gradings at once (`--slots 2`): with 3 at once, slot 3 is disturbed: the baseline's time is"
    )
    alone = Calibration("c", Path("c.json"), dict(HOST), {}, ALONE[1])
    assert list(_slot_lines(alone)) == []
    assert list(_slot_lines(replace(alone, slots_held_by="there is one core"))) == [
        "One grading at a time: there is one core"
    ]
    assert alone.as_json()["side_by_side"] == {"slots": 1, "beside": []}


def test_more_than_the_machine_has_room_for_are_refused_before_the_job_has_a_folder(
    cli_ungraded: Run, tmp_path: Path
) -> None:
    flags = ("--task", "slow_nbody", "--scale", "small", "--agent", "noop", "--runs", "1", "--output", str(tmp_path))
    done = cli_ungraded(*flags, "--slots", "999")
    assert done.returncode == 2 and "--slots 999: this machine has room for" in done.stderr
    assert list(tmp_path.iterdir()) == []
