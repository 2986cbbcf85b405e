"""Which samples a round consists of, and in which order. Pure.

The long baseline is paid once a round, not once a submission: the candidates of a round are interleaved around it (c1 ...
cN, then again), and the order is reversed every other round, so that a drift of the host within a round favours nobody. A
round opens with a sentinel, the task's own solution: the first sample after a large warm-up is slow on every host that was
measured, and that must be nobody's loss.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from runner.records.grading import Side

# chosen: the fewest of which one slow outlier can be told from the rest; each more costs every candidate a container a
# round, and a round's ratio varies more from round to round than within one.
SAMPLES_PER_ROUND = 3
# Samples of each candidate in an audit. chosen: with those of the measured rounds, enough that a file which is slow in one
# sample of six shows it (24 samples, 99 %).
SAMPLES_PER_AUDIT = 2
# Samples that are repeated where one was held up. chosen: so many fast ones after a slow one leave a file that is slow in
# one sample of six a third of its chance.
REPEATS = 6
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
    """

    side: Side
    run: int
    source: bytes = field(repr=False)
    permutation: int = 0


def schedule_round(
    number: int,
    candidates: Sequence[Scheduled],
    *,
    measured_once: Collection[int],
    baseline: bytes,
    oracle: bytes | None,
    controlled: Collection[int] = (),
    control_rng: np.random.Generator | None,
) -> list[ScheduledSample]:
    """The samples of round `number` (from 1), in the order in which they run.

    Args:
        measured_once: runs whose verdict is known already: one sample each, for their figures.
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
    return [*_sentinel(oracle), *samples[:middle], ScheduledSample("baseline", 0, baseline), *samples[middle:]]


def schedule_audit(candidates: Sequence[Scheduled], oracle: bytes | None) -> list[ScheduledSample]:
    """The samples of an audit: a round without the baseline, which costs the most and whose time is known by then."""
    samples = [
        ScheduledSample("candidate", candidate.run, candidate.content, permutation)
        for permutation in range(SAMPLES_PER_AUDIT)
        for candidate in candidates
        if permutation < candidate.samples
    ]
    return [*_sentinel(oracle), *samples]


def schedule_repeats(candidates: Sequence[Scheduled]) -> list[ScheduledSample]:
    """The samples of some candidates once more, at the end of a round (see `hiccups.py`)."""
    return [
        ScheduledSample("repeat", candidate.run, candidate.content, repeat % candidate.samples)
        for repeat in range(REPEATS)
        for candidate in candidates
    ]


def _sentinel(oracle: bytes | None) -> list[ScheduledSample]:
    return [] if oracle is None else [ScheduledSample("sentinel", 0, oracle)]
