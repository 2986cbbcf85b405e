"""Reads an expression a line from standard input, and prints its value a line."""

import sys


def value_of(line):
    """Sums and differences of whole numbers; nothing else yet."""
    total, sign = 0, 1
    for word in line.replace("+", " + ").replace("-", " - ").split():
        if word in "+-":
            sign = 1 if word == "+" else -1
        else:
            total += sign * int(word)
    return total


for line in sys.stdin:
    try:
        print(value_of(line))
    except ValueError:
        print("error")
