"""How good the answers were, data set by data set, and what the answers themselves give away."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from runner.grading.checks import answers
from runner.grading.data import Permutation, RoundData
from runner.grading.guarded_problem import NotJudged, guarded
from runner.grading.hiccups import TIMED
from runner.grading.intervals import QUALITY_PRIOR_DF, pooled
from runner.records.grading import Ending, Finding, QualityRound, Rules, Sample, Side
from runner.tasks.authoring import BadAnswer
from runner.tasks.problem import Answer, Problem

# A candidate this many times as fast as the task's own solution is looked at once more. chosen; an optimisation of the
# solution itself gains less, and the flag only asks for eyes and another look, so that a wrong one costs little.
TOO_GOOD_FACTOR = 3.0
# More processes and threads than the baseline's peak that say nothing: the same file peaks at 5 to 8 from sample to
# sample (`pids_peak` in results.json), as the libraries' pools start or do not.
PROCESSES_SLACK = 2
# chosen: a log line or a cache file of an import, and far less than any data that would be worth keeping.
WRITTEN_SLACK_BYTES = 1024 * 1024
# Of the worst items, up to a half are looked at as if they were no worse than the next one. chosen: where more than a half
# is far worse than the rest, a mean is under its bar by more than its items' noise in any case.
SPARED_SHARE_MAX = 0.5
# Under so many items none is looked at so: a half of them would all lie under a bar by chance alone now and then. chosen.
SPARING_ITEMS_MIN = 8
SPARING_LEVELS_MAX = 32  # chosen: how many of the worst are looked at so; enough that a few more or less change little
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredAnswer:
    """One answer, with the data that it is an answer to.

    Attributes:
        data: in the order in which the container got it.
        permutation: its number in the round; 0 for a control.
        arrays: as `[answer]` of task.toml declares them; None where there was no answer.
        ending, seconds: how it ended, and after how long.
        detail: what went wrong, in the guest's words.
    """

    side: Side
    run: int
    data: Permutation
    permutation: int
    arrays: Answer | None
    ending: Ending = Ending.ANSWERED
    seconds: float = 0.0
    detail: str = ""


@dataclass
class ScoreBook:
    """Collects, for each run, qualities by round and findings about its answers.

    Attributes:
        not_judged: runs on whose answers problem.py failed, each with how; their verdict is the task's fault.
    """

    problem: Problem
    rules: Rules
    not_judged: dict[int, NotJudged] = field(default_factory=dict)
    _rounds: dict[int, list[QualityRound]] = field(default_factory=dict)
    _findings: dict[int, dict[str, Finding]] = field(default_factory=dict)
    _digests: dict[int, dict[int, str]] = field(default_factory=dict)
    _reference: Answer | None = None  # the baseline's last answer, where a sample has several calls

    def __post_init__(self) -> None:
        self.problem = guarded(self.problem)

    def mean(self, answer: ScoredAnswer) -> float | None:
        """The mean quality of one answer; None without one.

        Raises:
            BadAnswer: problem.py takes it for none. NotJudged: it failed on it.
        """
        if answer.arrays is None:
            return None
        return float(self.problem.score(answer.data.case, answer.arrays).mean())

    def add(self, number: int, data: RoundData, round_answers: Sequence[ScoredAnswer]) -> None:
        """Add the answers of round `number`; what problem.py makes of one run's says nothing of another's.

        Raises:
            BadAnswer, NotJudged: on the baseline's answer.
        """
        reference = next((a for a in round_answers if a.side == "baseline" and a.arrays is not None), None)
        baseline = None if reference is None else self._item_qualities(reference)
        if reference is not None and reference.arrays is not None:
            self._digests.setdefault(0, {})[number] = answers.digest(reference.arrays)
            self._reference = reference.arrays if self.problem.calls > 1 else None
        for run in sorted({answer.run for answer in round_answers if answer.run}):
            try:
                self._add_run(run, number, data, [answer for answer in round_answers if answer.run == run], baseline)
            except BadAnswer as bad:
                self._add_finding(run, answers.no_answer(str(bad)))
            except NotJudged as failure:
                self.not_judged.setdefault(run, failure)

    def _add_run(
        self, run: int, number: int, data: RoundData, mine: Sequence[ScoredAnswer], baseline: Floats | None
    ) -> None:
        of_run = [answer for answer in mine if answer.arrays is not None]
        timed = [answer for answer in of_run if answer.side == "candidate"]
        control = next((answer for answer in mine if answer.side == "control"), None)
        failed = any(answer.side != "control" and answer.ending not in TIMED for answer in mine)
        if control is not None and control.ending is Ending.TIMED_OUT and not failed:
            # It has had all the time there is: whatever the timed samples of this round were, no other one is made.
            slowest_s = max((answer.seconds for answer in mine if answer.side == "candidate"), default=0.0)
            self._add_finding(run, answers.control_too_slow(control.seconds, slowest_s))
        elif control is not None and control.ending in (Ending.CUT, Ending.TIMED_OUT):
            self._add_finding(run, answers.control_cut(control.seconds))
        if not timed:
            return
        timed += [answer for answer in of_run if answer.side == "repeat"]
        qualities = [self._item_qualities(answer) for answer in timed]
        counts = {len(each) for each in (*qualities, *([] if baseline is None else [baseline]))}
        if len(counts) > 1:
            raise NotJudged("score", f"it gave {' and '.join(map(str, sorted(counts)))} items on the same data")
        # In this order, the mean of equal qualities is that quality, and not a little less, which would miss a bar.
        items = qualities[0] + np.mean([each - qualities[0] for each in qualities], axis=0)
        known = self._rounds.setdefault(run, [])
        if baseline is None and self.rules.tolerance is not None:
            known.append(audited(number, items, known, self.rules.tolerance))
        else:
            known.append(self._quality_round(number, items, baseline))
        self._inspect(run, number, data, timed, None if failed else control)

    def _item_qualities(self, answer: ScoredAnswer) -> Floats:
        """(n_items,), in the identity's order."""
        assert answer.arrays is not None
        items, order = self.problem.score(answer.data.case, answer.arrays), answer.data.order
        if order is not None and len(items) != len(order):
            raise NotJudged("score", f"it gave {len(items)} items of {len(order)}")
        return answer.data.in_identity_order(items)

    def _quality_round(self, number: int, items: Floats, baseline: Floats | None) -> QualityRound:
        if self.rules.tolerance is None or baseline is None:
            # In this order, 8 right items of 10 reach 0.8; the mean of what each is over it would be a little under none.
            bar = self.rules.minimum or 0.0
            delta, difference = items, _mean(items) - bar
        else:
            bar = -self.rules.tolerance
            delta = items - baseline
            difference = _mean(delta)
        return QualityRound(
            round=number,
            baseline=None if baseline is None else float(baseline.mean()),
            candidate=float(items.mean()),
            difference=difference,
            variance=variance_below(delta, bar),
        )

    def _inspect(
        self, run: int, number: int, data: RoundData, timed: Sequence[ScoredAnswer], control: ScoredAnswer | None
    ) -> None:
        """Check what one run's answers of a round give away: repeats, too, whose times count as the others' do.

        Args:
            timed: each with arrays.
            control: None where there is none to judge, since a timed sample failed as well: that decides.
        """
        first = next((answer.arrays for answer in timed if answer.permutation == 0), None)
        others = [
            (answer.permutation, answer.arrays)
            for answer in timed
            if answer.arrays is not None and answer.arrays is not first
        ]
        findings = [answers.agreement(self.problem, first, others, data.permutations)]
        for answer in timed:
            assert answer.arrays is not None
            findings.append(answers.witness(self.problem, answer.data.case, answer.arrays))
            findings.append(answers.degenerate(self.problem, answer.data.case, answer.arrays))
        if first is not None:
            digests = self._digests.setdefault(run, {})
            digests[number] = answers.digest(first)
            # Without a target on speed there are no audits, and two data sets may be all.
            data_sets = self.rules.data_sets if self.rules.target is not None else 1
            least = answers.same_least(sum(array.size for array in first.values()), data_sets)
            findings.append(answers.answers_constant(digests, self._digests.get(0, {}), least))
            if self._reference is not None and number in self._digests.get(0, {}):
                findings.append(answers.calls_answered_alike(first, self._reference))
        if control is not None:
            findings.append(self._judge_control(data, first, control))
        for finding in findings:
            if finding is not None:
                self._add_finding(run, finding)

    def _judge_control(self, data: RoundData, first: Answer | None, control: ScoredAnswer) -> Finding | None:
        """A submission that answers when it is timed, and not when there is nothing to learn, has something to hide.

        One that takes long there may be honest (a training that stops when it has learnt enough): it is cut once, gets all
        the time that the task allows a sample, and when that is over, its time is up.
        """
        if control.ending in (Ending.CUT, Ending.TIMED_OUT):
            return None  # said already
        if control.arrays is None:
            return answers.control_unanswered(control.ending, control.detail)
        if first is None:
            return answers.control_unchecked(
                "Its sample on the same data was cut off: there is nothing to compare with"
            )
        return answers.control(self.problem, data.identity, first, control.data, control.arrays)

    def _add_finding(self, run: int, finding: Finding) -> None:
        """Keep the worst finding of each check; one that could not be made gives way to any that was."""
        worst = self._findings.setdefault(run, {})
        order = ("fail", "warn", "pass", "unchecked")
        known = worst.get(finding.name)
        if known is None or order.index(finding.mark) < order.index(known.mark):
            worst[finding.name] = finding

    def note(self, run: int, findings: Iterable[Finding] | NotJudged) -> None:
        """Keep what others found about a run's answers."""
        if isinstance(findings, NotJudged):
            self.not_judged.setdefault(run, findings)
            return
        for finding in findings:
            self._add_finding(run, finding)

    # Results

    def control_due(self, run: int) -> bool:
        """Whether the run's control still has to be made: none was, or it said nothing."""
        known = self._findings.get(run, {}).get("control")
        return self.problem.control is not None and (known is None or known.mark == "unchecked")

    def rounds(self, run: int) -> Sequence[QualityRound]:
        """One entry for each data set on which the run gave an answer."""
        return tuple(self._rounds.get(run, ()))

    def findings(self, run: int, samples: Sequence[Sample]) -> tuple[Finding, ...]:
        """What its answers gave away, whether its times are suspicious, and what its containers started and wrote."""
        findings = list(self._findings.get(run, {}).values())
        candidate = [s for s in samples if s.run == run and s.side in ("candidate", "repeat")]
        baseline = [s for s in samples if s.run == 0 and s.side == "baseline"]
        answered_s = [s.seconds for s in candidate if s.ending == Ending.ANSWERED]
        oracle_s = [s.seconds for s in samples if s.side == "sentinel"]
        if answered_s and oracle_s:
            suspicion = answers.suspiciously_fast(
                statistics.median(answered_s), statistics.median(oracle_s), TOO_GOOD_FACTOR
            )
            findings += [suspicion] if suspicion is not None else []
        if answered_s and (baseline or not self.rules.repetitions):
            peaks = _largest_counts(candidate, baseline, lambda sample: sample.pids_peak, PROCESSES_SLACK)
            written = _largest_counts(candidate, baseline, lambda sample: sample.written_bytes, WRITTEN_SLACK_BYTES)
            findings.append(answers.processes(*peaks, PROCESSES_SLACK))
            findings.append(answers.disk_writes(*written, WRITTEN_SLACK_BYTES))
        return tuple(findings)


