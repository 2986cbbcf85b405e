"""A calibration of this host for a task: the study, the certificate that verdicts use, and one for each slot that holds.

Slots are tried two at a time, then three, and so on, each number with all of them measuring at once for as long as any of
them still has rounds that count; the first number at which one disturbs another is the last that is tried.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runner.budget.clock import SystemClock
from runner.faults import InfrastructureFault, TaskFault
from runner.grading.calibration.certificates import discard_certificate, write_certificate
from runner.grading.calibration.fingerprint import fingerprint
from runner.grading.calibration.slots import Beside, compare_with_alone
from runner.grading.calibration.study import (
    BASELINE_RUN,
    NOOP_RUN,
    ORACLE_RUN,
    Study,
    certificate_of,
    noop_submission,
    study,
)
from runner.grading.context import Candidate, GradingContext, Slot
from runner.grading.grade import measurement_session
from runner.grading.rounds import sample_rounds
from runner.job.setup import build_context, build_rules, build_spec
from runner.job.slots import AUTO, check_room, host_of_slot, most_slots
from runner.records.grading import Ending, GradingPhase, GradingStep, Sample
from runner.records.run import GradingConfig
from runner.sandbox.core_sets import plan_core_sets, read_cores
from runner.sandbox.engine import Engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.leftovers import sweep
from runner.settings import Settings
from runner.tasks.task import Task


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a calibration found, and where its certificate is.

    Attributes:
        host: the fingerprint that the certificate is for.
        content: of the certificate's file.
        slots: how many gradings may measure at once.
        beside: what the others did to each slot, for every number of slots that was tried.
        slots_held_by: why there are no more, as a clause; empty where there are as many as were asked for.
    """

    name: str
    path: Path
    host: dict[str, Any]
    content: dict[str, Any]
    study: Study
    slots: int = 1
    beside: tuple[Beside, ...] = ()
    slots_held_by: str = ""

    def as_json(self) -> dict[str, Any]:
        """What `calibrate --json` says."""
        found = {"slots": self.slots, "beside": [asdict(one) for one in self.beside]}
        return {"path": str(self.path), "fingerprint": self.host, **self.content, "side_by_side": found}


def check_has_solution(task: Task) -> bytes:
    """The solution, which a calibration measures.

    Raises:
        TaskFault: the task has none.
    """
    if task.oracle is None:
        raise TaskFault(
            cause=f"task {task.name} has no solution",
            hint=f"a calibration measures it next to the baseline: add solution/{task.file.submission.file}",
        )
    return task.oracle


def measure_certificate(
    engine: Engine,
    settings: Settings,
    task: Task,
    scale: str,
    rounds: int,
    say: Callable[[str], None],
    report_step: Callable[[GradingStep], None],
    slots: int = 1,
) -> Calibration:
    """Measure this host's noise with the same file on both sides, and write its certificate.

    Args:
        slots: the most gradings at once that are tried, too; 0: as many as there are cores for.

    Raises:
        UsageFault: there are not so many cores.
        Fault: it could not be measured or written.
        KeyboardInterrupt: the user stopped it; certificates that were written by then stay.
    """
    oracle = check_has_solution(task)
    check_room(engine, max(1, slots))
    sweep(engine)
    spec, image = build_spec(engine, task, settings, say)
    # No target: nothing is cut off, and nothing is decided.
    rules = replace(build_rules(engine, task, scale, image, GradingConfig()), target=None, certificate=None)
    fleet = Fleet(engine, "calibrate")
    context = build_context(fleet, task, scale, spec, rules, SystemClock(), report_step)
    candidates = [
        Candidate(ORACLE_RUN, oracle),
        Candidate(BASELINE_RUN, task.baseline, samples=1),
        Candidate(NOOP_RUN, noop_submission(task.file.call.entry, task.answer_of_call(scale)), samples=1),
    ]
    host = asdict(fingerprint(engine, task, scale, image.id))
    made = datetime.now(UTC)
    name = f"{task.name}-{scale}-{made:%Y%m%d%H%M}"
    most, why = most_slots(engine)
    try:
        with measurement_session(context) as on_cpu:
            samples = sample_rounds(on_cpu, candidates, rounds)
        result = _study(samples, rules.confidence)
        content: dict[str, Any] = {"made": made.isoformat(), "study": asdict(result)}
        content["certificate"] = asdict(certificate_of(result, name))
        made_at = write_certificate(host, content)
        calibration = Calibration(name, made_at, host, content, result, slots_held_by=why if slots == AUTO else "")
        tried = most if slots == AUTO else slots
        return _try_slots(calibration, context, candidates, samples, tried, most, report_step)
    finally:
        fleet.stop()


