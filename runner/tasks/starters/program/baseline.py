"""Reads a Roman numeral a line, and prints its value a line; knows nothing yet of a smaller letter before a larger one."""

import sys

VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}

for line in sys.stdin:
    print(sum(VALUES[letter] for letter in line.strip()))