def _largest_counts(
    candidate: Sequence[Sample], baseline: Sequence[Sample], count: Callable[[Sample], int | None], slack: int
) -> tuple[int | None, int | None]:
    """The candidate's largest count and the baseline's, by the kernel; None where it is not known.

    A container that is gone has no count, and a submission can end its own: one answer without a count leaves open what
    it did, unless another shows it.
    """
    mine, theirs = _largest(map(count, candidate)), _largest(map(count, baseline))
    lacking = any(count(sample) is None for sample in candidate if sample.ending is Ending.ANSWERED)
    seen = mine is not None and theirs is not None and mine > theirs + slack
    return (None if lacking and not seen else mine), theirs


def _mean(items: Floats) -> float:
    """Between the least and the largest, as rounding alone does not have it: the mean of equal items is that item."""
    return float(np.clip(items.mean(), items.min(), items.max()))


def _variance_of_mean(items: Floats) -> float:
    count = len(items)
    return float(((items - _mean(items)) ** 2).sum() / (count - 1) / count) if count > 1 else 0.0


def variance_below(items: Floats, bar: float) -> float:
    """The variance of the mean of some items, to tell by it whether that lies under a bar.

    How bad its worst items are is the answer's to choose, and with a few that are bad beyond measure the items would vary so
    much that nothing could be told of their mean: a worse answer would be judged better. So if the mean is told better from
    the bar where the worst items are taken for no worse than the next one, it is told that well as it is, too.
    """
    variance, mean, count = _variance_of_mean(items), _mean(items), len(items)
    if mean >= bar or count < SPARING_ITEMS_MIN:
        return variance
    ordered = np.sort(items)
    for place in np.unique(np.linspace(1, int(SPARED_SHARE_MAX * count), SPARING_LEVELS_MAX, dtype=np.int64)):
        spared = np.maximum(ordered, ordered[place])
        if (distance := bar - _mean(spared)) > 0.0:
            noise = math.sqrt(_variance_of_mean(spared)) * ((bar - mean) / distance)
            variance = min(variance, noise * noise)
    return variance


def audited(number: int, items: Floats, known: Sequence[QualityRound], tolerance: float) -> QualityRound:
    """The quality on a data set that the baseline did not answer: it is held to the baseline's on the others.

    What the baseline would have reached on these data is known from its spread over those, which a few say little of; the
    spread over the items is pooled in.

    Args:
        items: (n_items,), of the candidate.
        known: the data sets before this one, at least one of them with a baseline.
        tolerance: how far under the baseline's quality it may be.
    """
    baseline = [entry.baseline for entry in known if entry.baseline is not None]
    level = sum(baseline) / len(baseline)
    by_items = variance_below(items, level - tolerance)
    of_baseline, _ = pooled(baseline, by_items, QUALITY_PRIOR_DF) or (by_items, QUALITY_PRIOR_DF)
    mean = float(items.mean())
    variance = by_items + of_baseline * (1.0 + 1.0 / len(baseline))
    return QualityRound(round=number, baseline=None, candidate=mean, difference=mean - level, variance=variance)


def _largest(values: Iterable[int | None]) -> int | None:
    """The largest of those that are known."""
    return max((value for value in values if value is not None), default=None)
