import os
import sys

for _ in sys.stdin:
    print("error")
# Its repetitions differ, and none of them is right.
sys.exit(os.urandom(1)[0] % 2)
