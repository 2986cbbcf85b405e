"""Grading submissions under the measurement lock: what every command that measures calls."""

import contextlib
from collections.abc import Iterator, Sequence

from runner.faults import InfrastructureFault
from runner.grading.rounds import Bench, Candidate, Graded, grade
from runner.records.outcome import Infrastructure
from runner.sandbox.lock import kept_off, measuring_cpu, measuring_slot
from runner.sandbox.spec import AGENT_ROLE


@contextlib.contextmanager
def measuring(bench: Bench) -> Iterator[Bench]:
    """The measuring slot, with episodes frozen and this process off its CPU; the bench on that CPU."""
    engine, spec = bench.fleet.engine, bench.spec
    cpuset = measuring_cpu(engine)
    with measuring_slot(engine, spec.image_id, spec.python, cpuset, say=bench.say):
        with bench.fleet.frozen(AGENT_ROLE), kept_off(engine, cpuset):
            yield bench.on(cpuset)


def gradings(bench: Bench, contents: Sequence[bytes], attempts: Sequence[int] | None = None) -> Iterator[Graded]:
    """Grade contents together, as runs 1, 2, ...; a host fault becomes the outcome of what was not yet decided.

    Raises:
        Interrupted: we are stopping.
    """
    tries = attempts or [1] * len(contents)
    pairs = enumerate(zip(contents, tries, strict=True), 1)
    yield from candidates_graded(bench, [Candidate(number, content, attempt) for number, (content, attempt) in pairs])


def candidates_graded(bench: Bench, candidates: Sequence[Candidate]) -> Iterator[Graded]:
    """Take the slot and grade; a host fault becomes the outcome of what was not yet decided.

    Raises:
        Interrupted: we are stopping.
    """
    left = {candidate.run for candidate in candidates}
    try:
        with measuring(bench) as on_cpu:
            for graded in grade(on_cpu, candidates):
                left.remove(graded.run)
                yield graded
    except InfrastructureFault as fault:
        for number in sorted(left):
            yield Graded(number, Infrastructure(fault.cause, fault.mend))
