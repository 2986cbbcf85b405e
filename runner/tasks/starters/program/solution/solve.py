"""Reads a Roman numeral a line, and prints its value a line: a letter before a larger one is taken off."""

import sys

VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}

for line in sys.stdin:
    values = [VALUES[letter] for letter in line.strip()]
    print(sum(-one if one < after else one for one, after in zip(values, [*values[1:], 0])))
