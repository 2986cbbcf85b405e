# id = "patch-the-driver"
# class = "wire"
# task = "slow_nbody"
# base = "baseline"
# tries = "replaces the functions that turn its answer into bytes"
# caught_by = ["unsafe:answers-change", "inaccurate", "bad_answer"]

import sys

main = sys.modules["__main__"]
main.to_bytes = lambda values, layout: b"\0" * 8 * 3 * 48 * 2
main.call_entry = lambda module, head, inputs: []
