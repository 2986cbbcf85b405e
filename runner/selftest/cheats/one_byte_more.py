# id = "one-byte-more"
# class = "wire"
# task = "slow_nbody"
# base = "baseline"
# tries = "answers with one byte more than asked for"
# caught_by = ["bad_answer"]

import os
import sys

main = sys.modules["__main__"]
NOTHING = b"\0" * 8 * 3 * 48 * 2


def frame(kind, body, head=b"{}", sequence=None):
    number = SEQUENCE if sequence is None else sequence
    return main.HEADER.pack(len(head), len(body), kind, number) + head + body


SEQUENCE = 2

work = simulate


def simulate(**given):
    answer = work(**given)
    body = answer["positions"].tobytes() + answer["velocities"].tobytes() + b"x"
    os.write(201, frame(main.ANSWER, body))
    return answer
