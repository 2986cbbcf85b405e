"""Gradings on paper: the rules at work on samples that a model of a host and of a submission draws. Pure, no engine.

What decides is not modelled: the schedule of a round, repeats, audits, intervals and verdict are the functions that a real
grading calls. `bench/decision_errors.py` prints how often they err.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from runner.grading.context import Candidate
from runner.grading.cutoffs import cutoff_s
from runner.grading.hiccups import repeats_due
from runner.grading.measurement import measured_rounds, summarize_quality, summarize_times
from runner.grading.schedule import (
    SAMPLES_PER_ROUND,
    ScheduledSample,
    schedule_audits,
    schedule_repeats,
    schedule_round,
)
from runner.grading.verdict import audits_due, judge
from runner.records.grading import Ending, Grading, QualityRound, Rules, Sample

RUN = 1  # of the only candidate
WARM_MAX = 16  # containers side by side; as many as a machine of 16 GiB has room for
_CANDIDATE = Candidate(RUN, b"")
Draw = np.random.Generator
Answer = tuple[float, float]  # its time as a multiple of what the target allows, and the quality less the baseline's


class Host(Protocol):
    """How a host's noise changes times: one multiple for each sample, in the order in which they run."""

    def noise(self, draw: Draw) -> Iterator[Callable[[str], float]]:
        """For each round, a function from a sample's side to the log of its multiple."""


@dataclass(frozen=True)
class SimulatedHost(Host):
    """A drift that is correlated from sample to sample, independent noise, and a share of samples far too slow.

    Attributes:
        drift_sd, noise_sd, slow_sd: of the log of a sample's time.
        lag_one: correlation of the drift from one round to the next.
    """

    drift_sd: float = 0.08
    lag_one: float = 0.5
    noise_sd: float = 0.05
    slow_share: float = 0.05
    slow_sd: float = 0.5

    def noise(self, draw: Draw) -> Iterator[Callable[[str], float]]:
        """The drift moves within a round, too."""
        keep = self.lag_one ** (1.0 / (1 + SAMPLES_PER_ROUND))
        drift = draw.normal(0, self.drift_sd)

        def sample(side: str) -> float:
            nonlocal drift
            drift = keep * drift + draw.normal(0, self.drift_sd * math.sqrt(1 - keep**2))
            slow = abs(draw.normal(0, self.slow_sd)) if draw.random() < self.slow_share else 0.0
            return float(drift + draw.normal(0, self.noise_sd) + slow)

        while True:
            yield sample


@dataclass(frozen=True)
class RecordedHost(Host):
    """Consecutive rounds of a trace of real samples, from a random one on; more samples than a round has come from others.

    Attributes:
        baseline: (rounds,), log of seconds less their mean.
        candidate: (rounds, samples), the same.
    """

    baseline: np.ndarray
    candidate: np.ndarray

    @classmethod
    def of(cls, rounds: Sequence[dict[str, list[float]]]) -> "RecordedHost":
        """From a trace's rounds: seconds of `baseline` and `candidate`."""
        baseline, candidate = (np.log([entry[name] for entry in rounds]) for name in ("baseline", "candidate"))
        return cls(baseline[:, 0] - baseline[:, 0].mean(), candidate - candidate.mean())

    def noise(self, draw: Draw) -> Iterator[Callable[[str], float]]:
        """Blocks, so that whatever correlation the host has is in it."""
        for number in itertools.count(int(draw.integers(0, len(self.baseline)))):
            row = number % len(self.baseline)
            yield self._round(draw, row, list(self.candidate[row]))

    def _round(self, draw: Draw, row: int, left: list[float]) -> Callable[[str], float]:
        def sample(side: str) -> float:
            if side == "baseline":
                return float(self.baseline[row])
            return float(left.pop() if side == "candidate" and left else draw.choice(self.candidate.ravel()))

        return sample


DataSet = Callable[[int], Answer]  # from a permutation's number to the answer


