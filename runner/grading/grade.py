"""Grading under the measurement lock: what every command that measures calls."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from runner.faults import InfrastructureFault
from runner.grading.answers import grade_answers
from runner.grading.context import Candidate, GradingContext
from runner.grading.page_cache import check_image
from runner.grading.programs import grade_programs
from runner.grading.rounds import grade
from runner.grading.side_by_side import contexts_in_slots, grade_side_by_side
from runner.grading.standing import Graded
from runner.grading.tested_work import grade_works
from runner.records.grading import Grading, GradingPhase, GradingStep
from runner.records.outcome import infrastructure
from runner.sandbox.core_sets import as_cpuset, cpus_of
from runner.sandbox.lock import MeasuringSlot, exclude_cpu, measurement_cpu, slot_locks
from runner.sandbox.spec import AGENT_ROLE


@contextlib.contextmanager
def measurement_session(context: GradingContext) -> Iterator[GradingContext]:
    """Hold the measurement lock, with episodes frozen and this process off the measuring CPU; gives the context on it.

    Where it has slots, their locks are held, too, this process keeps off all of their CPUs, and the context is also there
    in each of them.

    Raises:
        InfrastructureFault: engine or host failed, or the image's programs are not what they were when it was built.
        Interrupted: we are stopping, or were while we waited for another job.
    """
    engine, spec = context.fleet.engine, context.spec
    cpuset, sets = measurement_cpu(engine), [slot.cores for slot in context.slots]
    measured = as_cpuset(cpu for used in (cpuset, *(one.cpus for one in sets)) for cpu in cpus_of(used))

    def report_waiting(text: str) -> None:
        context.report_step(GradingStep(GradingPhase.WAITING, text))

    with slot_locks(engine, spec, sets, say=report_waiting) as held:
        with context.fleet.frozen(AGENT_ROLE), exclude_cpu(engine, measured):
            check_image(context)
            in_slots = contexts_in_slots(context, [_checks(held, {cpuset, one.measure}) for one in sets])
            yield replace(context.with_cpu(cpuset, held[cpuset].check), in_slots=in_slots)


def _checks(held: Mapping[str, MeasuringSlot], cpusets: Collection[str]) -> Callable[[], None]:
    """Raises a fault where one of these locks is no longer held."""

    def check() -> None:
        for cpuset in cpusets:
            held[cpuset].check()

    return check


@contextlib.contextmanager
def grading_session(context: GradingContext) -> Iterator[GradingContext]:
    """What a grading needs to hold: the measurement lock where anything of a submission runs, else nothing.

    Raises:
        InfrastructureFault, Interrupted: as `measurement_session` does.
    """
    if not context.task.is_measured:
        yield context
        return
    with measurement_session(context) as on_cpu:
        yield on_cpu


def grade_candidates(context: GradingContext, candidates: Sequence[Candidate]) -> Iterator[Graded]:
    """Grade the candidates together, in a `grading_session`; each comes out as soon as its verdict is final.

    Raises:
        InfrastructureFault: engine or host failed, and with it every candidate that is not out yet.
        Interrupted: we are stopping.
    """
    of_kind = {"python": grade, "program": grade_programs, "answer": grade_answers, "tests": grade_works}[
        context.task.kind
    ]
    if context.in_slots and len(candidates) > 1:
        return grade_side_by_side(context.in_slots, candidates, of_kind)
    return of_kind(context, candidates)


def grade_contents(context: GradingContext, contents: Sequence[bytes]) -> Iterator[Graded]:
    """Grade contents together, as runs 1, 2, ...; a host fault becomes the outcome of what was not yet decided.

    Raises:
        Interrupted: we are stopping.
    """
    yield from grade_all(context, [Candidate(number, content) for number, content in enumerate(contents, 1)])


def grade_all(context: GradingContext, candidates: Sequence[Candidate]) -> Iterator[Graded]:
    """Hold the measurement lock and grade; a host fault becomes the outcome of what was not yet decided.

    Raises:
        Interrupted: we are stopping.
    """
    undecided = {candidate.run for candidate in candidates}
    try:
        with grading_session(context) as on_cpu:
            for graded in grade_candidates(on_cpu, candidates):
                undecided.remove(graded.run)
                yield graded
    except InfrastructureFault as fault:
        for number in sorted(undecided):
            yield Graded(number, Grading(outcome=infrastructure(fault.cause, fault.hint)))