def _study(samples: Sequence[Sample], confidence: float) -> Study:
    """The study of these samples: the time to another end than an answer says nothing of the host's noise.

    Raises:
        InfrastructureFault: one of the task's own files gave no answer.
    """
    files = {ORACLE_RUN: "solution", BASELINE_RUN: "baseline"}
    for sample in samples:
        if sample.run in files and sample.ending is not Ending.ANSWERED:
            how = f"in round {sample.round} without an answer ({sample.ending.words}): {sample.detail}"
            raise InfrastructureFault(
                cause=f"a sample of the {files[sample.run]} ended {how}",
                hint="nothing is certified by that: calibrate again; raise [limits] in task.toml if it comes again",
            )
    return study(samples, confidence)


def _try_slots(
    calibration: Calibration, context: GradingContext, candidates: Sequence[Candidate], alone: Sequence[Sample],
    tried: int, most: int, report_step: Callable[[GradingStep], None],
) -> Calibration:  # fmt: skip
    """With ever more slots, until one disturbs another; certificates of larger numbers, made earlier, are discarded then."""
    cores, _ = read_cores(context.fleet.engine)
    for count in range(2, tried + 1):
        report_step(GradingStep(GradingPhase.NOTE, f"{count} gradings at once"))
        plan = tuple(map(Slot, plan_core_sets(cores, count)))
        found = sample_side_by_side(replace(context, slots=plan), candidates, calibration.study.rounds)
        studies = [_study(samples, context.rules.confidence) for samples in found]
        beside = tuple(
            compare_with_alone(number, count, (samples, of_slot), (alone, calibration.study))
            for number, (samples, of_slot) in enumerate(zip(found, studies, strict=True), 1)
        )
        calibration = replace(calibration, beside=(*calibration.beside, *beside))
        disturbed = [one for one in beside if one.disturbed]
        if disturbed:
            for larger in range(count, most + 1):
                for number, cpus in enumerate(plan_core_sets(cores, larger), 1):
                    discard_certificate(host_of_slot(calibration.host, cpus, number, larger))
            why = f"with {count} at once, slot {disturbed[0].slot} is disturbed: {disturbed[0].disturbed}"
            return replace(calibration, slots_held_by=why)
        for number, (slot, of_slot) in enumerate(zip(plan, studies, strict=True), 1):
            name = f"{calibration.name}-slot{number}of{count}"
            certificate = replace(certificate_of(of_slot, name), slot=number, slots=count, cpus=slot.cores.cpus)
            content = {
                "made": calibration.content["made"],
                "study": asdict(of_slot),
                "certificate": asdict(certificate),
            }
            write_certificate(host_of_slot(calibration.host, slot.cores, number, count), content)
        calibration = replace(calibration, slots=count)
    return calibration


def sample_side_by_side(
    context: GradingContext, candidates: Sequence[Candidate], rounds: int
) -> tuple[list[Sample], ...]:
    """The samples of `rounds` rounds in each of the context's slots, all at once.

    A slot that has all of its rounds goes on until the others have theirs, so that none of these is measured alone.

    Raises:
        InfrastructureFault, Interrupted: as `sample_rounds` does.
    """
    everyone, ready, books = set(range(len(context.slots))), set[int](), threading.Lock()

    def sample(number: int, in_slot: GradingContext) -> list[Sample]:
        def others_measure() -> bool:
            with books:
                ready.add(number)
                return ready != everyone

        try:
            return sample_rounds(in_slot, candidates, rounds, goes_on=others_measure)
        except BaseException:
            with books:
                ready.update(everyone)  # nothing of this counts: nobody measures on
            raise

    with measurement_session(context) as session, context.fleet.threads(len(context.slots), "slot") as pool:
        futures = [pool.submit(sample, number, in_slot) for number, in_slot in enumerate(session.in_slots)]
        return tuple(future.result() for future in futures)
