"""Trusted, and run on the host: makes cases, each with what is right."""

from runner.tasks import Cases, Sizes, generators

VALUES = {"M": 1000, "CM": 900, "D": 500, "CD": 400, "C": 100, "XC": 90, "L": 50, "XL": 40, "X": 10, "IX": 9, "V": 5,
          "IV": 4, "I": 1}  # fmt: skip
LARGEST = 3999  # what the letters can say


def make(seed: int, sizes: Sizes) -> Cases:
    """The cases of a seed; they must depend on it alone. What is right stays on the host."""
    stdin, expected = [], []
    for draw in generators(seed, sizes["cases"]):
        numbers = [int(number) for number in draw.integers(1, LARGEST + 1, sizes["lines"])]
        stdin.append("".join(f"{_roman(number)}\n" for number in numbers).encode())
        expected.append("".join(f"{number}\n" for number in numbers).encode())
    return Cases(stdin, expected)


def _roman(number: int) -> str:
    text = ""
    for letters, value in VALUES.items():
        text += letters * (number // value)
        number %= value
    return text
