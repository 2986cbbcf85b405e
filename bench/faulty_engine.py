"""Jobs on an engine that fails by a seeded schedule: how many of them keep every promise.

    python bench/faulty_engine.py --schedules 10000

Each seed is a job of two runs with two faults among its first calls, and the same job resumed without any. Needs no engine.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import project_path  # noqa: F401
from tests.fakes.faulty_jobs import load, try_schedule

SAY_EVERY = 500  # chosen: every few minutes
GRADED_EVERY = 10  # chosen: a grading takes ten times as long as an episode


def tried(seed: int) -> tuple[int, list[str], list[str]]:
    """(seed, what does not hold, what struck) of one schedule."""
    graded = seed % GRADED_EVERY == 0
    with tempfile.TemporaryDirectory() as folder:
        wrong, struck = try_schedule(
            load(), Path(folder) / "job", seed, graded=graded, span=120 if graded else 20, faults=3 if graded else 2
        )
    return seed, wrong, struck


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedules", type=int, default=10_000, help="how many seeds")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, default=2, help="side by side")
    options = parser.parse_args()
    start_s, kinds, broken = time.monotonic(), Counter[str](), 0
    with ProcessPoolExecutor(options.processes) as pool:
        for seed, wrong, struck in pool.map(tried, range(options.first, options.first + options.schedules)):
            kinds.update(fault.partition(" ")[0] for fault in struck)
            broken += bool(wrong)
            for words in wrong:
                print(f"seed {seed}: {words} (struck: {', '.join(struck)})", flush=True)
            if (seed + 1) % SAY_EVERY == 0:
                print(f"up to seed {seed}: {time.monotonic() - start_s:.0f} s, {broken} broken", flush=True)
    seconds = time.monotonic() - start_s
    print(f"{options.schedules} schedules in {seconds:.0f} s; faults that struck: {dict(kinds.most_common())}")
    print(f"promises broken: {broken}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
