"""How far submissions do the same: similarity of what they added to the starter, groups, one figure with its bounds."""

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster import hierarchy
from scipy.spatial import distance

from runner.records.syntax import SyntaxFacts

REPLICATES = 2000  # chosen: 50 of them lie outside either 95 % bound
# How many runs of a kind that was not seen yet are drawn for all that were. A plain bootstrap knows of no other kind: of ten
# equal submissions it says that all that will ever come are equal. chosen: with it the interval holds the truth in more than
# nine of ten jobs of 3 to 30 runs, from one kind of submission to ten; without it, in one of four jobs of three runs.
UNSEEN = 0.5
DIGITS = 6  # chosen: more than is read, and the same on every machine
LEVEL = 0.95  # the usual one
# Submissions of one group are this similar on average. chosen: half of what they added is the same.
GROUP_SIMILARITY = 0.5
# An interval this wide tells nothing. chosen: half of all there is.
WIDE = 0.5
DEFINITION = (
    "mean similarity of what two submissions added to the starter: 0 % nothing in common, 100 % the same syntax"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Convergence:
    """How far the submissions of a job do the same.

    Attributes:
        runs: the numbers of the runs, in the order of the matrix.
        similarity: (runs, runs), 0 to 1: cosine between the changes of two submissions.
        mean: over all pairs of different runs; None with fewer than two.
        low, high: 95 % of a bootstrap over the runs, kinds that were not seen yet included; None with fewer than three.
        distinct: the effective number of distinct solutions, 1 to the number of runs: the Vendi score (Friedman and Dieng
            2023), the exponential of the entropy of the eigenvalues, of the squared similarities. Squared, because any two
            programs share some syntax: without it, twenty unrelated ones count as twelve.
        groups: runs that do the same, the largest first (average linkage).
        not_parsed: runs whose submission cannot be parsed, and why.
    """

    runs: tuple[int, ...]
    similarity: tuple[tuple[float, ...], ...]
    mean: float | None
    low: float | None
    high: float | None
    distinct: float | None
    groups: tuple[tuple[int, ...], ...]
    not_parsed: Mapping[int, str]

    @property
    def is_told(self) -> bool:
        """Whether these runs tell how far such runs converge."""
        return self.low is not None and self.high is not None and self.high - self.low <= WIDE


def convergence_of(starter: SyntaxFacts, submissions: Mapping[int, SyntaxFacts]) -> Convergence:
    """How far submissions converged.

    Args:
        submissions: by the number of their run.
    """
    parsed = {run: facts for run, facts in sorted(submissions.items()) if not facts.error}
    runs = tuple(parsed)
    similarity = similarity_of([changes(starter, facts) for facts in parsed.values()])
    mean = _rounded(_mean_of_pairs(similarity)) if len(runs) > 1 else None
    low, high = map(_rounded, bootstrap_bounds(similarity)) if len(runs) > 2 else (None, None)
    return Convergence(
        runs=runs,
        similarity=tuple(tuple(round(float(value), 4) for value in row) for row in similarity),
        mean=mean,
        low=low,
        high=high,
        distinct=_rounded(vendi_score(similarity**2)) if runs else None,
        groups=groups_of(similarity, runs),
        not_parsed={run: facts.error for run, facts in sorted(submissions.items()) if facts.error},
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


def changes(starter: SyntaxFacts, submission: SyntaxFacts) -> Counter[str]:
    """What a submission has that the starter has not; of one that only took something out, what that was.

    What was taken out is no way of doing it: nearly all take out the slow loops, whatever they put in their place.
    """
    before, after = Counter(starter.shapes), Counter(submission.shapes)
    added = after - before
    return added or Counter({f"-{shape}": count for shape, count in (before - after).items()})


def kept_share(starter: SyntaxFacts, submission: SyntaxFacts) -> float:
    """The share of the starter's pieces of syntax that a submission still has, 0 to 1."""
    before, after = Counter(starter.shapes), Counter(submission.shapes)
    return (before & after).total() / before.total() if before else 0.0


def vendi_score(similarity: NDArray[np.float64]) -> float:
    """The effective number of distinct items; `similarity` is (n, n), positive semidefinite, 1 on the diagonal."""
    values = np.linalg.eigvalsh(similarity / len(similarity))
    positive = values[values > 1e-12]  # rounding leaves eigenvalues around 0
    return float(np.exp(-(positive * np.log(positive)).sum()))


def similarity_of(changed: Sequence[Counter[str]]) -> NDArray[np.float64]:
    """(n, n): cosine between the changes, weighted by the square roots of their counts; 1 between two without any."""
    keys = {key: place for place, key in enumerate(sorted(set().union(*changed)))} if changed else {}
    rows = np.zeros((len(changed), len(keys) + 1))
    for row, counts in zip(rows, changed, strict=True):
        for key, count in counts.items():
            row[keys[key]] = math.sqrt(count)
        row[-1] = 0.0 if counts else 1.0
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(norms > 0.0, norms, 1.0)
    similarity: NDArray[np.float64] = np.clip(unit @ unit.T, 0.0, 1.0)
    np.fill_diagonal(similarity, 1.0)
    return similarity


def _mean_of_pairs(similarity: NDArray[np.float64]) -> float:
    """Over pairs of different runs, of which there are two or more."""
    count = len(similarity)
    return float((similarity.sum() - count) / (count * (count - 1)))


def bootstrap_bounds(similarity: NDArray[np.float64]) -> tuple[float, float]:
    """95 % of a percentile bootstrap over the runs; the draws are the same for the same number of runs.

    A share of the runs that are drawn stands for kinds that were not seen yet: for the lower bound these have nothing in
    common with any other, for the upper one they are copies of one that was. A run that was drawn twice makes no pair with
    itself. The mean over all pairs is inside.

    Args:
        similarity: (runs, runs), 0 to 1, 1 on the diagonal; three runs or more.
    """
    count, rng = len(similarity), random.Random(len(similarity))
    seen, unseen = np.zeros((REPLICATES, count)), np.zeros((REPLICATES, count))
    for row in range(REPLICATES):
        for place in rng.choices(range(count), k=count):
            (unseen if rng.random() < UNSEEN / (count + UNSEEN) else seen)[row, place] += 1.0
    twice = (seen * (seen - 1.0)).sum(axis=1)  # pairs of a run with itself
    pairs = count * (count - 1.0) - twice
    drawn, both = pairs > 0.0, seen + unseen
    low_sums = _sums(seen, similarity) - (seen**2).sum(axis=1)
    high_sums = _sums(both, similarity) - count - twice
    lows, highs = (np.sort(sums[drawn] / pairs[drawn]) for sums in (low_sums, high_sums))
    tail, mean = int((1.0 - LEVEL) / 2.0 * len(lows)), _mean_of_pairs(similarity)
    return float(min(lows[tail], mean)), float(max(highs[-1 - tail], mean))


def _sums(drawn: NDArray[np.float64], similarity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over all pairs of what was drawn, with themselves: of each row."""
    return np.asarray(np.einsum("ri,ij,rj->r", drawn, similarity, drawn, optimize=True))


def groups_of(similarity: NDArray[np.float64], runs: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Runs that do the same, the largest group first: average linkage, cut where half is the same.

    Args:
        similarity: (runs, runs), 0 to 1.
    """
    if len(runs) < 2:
        return tuple((run,) for run in runs)
    apart = 1.0 - similarity
    np.fill_diagonal(apart, 0.0)
    tree = hierarchy.linkage(distance.squareform(apart, checks=False), method="average")
    labels = hierarchy.fcluster(tree, 1.0 - GROUP_SIMILARITY, criterion="distance")
    groups = [tuple(run for run, own in zip(runs, labels, strict=True) if own == label) for label in set(labels)]
    return tuple(sorted(groups, key=lambda group: (-len(group), group)))
