"""Trusted, and run on the host: makes expressions together with their values."""

import numpy as np

from runner.tasks import Cases, Sizes, generators

# chosen: of ten lines one is malformed, and of the divisions of a long case now and then one is by zero.
MALFORMED = 0.1
DEPTH, NUMBERS_TO = 4, 40
ERROR = "error"


def make(seed: int, sizes: Sizes) -> Cases:
    """Cases of some lines each."""
    stdin, expected = [], []
    for draw in generators(seed, sizes["cases"]):
        lines = [_line(draw) for _ in range(sizes["lines"])]
        stdin.append("".join(f"{text}\n" for text, _ in lines).encode())
        expected.append("".join(f"{value}\n" for _, value in lines).encode())
    return Cases(stdin, expected)


def _line(draw: np.random.Generator) -> tuple[str, str]:
    text, value = _sum(draw, DEPTH)
    if draw.random() < MALFORMED:
        return (f"{text} )", ERROR) if draw.random() < 0.5 else (f"{text} *", ERROR)
    return text, ERROR if value is None else str(value)


def _sum(draw: np.random.Generator, depth: int) -> tuple[str, int | None]:
    """A text and its value; None where something is divided by zero."""
    text, value = _product(draw, depth)
    for _ in range(draw.integers(0, 3)):
        more, its = _product(draw, depth)
        plus = draw.random() < 0.5
        text = f"{text} {'+' if plus else '-'} {more}"
        value = None if value is None or its is None else value + its if plus else value - its
    return text, value


def _product(draw: np.random.Generator, depth: int) -> tuple[str, int | None]:
    text, value = _factor(draw, depth)
    for _ in range(draw.integers(0, 3)):
        more, its = _factor(draw, depth)
        times = draw.random() < 0.6
        text = f"{text}{'*' if times else ' / '}{more}"
        if value is not None:
            value = None if its is None or (its == 0 and not times) else value * its if times else value // its
    return text, value


def _factor(draw: np.random.Generator, depth: int) -> tuple[str, int | None]:
    if depth and draw.random() < 0.3:
        text, value = _sum(draw, depth - 1)
        return f"({text})", value
    if draw.random() < 0.2:
        text, value = _factor(draw, depth)
        return f"-{text}", None if value is None else -value
    number = int(draw.integers(0, NUMBERS_TO))
    return str(number), number
