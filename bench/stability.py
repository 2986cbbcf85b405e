"""The same file graded again and again: the same verdict each time? And while another process burns a core?

    python bench/stability.py [--times 10] [--scale small]

Exit status 1 unless all verdicts agree and all intervals overlap.
"""

import argparse
import multiprocessing
import sys

import project_path  # noqa: F401
from runner.budget.clock import SystemClock
from runner.grading.grade import grade_contents
from runner.job.setup import build_context, build_rules, build_spec, load_task
from runner.records.grading import Interval
from runner.records.outcome import OutcomeKind
from runner.records.run import GradingConfig
from runner.sandbox.engine import find_engine
from runner.sandbox.fleet import Fleet
from runner.settings import Settings


def burn() -> None:
    while True:
        pass


def several(times: int, scale: str) -> tuple[set[OutcomeKind], list[Interval]]:
    settings = Settings()
    engine, task = find_engine(settings), load_task(settings, "slow_ml_training_complex")
    spec, image = build_spec(engine, task, settings, print)
    rules = build_rules(engine, task, scale, image, GradingConfig())
    verdicts, intervals = set(), []
    for _ in range(times):
        context = build_context(Fleet(engine, "stability"), task, scale, spec, rules, SystemClock(), lambda step: None)
        (graded,) = grade_contents(context, [task.oracle or b""])
        verdicts.add(graded.grading.outcome.kind)
        assert graded.grading.measurement is not None and graded.grading.measurement.speedup is not None, (
            graded.grading.outcome
        )
        intervals.append(graded.grading.measurement.speedup)
        found = intervals[-1]
        print(
            f"  {graded.grading.outcome.kind}: {found.estimate:.2f}x ({found.low:.2f} to {found.high:.2f})", flush=True
        )
    return verdicts, intervals


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--scale", default="small")
    options = parser.parse_args()
    fine = True
    for busy in (False, True):
        print("beside a process that burns a core:" if busy else "on a quiet host:")
        other = multiprocessing.get_context("spawn").Process(target=burn, daemon=True)
        if busy:
            other.start()
        try:
            verdicts, intervals = several(options.times, options.scale)
        finally:
            if busy:
                other.terminate()
        overlap = max(i.low or 0.0 for i in intervals) <= min(i.high or 0.0 for i in intervals)
        for text, holds in (("one verdict", len(verdicts) == 1), ("all intervals overlap", overlap)):
            print(f"{'PASS' if holds else 'FAIL'}  {text}")
            fine = fine and holds
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
