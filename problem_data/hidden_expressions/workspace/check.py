"""Run the calculator on the sample cases: python3 check.py"""

import pathlib
import subprocess
import sys

for case in sorted(pathlib.Path("cases").glob("*.in")):
    done = subprocess.run([sys.executable, "calc/main.py"], stdin=case.open("rb"), capture_output=True)
    right = done.stdout.split() == case.with_suffix(".out").read_bytes().split()
    print(case.name, "right" if right else "WRONG")
