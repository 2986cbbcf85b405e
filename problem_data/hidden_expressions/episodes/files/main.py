"""Reads an expression a line from standard input, and prints its value a line, or `error`."""

import sys

from expressions import Malformed, value_of

for line in sys.stdin:
    try:
        print(value_of(line))
    except (Malformed, ZeroDivisionError):
        print("error")
