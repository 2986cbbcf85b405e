"""Submissions that are measured at once, in slots: each slot grades its own ones, in rounds of its own.

A round has one baseline and the candidates of one slot, on one CPU, so that no ratio ever has its two sides from two slots.
What is shared is the machine: how many slots do not disturb each other is measured beforehand (`calibration/slots.py`), and
each slot's verdicts use the certificate that was made in it while the others measured, too.
"""

import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from runner.faults import InfrastructureFault, Interrupted
from runner.grading.context import Candidate, GradingContext, Slot
from runner.grading.standing import Graded
from runner.records.grading import GradingStep
from runner.tasks.problem import load_problem

NOT_CALIBRATED = "none was made for this slot"
Grade = Callable[[GradingContext, Sequence[Candidate]], Iterator[Graded]]


def contexts_in_slots(context: GradingContext, check_slots: Sequence[Callable[[], None]]) -> tuple[GradingContext, ...]:
    """The context in each of its slots.

    Each has a part of the memory for its warm containers, and a problem.py of its own, which may keep what it likes between
    two calls. A quiet moment of one says nothing of the host as a grading alone meets it, so that none certifies it.

    Args:
        check_slots: one for each slot; raises a fault where its lock is no longer held.
    """
    reporting = threading.Lock()

    def in_slot(number: int, slot: Slot, check: Callable[[], None]) -> GradingContext:
        def report(step: GradingStep) -> None:
            with reporting:
                context.report_step(replace(step, text=f"slot {number}: {step.text}"))

        return replace(
            context,
            measure_cpu=slot.cores.measure,
            warmup_cpus=slot.cores.cpus,
            warm_at_once=slot.cores.at_once,
            memory_bytes=context.memory_bytes // len(context.slots),
            problem=load_problem(context.task),
            rules=replace(context.rules, certificate=slot.certificate, no_certificate=NOT_CALIBRATED),
            report_step=report,
            check_slot=check,
            learn_noise=None,
            slots=(),
        )

    pairs = zip(context.slots, check_slots, strict=True)
    return tuple(in_slot(number, slot, check) for number, (slot, check) in enumerate(pairs, 1))


def deal(candidates: Sequence[Candidate], count: int) -> list[list[Candidate]]:
    """The candidates in at most `count` shares, as even as they go; the files of one run stay together."""
    of_run: dict[int, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        of_run[candidate.owner or candidate.run].append(candidate)
    shares: list[list[Candidate]] = [[] for _ in range(count)]
    for together in sorted(of_run.values(), key=len, reverse=True):
        min(shares, key=len).extend(together)
    return [share for share in shares if share]


@dataclass(frozen=True, slots=True)
class _Over:
    """A slot has nothing left to do.

    Attributes:
        error: what ended it; None: it has graded all of its share.
    """

    error: BaseException | None


def grade_side_by_side(
    contexts: Sequence[GradingContext], candidates: Sequence[Candidate], grade: Grade
) -> Iterator[Graded]:
    """Grade each slot's share there; each candidate comes out as soon as its verdict is final.

    A fault of one slot does not end the others, whose verdicts come out before it is raised.

    Args:
        contexts: one for each slot (`contexts_in_slots`).

    Raises:
        InfrastructureFault: engine or host failed, and with it every candidate that is not out yet.
        Interrupted: we are stopping.
    """
    shares, fleet = deal(candidates, len(contexts)), contexts[0].fleet
    found: queue.SimpleQueue[Graded | _Over] = queue.SimpleQueue()

    def work(context: GradingContext, share: Sequence[Candidate]) -> None:
        try:
            for graded in grade(context, share):
                found.put(graded)
        except BaseException as error:  # boundary: it is raised where the results are taken
            found.put(_Over(error))
        else:
            found.put(_Over(None))

    errors: list[BaseException] = []
    with fleet.threads(len(shares), "slot") as pool:
        for context, share in zip(contexts, shares, strict=False):
            pool.submit(work, context, share)
        working = len(shares)
        try:
            while working:
                match found.get():
                    case _Over(error):
                        working -= 1
                        errors += [error] if error is not None else []
                    case graded:
                        yield graded
        except GeneratorExit:  # whoever takes the results failed: nobody waits for the rest
            fleet.stop()
            raise
    if errors:
        raise min(errors, key=_urgency)


def _urgency(error: BaseException) -> int:
    """That we are stopping explains all the rest; a mistake of ours must not hide behind a host fault."""
    if isinstance(error, Interrupted):
        return 0
    return 2 if isinstance(error, InfrastructureFault) else 1
