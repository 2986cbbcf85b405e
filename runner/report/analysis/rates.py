"""Shares with their intervals, and what k tries would give."""

import math
from dataclasses import dataclass

from scipy import special

LEVEL = 0.95  # the usual one


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A share of runs.

    Attributes:
        passed, counted: the share is passed / counted.
        value: None where nothing counts.
        wilson: bounds by Wilson's score (1927), 95 %.
        jeffreys: bounds by Jeffreys' prior, Beta(1/2, 1/2), 95 %.
    """

    passed: int
    counted: int
    value: float | None
    wilson: tuple[float, float] | None
    jeffreys: tuple[float, float] | None


def rate_of(passed: int, counted: int) -> Rate:
    """The share with both intervals."""
    if not counted:
        return Rate(passed=passed, counted=0, value=None, wilson=None, jeffreys=None)
    return Rate(
        passed=passed,
        counted=counted,
        value=passed / counted,
        wilson=wilson(passed, counted),
        jeffreys=jeffreys(passed, counted),
    )


def wilson(passed: int, counted: int, level: float = LEVEL) -> tuple[float, float]:
    """Bounds of a share (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927)."""
    z = float(special.ndtri(0.5 + level / 2.0))
    centre = (passed + z * z / 2.0) / (counted + z * z)
    half = z * math.sqrt(passed * (counted - passed) / counted + z * z / 4.0) / (counted + z * z)
    return max(0.0, centre - half), min(1.0, centre + half)


def jeffreys(passed: int, counted: int, level: float = LEVEL) -> tuple[float, float]:
    """Equal-tailed bounds under Jeffreys' prior; 0 or 1 where nothing speaks against it (Brown, Cai, DasGupta 2001)."""
    tail, a, b = (1.0 - level) / 2.0, passed + 0.5, counted - passed + 0.5
    low = 0.0 if passed == 0 else float(special.betaincinv(a, b, tail))
    high = 1.0 if passed == counted else float(special.betaincinv(a, b, 1.0 - tail))
    return low, high


def pass_at_k(passed: int, counted: int, k: int) -> float | None:
    """Chance that at least one of k runs passes, without bias (Chen et al. 2021, «Evaluating large language models…»).

    None where fewer than k runs count.
    """
    if counted < k:
        return None
    return 1.0 - math.comb(counted - passed, k) / math.comb(counted, k)


def pass_all_k(passed: int, counted: int, k: int) -> float | None:
    """Chance that all of k runs pass (pass^k; Yao et al. 2024, «τ-bench»); None where fewer than k runs count."""
    if counted < k:
        return None
    return math.comb(passed, k) / math.comb(counted, k)
