"""Grading under the measurement lock: what every command that measures calls."""

import contextlib
from collections.abc import Iterator, Sequence

from runner.faults import InfrastructureFault
from runner.grading.context import Candidate, GradingContext
from runner.grading.rounds import Graded, grade
from runner.records.grading import Grading, GradingPhase, GradingStep
from runner.records.outcome import infrastructure
from runner.sandbox.lock import exclude_cpu, measurement_cpu, measurement_lock
from runner.sandbox.spec import AGENT_ROLE


@contextlib.contextmanager
def measurement_session(context: GradingContext) -> Iterator[GradingContext]:
    """Hold the measurement lock, with episodes frozen and this process off the measuring CPU; gives the context on it.

    Raises:
        InfrastructureFault: engine or host failed.
        Interrupted: we are stopping, or were while we waited for another job.
    """
    engine, spec = context.fleet.engine, context.spec
    cpuset = measurement_cpu(engine)

    def report_waiting(text: str) -> None:
        context.report_step(GradingStep(GradingPhase.WAITING, text))

    with measurement_lock(engine, spec.image_id, spec.python, cpuset, say=report_waiting):
        with context.fleet.frozen(AGENT_ROLE), exclude_cpu(engine, cpuset):
            yield context.with_cpu(cpuset)


def grade_contents(
    context: GradingContext, contents: Sequence[bytes], attempts: Sequence[int] | None = None
) -> Iterator[Graded]:
    """Grade contents together, as runs 1, 2, ...; a host fault becomes the outcome of what was not yet decided.

    Args:
        attempts: which grading of it each is, from 1; None for the first of each.

    Raises:
        Interrupted: we are stopping.
    """
    pairs = zip(contents, attempts or [1] * len(contents), strict=True)
    candidates = [Candidate(number, content, attempt) for number, (content, attempt) in enumerate(pairs, 1)]
    yield from grade_all(context, candidates)


def grade_all(context: GradingContext, candidates: Sequence[Candidate]) -> Iterator[Graded]:
    """Hold the measurement lock and grade; a host fault becomes the outcome of what was not yet decided.

    Raises:
        Interrupted: we are stopping.
    """
    undecided = {candidate.run for candidate in candidates}
    try:
        with measurement_session(context) as on_cpu:
            for graded in grade(on_cpu, candidates):
                undecided.remove(graded.run)
                yield graded
    except InfrastructureFault as fault:
        for number in sorted(undecided):
            yield Graded(number, Grading(outcome=infrastructure(fault.cause, fault.hint)))