@dataclass(frozen=True)
class Submission:
    """A model of a file.

    Attributes:
        ratio: the true one over the target: geometric mean over all that it does.
        data_set: called with the number of each data set of a grading, from 1, gives what it does there.
        kind: what must come of it.
    """

    name: str
    ratio: float
    data_set: Callable[[Draw, int], DataSet] = field(repr=False)
    kind: Literal["honest", "doubtful", "lottery"] = "honest"


@dataclass(frozen=True)
class Setting:
    """What is graded where.

    Attributes:
        baseline_s: seconds of the baseline on a quiet host.
        item_sd: standard deviation of a quality difference on one data set, as its items make it.
    """

    host: Host
    rules: Rules
    baseline_s: float = 13.0
    item_sd: float = 0.005


@dataclass
class _Simulation:
    setting: Setting
    submission: Submission
    draw: Draw
    samples: list[Sample] = field(default_factory=list)
    qualities: list[QualityRound] = field(default_factory=list)
    number: int = 0

    def __post_init__(self) -> None:
        self.noise = self.setting.host.noise(self.draw)

    def take(self, schedule: Sequence[ScheduledSample]) -> None:
        """One round, with its repeats."""
        self.number += 1
        noise, answers = next(self.noise), self.submission.data_set(self.draw, self.number)
        qualities = [self._sample(scheduled, noise, answers) for scheduled in schedule]
        while self.setting.rules.edition > 1 and (due := repeats_due(self.samples, RUN, self.number)):
            repeats = schedule_repeats({_CANDIDATE: due})
            qualities += [self._sample(scheduled, noise, answers) for scheduled in repeats]
        of_candidate = [quality for quality in qualities if quality is not None]
        if of_candidate:
            by_items = self.setting.item_sd * float(self.draw.standard_normal())
            mean = float(np.mean(of_candidate)) + by_items
            has_baseline = any(scheduled.side == "baseline" for scheduled in schedule)
            baseline = 0.9 if has_baseline else None
            self.qualities.append(
                QualityRound(
                    round=self.number,
                    baseline=baseline,
                    candidate=0.9 + mean,
                    difference=mean,
                    variance=self.setting.item_sd**2,
                )
            )

    def _sample(self, scheduled: ScheduledSample, noise: Callable[[str], float], answers: DataSet) -> float | None:
        """Adds it; its quality, where it is the candidate's."""
        setting, rules = self.setting, self.setting.rules
        multiple, quality = answers(scheduled.permutation) if scheduled.run else (1.0, 0.0)
        whole_s = setting.baseline_s if scheduled.side == "baseline" else setting.baseline_s / (rules.target or 1.0)
        seconds, ending = whole_s * multiple * math.exp(noise(scheduled.side)), Ending.ANSWERED
        limit_s = cutoff_s(setting.baseline_s, rules.target) if scheduled.run else None
        if limit_s is not None and seconds > limit_s:
            seconds, ending = limit_s, Ending.CUT
        position = sum(sample.round == self.number for sample in self.samples)
        self.samples.append(
            Sample(
                side=scheduled.side,
                run=scheduled.run,
                round=self.number,
                position=position,
                ending=ending,
                seconds=seconds,
            )
        )
        return quality if scheduled.run and ending is Ending.ANSWERED else None

    def judge(self, *, last: bool) -> tuple[int, Grading | None]:
        """How many audits are due, and what is known once there is a verdict."""
        rules, rounds = self.setting.rules, measured_rounds(self.samples)
        measured = summarize_times(self.samples, RUN, rules, range(1, self.number + 1))
        quality = summarize_quality(self.qualities, rules)
        outcome = judge((), measured, quality, RUN, rules, rounds, last=last)
        due = audits_due(measured, quality, RUN, rules, rounds, last=last)
        if outcome is None:
            return due, None
        return due, Grading(outcome=outcome, measurement=measured, quality=quality, rules=rules)


