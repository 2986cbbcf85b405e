"""How good the answers were, data set by data set, and what the answers themselves give away."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from runner.grading.checks import answers
from runner.grading.data import Permutation, RoundData
from runner.records.grading import Ending, Finding, QualityRound, Rules, Sample, Side
from runner.tasks.problem import Problem

TOO_GOOD_FACTOR = 3.0
PROCESSES_SLACK = 2
WRITTEN_SLACK_BYTES = 1024 * 1024
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ScoredAnswer:
    """One answer, with the form of the data that it is an answer to.

    Attributes:
        arrays: None where there was no answer.
        ending, seconds: how it ended, and after how long.
    """

    side: Side
    run: int
    variant: Permutation
    form: int
    arrays: Mapping[str, NDArray[np.generic]] | None
    ending: Ending = "answered"
    seconds: float = 0.0


@dataclass
class ScoreBook:
    """Collects, for each run, qualities by round and findings about its answers."""

    problem: Problem
    rules: Rules
    _rounds: dict[int, list[QualityRound]] = field(default_factory=dict)
    _findings: dict[int, dict[str, Finding]] = field(default_factory=dict)
    _fingerprints: dict[int, dict[int, str]] = field(default_factory=dict)

    def mean(self, judged: ScoredAnswer) -> float | None:
        """The mean quality of one answer; None without one."""
        if judged.arrays is None:
            return None
        return float(self.problem.score(judged.variant.case, judged.arrays).mean())

    def take(self, number: int, data: RoundData, judged: Sequence[ScoredAnswer]) -> None:
        """Take in a round's answers."""
        reference = next((each for each in judged if each.side == "baseline" and each.arrays is not None), None)
        baseline = None if reference is None else self._items(reference)
        if reference is not None and reference.arrays is not None:
            self._fingerprints.setdefault(0, {})[number] = answers.fingerprint(reference.arrays)
        for run in sorted({each.run for each in judged if each.run}):
            mine = [each for each in judged if each.run == run and each.side == "candidate" and each.arrays is not None]
            if not mine:
                continue
            items = np.mean([self._items(each) for each in mine], axis=0)
            self._rounds.setdefault(run, []).append(self._round(number, items, baseline))
            twin = next((each for each in judged if each.run == run and each.side == "control"), None)
            self._look_at(run, number, data, mine, twin)

    def _items(self, judged: ScoredAnswer) -> Floats:
        assert judged.arrays is not None
        return judged.variant.plain(self.problem.score(judged.variant.case, judged.arrays))

    def _round(self, number: int, items: Floats, baseline: Floats | None) -> QualityRound:
        if self.rules.tolerance is None or baseline is None:
            apart = items - (self.rules.minimum or 0.0)
        else:
            apart = items - baseline
        return QualityRound(
            round=number,
            baseline=None if baseline is None else float(baseline.mean()),
            candidate=float(items.mean()),
            difference=float(apart.mean()),
            variance=float(apart.var(ddof=1) / len(apart)) if len(apart) > 1 else 0.0,
        )

    def _look_at(
        self, run: int, number: int, data: RoundData, mine: Sequence[ScoredAnswer], twin: ScoredAnswer | None
    ) -> None:
        by_form = {each.form: each.arrays for each in mine if each.arrays is not None}
        first = by_form.get(0)
        found = [answers.agreement(self.problem, by_form, data.forms)]
        for each in mine:
            assert each.arrays is not None
            found.append(answers.witness(self.problem, each.variant.case, each.arrays))
            found.append(answers.degenerate(self.problem, each.variant.case, each.arrays))
        if first is not None:
            prints = self._fingerprints.setdefault(run, {})
            prints[number] = answers.fingerprint(first)
            found.append(answers.answers_constant(prints, self._fingerprints.get(0, {})))
            if twin is not None:
                found.append(self._control(data, first, twin, max(each.seconds for each in mine)))
        for finding in found:
            if finding is not None:
                self._keep(run, finding)

    def _control(self, data: RoundData, first: answers.Answer, twin: ScoredAnswer, slowest_s: float) -> Finding | None:
        """Who answers when it is timed, and not when there is nothing to learn, has something to hide."""
        if twin.arrays is not None:
            return answers.control(self.problem, data.plain, first, twin.variant, twin.arrays)
        if twin.ending == "cut" and 2.0 * slowest_s > twin.seconds:
            return None  # its timed samples are nearly as slow
        return answers.control_unanswered(twin.ending)

    def _keep(self, run: int, finding: Finding) -> None:
        """The worst finding of a check stays."""
        kept = self._findings.setdefault(run, {})
        order = ("fail", "warn", "pass")
        before = kept.get(finding.check)
        if before is None or order.index(finding.mark) < order.index(before.mark):
            kept[finding.check] = finding

    # What was found

    def rounds(self, run: int) -> Sequence[QualityRound]:
        """One entry for each data set on which the run gave an answer."""
        return tuple(self._rounds.get(run, ()))

    def findings(self, run: int, samples: Sequence[Sample]) -> tuple[Finding, ...]:
        """What its answers gave away, and whether its times call for a person's eyes."""
        found = list(self._findings.get(run, {}).values())
        mine = [s.seconds for s in samples if s.run == run and s.side == "candidate" and s.ending == "answered"]
        oracle = [s.seconds for s in samples if s.side == "sentinel"]
        if mine and oracle:
            suspicion = answers.suspiciously_fast(statistics.median(mine), statistics.median(oracle), TOO_GOOD_FACTOR)
            found += [suspicion] if suspicion is not None else []
        mine_all, bases = (
            [s for s in samples if s.side == side and s.run == number]
            for side, number in (("candidate", run), ("baseline", 0))
        )
        peak, base_peak = _most(s.pids_peak for s in mine_all), _most(s.pids_peak for s in bases)
        if peak is not None and base_peak is not None:
            found.append(answers.processes(peak, base_peak, PROCESSES_SLACK))
        wrote, base_wrote = _most(s.written_bytes for s in mine_all), _most(s.written_bytes for s in bases)
        if wrote is not None and base_wrote is not None:
            found.append(answers.disk_writes(wrote, base_wrote, WRITTEN_SLACK_BYTES))
        return tuple(found)


def _most(values: Iterable[int | None]) -> int | None:
    """The largest of those that are known."""
    return max((value for value in values if value is not None), default=None)
