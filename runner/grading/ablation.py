"""A speed-up taken apart: what each part of a file gave, and what parts gave together. Pure.

Times add, their logs do not: were each part's gain the log ratio of the times with and without it, the gains would add up
to several times the whole. So a part's gain is the time that it saves, over the logarithmic mean L of the baseline's time
and the file's: log(b / f) = (b - f) / L, exactly (the additive form of the logarithmic mean Divisia index; Ang, 2004,
"Decomposition analysis for policymaking in energy"). What parts save together over what each saves alone is their
interaction. The unit is the round, as in a grading: all times of a round are on the same data.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy import special

from runner.grading.hiccups import counted_samples
from runner.records.grading import Ending, Sample
from runner.records.measured import Estimate, Interaction

CONFIDENCE = 0.95  # of every interval here, two-sided; the usual one
EQUAL_LOG = 1e-9  # chosen: nearer times are equal; the quotient of two differences would be rounding alone
Subset = frozenset[str]  # of parts that are put back


@dataclass(frozen=True, slots=True)
class Costs:
    """By round, what putting back each subset of the parts costs, in units of the log of the speed-up.

    Attributes:
        whole: by round, the log of the speed-up.
        of: by subset and round.
    """

    whole: Mapping[int, float]
    of: Mapping[Subset, Mapping[int, float]]


def logarithmic_mean(first: float, second: float) -> float:
    """(first - second) / log(first / second); their value where they are equal. Both positive."""
    log = math.log(first / second)
    return (first - second) / log if abs(log) > EQUAL_LOG else (first + second) / 2.0


def round_times(samples: Sequence[Sample], run: int) -> dict[int, float]:
    """Geometric mean of a run's times by round, seconds; 0 for the baseline."""
    if run:
        mine = counted_samples(samples, run)
    else:
        mine = [sample for sample in samples if sample.side == "baseline" and sample.ending is Ending.ANSWERED]
    logs: dict[int, list[float]] = {}
    for sample in mine:
        logs.setdefault(sample.round, []).append(math.log(sample.seconds))
    return {number: math.exp(sum(values) / len(values)) for number, values in sorted(logs.items())}


def costs_of(
    baseline: Mapping[int, float], whole_file: Mapping[int, float], variants: Mapping[Subset, Mapping[int, float]]
) -> Costs:
    """What each variant costs, from times by round, in the rounds in which baseline and file both have one."""
    rounds = sorted(set(baseline) & set(whole_file))
    unit = {number: logarithmic_mean(baseline[number], whole_file[number]) for number in rounds}
    return Costs(
        whole={number: math.log(baseline[number] / whole_file[number]) for number in rounds},
        of={
            subset: {
                number: (times[number] - whole_file[number]) / unit[number] for number in rounds if number in times
            }
            for subset, times in variants.items()
        },
    )


@dataclass(frozen=True, slots=True)
class TakenApart:
    """The whole as a sum: of single parts, of pairs' interactions, and of what is left.

    Attributes:
        whole: the log of the speed-up.
        parts: by name.
    """

    whole: Estimate
    parts: Mapping[str, Estimate]
    interactions: tuple[Interaction, ...]
    remainder: Estimate


def take_apart(singles: Costs, pairs: Costs | None = None) -> TakenApart:
    """The sum that gives the whole.

    Args:
        singles: with a subset of one for every part; at least one round.
        pairs: of other rounds, with subsets of two.

    Raises:
        ValueError: no round has a time of everything.
    """
    names = [next(iter(subset)) for subset in singles.of]
    rounds = [number for number in singles.whole if all(number in singles.of[frozenset({name})] for name in names)]
    if not rounds:
        raise ValueError("there is no round in which everything was measured")
    by_part = {name: [singles.of[frozenset({name})][number] for number in rounds] for name in names}
    whole = [singles.whole[number] for number in rounds]
    found = {} if pairs is None else {subset: list(values.values()) for subset, values in pairs.of.items() if values}
    left = [sum_of([(1.0, whole), *((-1.0, values) for values in by_part.values())])]
    interactions = tuple(_interaction(subset, values, by_part) for subset, values in sorted(found.items(), key=_order))
    if interactions:
        left = _left_after_pairs(whole, by_part, found)
    return TakenApart(
        whole=estimate(whole),
        parts={name: estimate(values) for name, values in by_part.items()},
        interactions=interactions,
        remainder=combined(left),
    )


def _order(entry: tuple[Subset, object]) -> list[str]:
    return sorted(entry[0])


def _interaction(subset: Subset, together: Sequence[float], by_part: Mapping[str, Sequence[float]]) -> Interaction:
    """What two parts save together over what each saves alone; these were measured in other rounds, so errors add up."""
    first, second = sorted(subset)
    alone = sum_of([(-1.0, by_part[first]), (-1.0, by_part[second])])
    return Interaction(parts=(first, second), gain=combined([list(together), alone]))


def _left_after_pairs(
    whole: Sequence[float], by_part: Mapping[str, Sequence[float]], pairs: Mapping[Subset, Sequence[float]]
) -> list[list[float]]:
    """Independent series whose means add up to whole - parts - interactions."""
    count = {name: sum(name in subset for subset in pairs) for name in by_part}
    singles = sum_of([(1.0, whole), *((count[name] - 1.0, values) for name, values in by_part.items())])
    # Pairs of one session share its rounds; their sum by round keeps what they have in common.
    rounds = min(len(values) for values in pairs.values())
    together = [-sum(values[number] for values in pairs.values()) for number in range(rounds)]
    return [singles, together]


def sum_of(terms: Sequence[tuple[float, Sequence[float]]]) -> list[float]:
    """The weighted sum of series of equal length, round by round."""
    return [sum(weight * values[number] for weight, values in terms) for number in range(len(terms[0][1]))]


def estimate(values: Sequence[float]) -> Estimate:
    """The mean of a series with its interval."""
    return combined([values])


def combined(series: Sequence[Sequence[float]]) -> Estimate:
    """The sum of the means of independent series; degrees of freedom by Welch and Satterthwaite (1946)."""
    value = sum(sum(values) / len(values) for values in series)
    if any(len(values) < 2 for values in series):
        return Estimate(value=value)
    errors = [(_variance(values) / len(values), len(values) - 1) for values in series]
    total = sum(error for error, _ in errors)
    if total <= 0.0:
        return Estimate(value=value, low=value, high=value)
    freedom = 1.0 / sum((error / total) ** 2 / df for error, df in errors)  # shares: squares of tiny errors vanish
    half = float(special.stdtrit(freedom, 0.5 + CONFIDENCE / 2.0)) * math.sqrt(total)
    return Estimate(value=value, low=value - half, high=value + half)


def _variance(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / (len(values) - 1)


def ratio(times: Mapping[int, float], over: Mapping[int, float]) -> Estimate:
    """The geometric mean of a ratio of times over the rounds in which both have one."""
    logs = estimate([math.log(times[number] / over[number]) for number in sorted(set(times) & set(over))])
    bounds = (None if bound is None else math.exp(bound) for bound in (logs.low, logs.high))
    return Estimate(value=math.exp(logs.value), low=next(bounds), high=next(bounds))


def pairs_of(names: Sequence[str]) -> list[Subset]:
    """All pairs of parts."""
    return [frozenset(pair) for pair in itertools.combinations(names, 2)]
