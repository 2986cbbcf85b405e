"""How good the answers were, data set by data set, and what the answers themselves give away."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from runner.grading.checks import answers
from runner.grading.data import Permutation, RoundData
from runner.records.grading import Ending, Finding, QualityRound, Rules, Sample, Side
from runner.tasks.problem import Answer, Problem

# A candidate this many times as fast as the task's own solution is looked at once more. chosen; an optimisation of the
# solution itself gains less, and the flag only asks for eyes and another look, so that a wrong one costs little.
TOO_GOOD_FACTOR = 3.0
# More processes and threads than the baseline's peak that say nothing: the same file peaks at 5 to 8 from sample to
# sample (`pids_peak` in results.json), as the libraries' pools start or do not.
PROCESSES_SLACK = 2
# chosen: a log line or a cache file of an import, and far less than any data that would be worth keeping.
WRITTEN_SLACK_BYTES = 1024 * 1024
# A control that was cut off although timed samples answered is excused if they took more than this share of the cutoff.
# chosen: on other data the same honest training may well take twice as long.
CONTROL_CUT_SHARE = 0.5
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredAnswer:
    """One answer, with the data that it is an answer to.

    Attributes:
        data: in the order in which the container got it.
        permutation: its number in the round; 0 for a control.
        arrays: as `[answer]` of task.toml declares them; None where there was no answer.
        ending, seconds: how it ended, and after how long.
    """

    side: Side
    run: int
    data: Permutation
    permutation: int
    arrays: Answer | None
    ending: Ending = Ending.ANSWERED
    seconds: float = 0.0


@dataclass
class ScoreBook:
    """Collects, for each run, qualities by round and findings about its answers."""

    problem: Problem
    rules: Rules
    _rounds: dict[int, list[QualityRound]] = field(default_factory=dict)
    _findings: dict[int, dict[str, Finding]] = field(default_factory=dict)
    _digests: dict[int, dict[int, str]] = field(default_factory=dict)

    def mean(self, answer: ScoredAnswer) -> float | None:
        """The mean quality of one answer; None without one."""
        if answer.arrays is None:
            return None
        return float(self.problem.score(answer.data.case, answer.arrays).mean())

    def add(self, number: int, data: RoundData, round_answers: Sequence[ScoredAnswer]) -> None:
        """Add the answers of round `number`."""
        reference = next((a for a in round_answers if a.side == "baseline" and a.arrays is not None), None)
        baseline = None if reference is None else self._item_qualities(reference)
        if reference is not None and reference.arrays is not None:
            self._digests.setdefault(0, {})[number] = answers.digest(reference.arrays)
        for run in sorted({answer.run for answer in round_answers if answer.run}):
            timed = [a for a in round_answers if a.run == run and a.side == "candidate" and a.arrays is not None]
            if not timed:
                continue
            items = np.mean([self._item_qualities(answer) for answer in timed], axis=0)
            self._rounds.setdefault(run, []).append(self._quality_round(number, items, baseline))
            control = next((a for a in round_answers if a.run == run and a.side == "control"), None)
            self._inspect(run, number, data, timed, control)

    def _item_qualities(self, answer: ScoredAnswer) -> Floats:
        """(n_items,), in the identity's order."""
        assert answer.arrays is not None
        return answer.data.in_identity_order(self.problem.score(answer.data.case, answer.arrays))

    def _quality_round(self, number: int, items: Floats, baseline: Floats | None) -> QualityRound:
        if self.rules.tolerance is None or baseline is None:
            delta = items - (self.rules.minimum or 0.0)
        else:
            delta = items - baseline
        return QualityRound(
            round=number,
            baseline=None if baseline is None else float(baseline.mean()),
            candidate=float(items.mean()),
            difference=float(delta.mean()),
            variance=float(delta.var(ddof=1) / len(delta)) if len(delta) > 1 else 0.0,
        )

    def _inspect(
        self, run: int, number: int, data: RoundData, timed: Sequence[ScoredAnswer], control: ScoredAnswer | None
    ) -> None:
        """Check what one run's answers of a round give away."""
        by_permutation = {answer.permutation: answer.arrays for answer in timed if answer.arrays is not None}
        first = by_permutation.get(0)
        findings = [answers.agreement(self.problem, by_permutation, data.permutations)]
        for answer in timed:
            assert answer.arrays is not None
            findings.append(answers.witness(self.problem, answer.data.case, answer.arrays))
            findings.append(answers.degenerate(self.problem, answer.data.case, answer.arrays))
        if first is not None:
            digests = self._digests.setdefault(run, {})
            digests[number] = answers.digest(first)
            findings.append(answers.answers_constant(digests, self._digests.get(0, {})))
            if control is not None:
                slowest_s = max(answer.seconds for answer in timed)
                findings.append(self._judge_control(data, first, control, slowest_s))
        for finding in findings:
            if finding is not None:
                self._add_finding(run, finding)

    def _judge_control(self, data: RoundData, first: Answer, control: ScoredAnswer, slowest_s: float) -> Finding | None:
        """A submission that answers when it is timed, and not when there is nothing to learn, has something to hide."""
        if control.arrays is not None:
            return answers.control(self.problem, data.identity, first, control.data, control.arrays)
        if control.ending is Ending.CUT and slowest_s > CONTROL_CUT_SHARE * control.seconds:
            return None  # its timed samples are nearly as slow
        return answers.control_unanswered(control.ending)

    def _add_finding(self, run: int, finding: Finding) -> None:
        """Keep the worst finding of each check."""
        worst = self._findings.setdefault(run, {})
        order = ("fail", "warn", "pass")
        known = worst.get(finding.name)
        if known is None or order.index(finding.mark) < order.index(known.mark):
            worst[finding.name] = finding

    # Results

    def rounds(self, run: int) -> Sequence[QualityRound]:
        """One entry for each data set on which the run gave an answer."""
        return tuple(self._rounds.get(run, ()))

    def findings(self, run: int, samples: Sequence[Sample]) -> tuple[Finding, ...]:
        """What its answers gave away, whether its times are suspicious, and what its containers started and wrote."""
        findings = list(self._findings.get(run, {}).values())
        candidate = [s for s in samples if s.run == run and s.side == "candidate"]
        baseline = [s for s in samples if s.run == 0 and s.side == "baseline"]
        answered_s = [s.seconds for s in candidate if s.ending == Ending.ANSWERED]
        oracle_s = [s.seconds for s in samples if s.side == "sentinel"]
        if answered_s and oracle_s:
            suspicion = answers.suspiciously_fast(
                statistics.median(answered_s), statistics.median(oracle_s), TOO_GOOD_FACTOR
            )
            findings += [suspicion] if suspicion is not None else []
        peak, baseline_peak = (_largest(s.pids_peak for s in side) for side in (candidate, baseline))
        if peak is not None and baseline_peak is not None:
            findings.append(answers.processes(peak, baseline_peak, PROCESSES_SLACK))
        written, baseline_written = (_largest(s.written_bytes for s in side) for side in (candidate, baseline))
        if written is not None and baseline_written is not None:
            findings.append(answers.disk_writes(written, baseline_written, WRITTEN_SLACK_BYTES))
        return tuple(findings)


def _largest(values: Iterable[int | None]) -> int | None:
    """The largest of those that are known."""
    return max((value for value in values if value is not None), default=None)
