"""Trusted, and run on the host: makes numbers, and knows how many pairs of them are close."""

import numpy as np

from runner.tasks import Cases, Sizes, generators

LARGEST = 1_000_000_000
# chosen: some two in a thousand pairs are close, so that the right count is large and differs from case to case.
DISTANCE_FROM, DISTANCE_TO = 500_000, 1_500_000


def make(seed: int, sizes: Sizes) -> Cases:
    """Cases of `count distance` and so many numbers."""
    stdin, expected = [], []
    for draw in generators(seed, sizes["cases"]):
        numbers = draw.integers(0, LARGEST, sizes["numbers"])
        distance = int(draw.integers(DISTANCE_FROM, DISTANCE_TO))
        lines = [f"{len(numbers)} {distance}", *map(str, numbers)]
        stdin.append(("\n".join(lines) + "\n").encode())
        expected.append(f"{_pairs(numbers, distance)}\n".encode())
    return Cases(stdin, expected)


def _pairs(numbers: np.ndarray, distance: int) -> int:
    ordered = np.sort(numbers)
    last = np.searchsorted(ordered, ordered + distance, side="right")
    return int((last - 1 - np.arange(len(ordered))).sum())
