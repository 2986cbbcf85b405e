# id = "any-sequence"
# class = "wire"
# task = "slow_nbody"
# base = "baseline"
# tries = "answers with every sequence number, hoping for the right one"
# caught_by = ["unsafe:answers-change", "inaccurate", "bad_answer"]

import os
import sys

main = sys.modules["__main__"]
NOTHING = b"\0" * 8 * 3 * 48 * 2


def frame(kind, body, head=b"{}", sequence=None):
    number = SEQUENCE if sequence is None else sequence
    return main.HEADER.pack(len(head), len(body), kind, number) + head + body


SEQUENCE = 2

for number in range(64):
    os.write(201, frame(main.ANSWER, NOTHING, sequence=number))