def simulate(setting: Setting, submission: Submission, draw: Draw) -> Grading:
    """One grading, to its verdict."""
    simulation = _Simulation(setting, submission, draw)
    for measured in range(1, setting.rules.rounds_max + 1):
        last = measured == setting.rules.rounds_max
        schedule = schedule_round(measured, [_CANDIDATE], measured_once=(), baseline=b"", oracle=b"", control_rng=None)
        simulation.take(schedule)
        due, grading = simulation.judge(last=last)
        if due:
            for samples in itertools.chain(*schedule_audits([[_CANDIDATE]] * due, b"", WARM_MAX)):
                simulation.take(samples)
            due, grading = simulation.judge(last=last)
        if grading is not None:
            return grading
    raise AssertionError("the last round decides")


# Submissions


def honest(ratio: float, data_spread: float = 0.0) -> Submission:
    """Always the same speed, up to a spread over data sets (of the log of its time)."""

    def data_set(draw: Draw, number: int) -> DataSet:
        multiple = math.exp(draw.normal(0.0, data_spread) if data_spread else 0.0) / ratio
        return lambda permutation: (multiple, 0.0)

    return Submission(f"honest{f', spread {data_spread:g} over data sets' if data_spread else ''}", ratio, data_set)


def one_hiccup(ratio: float, factor: float = 9.0) -> Submission:
    """Honest, and in one grading the host holds up one sample of it."""

    def data_set(draw: Draw, number: int) -> DataSet:
        held_up = int(draw.integers(0, SAMPLES_PER_ROUND)) if number == 1 else -1
        calls = itertools.count()
        return lambda permutation: ((factor if next(calls) == held_up else 1.0) / ratio, 0.0)

    return Submission(f"honest, one sample held up {factor:g} times", ratio, data_set)


def garbage_first(ratio: float) -> Submission:
    """Quick nonsense in the first round, slow and right afterwards."""

    def data_set(draw: Draw, number: int) -> DataSet:
        return lambda permutation: (0.05, -0.8) if number == 1 else (1.0 / ratio, 0.0)

    return Submission("garbage in the first round", ratio, data_set, "doubtful")


def hang_once(ratio: float) -> Submission:
    """One round of each grading hangs."""

    def data_set(draw: Draw, number: int) -> DataSet:
        return lambda permutation: (100.0 if number == 2 else 1.0 / ratio, 0.0)

    return Submission("hangs in one round", ratio, data_set, "doubtful")


def coin(ratio: float, spread: float, *, per_round: bool) -> Submission:
    """Slower or faster by a factor exp(spread), at random, sample by sample or round by round."""

    def data_set(draw: Draw, number: int) -> DataSet:
        def toss() -> float:
            return math.exp(spread * (1 if draw.random() < 0.5 else -1)) / ratio

        of_round = toss()
        return lambda permutation: (of_round if per_round else toss(), 0.0)

    what = "rounds" if per_round else "samples"
    return Submission(f"a coin over {what}, exp({spread:g})", ratio, data_set, "doubtful")


def slow_now_and_then(ratio: float, share: float, factor: float) -> Submission:
    """One sample of some is slower by a factor; the geometric mean is the given ratio."""
    quick = factor**-share / ratio

    def data_set(draw: Draw, number: int) -> DataSet:
        return lambda permutation: (quick * (factor if draw.random() < share else 1.0), 0.0)

    return Submission(f"{share:.0%} of its samples {factor:g} times slower", ratio, data_set, "doubtful")


def lottery(share: float, quick: float, slow: float) -> Submission:
    """Quick (a ratio over the target) on a share of the data sets, slow on the others."""
    ratio = quick**share * slow ** (1 - share)

    def data_set(draw: Draw, number: int) -> DataSet:
        multiple = 1.0 / (quick if draw.random() < share else slow)
        return lambda permutation: (multiple, 0.0)

    return Submission(f"{quick:g} on {share:.0%} of data sets, else {slow:g}", ratio, data_set, "lottery")


def answer_lottery(share: float, ratio: float) -> Submission:
    """Quick nonsense on the data sets that it does not know."""

    def data_set(draw: Draw, number: int) -> DataSet:
        right = draw.random() < share
        return lambda permutation: (1.0 / ratio, 0.0 if right else -0.8)

    return Submission(f"right on {share:.0%} of data sets", ratio, data_set, "lottery")
