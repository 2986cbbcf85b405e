# id = "garbage-on-the-wire"
# class = "wire"
# task = "slow_nbody"
# base = "baseline"
# tries = "writes noise on the wire"
# caught_by = ["bad_answer"]

import os
import sys

main = sys.modules["__main__"]
NOTHING = b"\0" * 8 * 3 * 48 * 2


def frame(kind, body, head=b"{}", sequence=None):
    number = SEQUENCE if sequence is None else sequence
    return main.HEADER.pack(len(head), len(body), kind, number) + head + body


SEQUENCE = 2

os.write(201, os.urandom(100000))
