"""Which samples a round consists of, and in which order. Pure.

The long baseline is paid once a round, not once a submission: the candidates of a round are interleaved around it (c1 ...
cN, then again), and the order is reversed every other round, so that a drift of the host within a round favours nobody. A
round opens with a sentinel, the task's own solution: the first sample after a large warm-up is slow on every host that was
measured, and that must be nobody's loss.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from runner.records.grading import Side

# chosen: the fewest of which one slow outlier can be told from the rest; each more costs every candidate a container a
# round, and a round's ratio varies more from round to round than within one.
SAMPLES_PER_ROUND = 3
# Repeats for each sample that was held up. chosen: of the files that are slow in one sample of six one in twenty is quick in
# all of so many; with the twenty samples without which none passes, one in thirty of them gets through.
REPEATS = 16
# Repeats of an audit that was slow as a whole. chosen: as many as a measured round has, so that its mean is as good.
SLOW_AUDIT_REPEATS = 3
CONTROL = -1  # in place of a permutation's number: the round's control data


class Scheduled(Protocol):
    """What a schedule needs to know of a candidate (`runner.grading.context.Candidate`)."""

    @property
    def run(self) -> int:
        """Its number in the report."""
        ...

    @property
    def content(self) -> bytes:
        """The file."""
        ...

    @property
    def samples(self) -> int:
        """How many samples of each round."""
        ...


@dataclass(frozen=True, slots=True)
class ScheduledSample:
    """One container of a round.

    Attributes:
        run: the candidate's; 0 for baseline and sentinel.
        permutation: number of the permutation of the data that it gets; CONTROL for the control's data.
        shared: whether the candidate's other samples may run in the same container, before and after it.
    """

    side: Side
    run: int
    source: bytes = field(repr=False)
    permutation: int = 0
    shared: bool = False


def schedule_round(
    number: int,
    candidates: Sequence[Scheduled],
    *,
    measured_once: Collection[int],
    baseline: bytes | None,
    oracle: bytes | None,
    controlled: Collection[int] = (),
    control_rng: np.random.Generator | None,
) -> list[ScheduledSample]:
    """The samples of round `number` (from 1), in the order in which they run.

    Args:
        measured_once: runs whose verdict is known already: one sample each, for their figures.
        baseline: None where nothing is compared: then there is no such sample.
        oracle: the sentinel's file; None without a solution: no sentinel.
        controlled: runs that get a control: all of them in the first round, later those whose control said nothing.
        control_rng: chooses the position of each control, which nobody can foresee: a control must look like any other
            sample. None without controls.
    """
    repeated = [candidate for candidate in candidates if candidate.run not in measured_once]
    samples = [
        ScheduledSample("candidate", candidate.run, candidate.content, permutation)
        for permutation in range(SAMPLES_PER_ROUND)
        for candidate in repeated
        if permutation < candidate.samples
    ]
    samples += [ScheduledSample("candidate", c.run, c.content) for c in candidates if c.run in measured_once]
    if number % 2 == 0:
        samples.reverse()
    if control_rng is not None:
        for candidate in (candidate for candidate in repeated if candidate.run in controlled):
            position = int(control_rng.integers(0, len(samples) + 1))
            samples.insert(position, ScheduledSample("control", candidate.run, candidate.content, CONTROL))
    # In the first round the baseline comes first: its time bounds how long a candidate may take.
    middle = 0 if number == 1 else len(samples) // 2
    compared = [] if baseline is None else [ScheduledSample("baseline", 0, baseline)]
    return [*_sentinel(oracle), *samples[:middle], *compared, *samples[middle:]]


def schedule_audits(
    audits: Sequence[Sequence[Scheduled]], oracle: bytes | None, warm_max: int, *, shared: bool = False
) -> list[list[list[ScheduledSample]]]:
    """The samples of some audits, data set by data set, in batches that are warmed and measured together.

    An audit is one sample of each candidate on a data set without the baseline, which costs the most and whose time is known
    by then: of two samples, one on other data says more than a second one on the same. Each batch opens with a sentinel.

    Args:
        audits: for each data set the candidates that are to be seen on it, at least one, all among those of the first.
        warm_max: containers of a batch, unless one data set alone has more.
        shared: whether the audits of a candidate share a container.
    """
    batches: list[list[list[ScheduledSample]]] = []
    room = 0
    for candidates in audits:
        samples = [ScheduledSample("candidate", c.run, c.content, shared=shared) for c in candidates]
        if len(samples) > room or not batches:
            samples, room = [*_sentinel(oracle), *samples], warm_max
            batches.append([])
        batches[-1].append(samples)
        room -= 0 if shared else len(samples)
    return batches


def containers_of(samples: Sequence[ScheduledSample]) -> int:
    """How many containers are warm at one time for so many samples."""
    shared = [sample.run for sample in samples if sample.shared]
    return len(samples) - len(shared) + len(set(shared))


def containers_of_round(candidates: int) -> int:
    """The most that a round of so many candidates has, each with its control."""
    return 2 + candidates * (SAMPLES_PER_ROUND + 1)


def schedule_repeats(due: Mapping[Scheduled, int]) -> list[ScheduledSample]:
    """Samples of some candidates once more, at the end of a round (see `hiccups.py`): how many of each."""
    return [
        ScheduledSample("repeat", candidate.run, candidate.content, repeat % candidate.samples)
        for repeat in range(max(due.values(), default=0))
        for candidate, count in due.items()
        if repeat < count
    ]


def _sentinel(oracle: bytes | None) -> list[ScheduledSample]:
    return [] if oracle is None else [ScheduledSample("sentinel", 0, oracle)]
