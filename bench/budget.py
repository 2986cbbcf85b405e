"""What does a grading cost, line by line, and in baseline-lengths? And the whole job of ten scripted episodes?

    python bench/budget.py [--scale full] [--no-job]

Grades the solution alone, then five passing files together, then plays the main job. Exit status 1 if one file costs more
than 4 baseline-lengths, five more than 8, or the job more than 210 s.
"""

import argparse
import contextlib
import io
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import project_path  # noqa: F401
from runner.cli.options import AgentOptions, OutputOptions, RunOptions, TaskOptions
from runner.cli.run import run
from runner.clock import SystemClock
from runner.grading.grade import grade_contents
from runner.job.setup import build_context, build_rules, build_spec, load_task
from runner.records.run import GradingConfig
from runner.sandbox.engine import find_engine
from runner.sandbox.fleet import Fleet
from runner.settings import Settings

ONE_MAX, FIVE_MAX, JOB_MAX_S = 4.0, 8.0, 210.0
FILES = ("pairwise_gram", "pairwise_cdist", "pairwise_partition", "zscore")


class Lines:
    """Adds up the time between one step's announcement and the next."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._step, self._since = "", time.monotonic()

    def say(self, step: str) -> None:
        now = time.monotonic()
        if self._step:
            self.seconds[self._step] += now - self._since
        name = step.split(": ")[-1].split(" of run")[0]
        self._step, self._since = "warming" if name.startswith("warming") else name.split(" submission")[0], now


def cost(title: str, scale: str, count: int) -> tuple[float, bool]:
    """(baseline-lengths, whether a certificate was used) of grading this many files together."""
    settings = Settings()
    engine, task = find_engine(settings), load_task(settings, "slow_ml_training_complex")
    spec, image = build_spec(engine, task, settings, print)
    rules = build_rules(engine, task, scale, image, GradingConfig())
    lines = Lines()
    context = build_context(
        Fleet(engine, "budget"), task, scale, spec, rules, SystemClock(), lambda step: lines.say(step.text)
    )
    others = [(task.folder / "episodes" / "files" / f"{name}.py").read_bytes() for name in FILES]
    start = time.monotonic()
    graded = list(grade_contents(context, [task.oracle or b"", *others][:count]))
    total = time.monotonic() - start
    lines.say("")
    first = graded[0].grading
    baseline = first.measurement.baseline_s if first.measurement else None
    assert baseline is not None, graded
    print(f"\n{title}: {', '.join(g.grading.outcome.kind for g in graded)}")
    for name, seconds in lines.seconds.items():
        print(f"  {name:28} {seconds:7.1f} s")
    rounds = max(
        g.grading.measurement.speedup.rounds for g in graded if g.grading.measurement and g.grading.measurement.speedup
    )
    used = first.rules is not None and first.rules.certificate is not None
    print(
        f"  {'sum':28} {total:7.1f} s = {total / baseline:.2f} baselines of {baseline:.1f} s, {rounds} rounds",
        flush=True,
    )
    return total / baseline, used


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", default="full")
    parser.add_argument("--no-job", action="store_true")
    options = parser.parse_args()
    one, certified = cost("one file", options.scale, 1)
    five, _ = cost("five files", options.scale, 5)
    checks = [
        (f"one file costs at most {ONE_MAX:g} baselines ({one:.2f})", one <= ONE_MAX),
        (f"five together cost at most {FIVE_MAX:g} ({five:.2f})", five <= FIVE_MAX),
    ]
    if not options.no_job:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            start = time.monotonic()
            run(
                Settings(output=Path(folder)),
                RunOptions(
                    task=TaskOptions(scale=options.scale),
                    agent=AgentOptions(agent="scripted"),
                    show=OutputOptions(json=True, quiet=True),
                ),
            )
            job = time.monotonic() - start
        checks.append((f"the job of ten takes at most {JOB_MAX_S:g} s ({job:.0f} s)", job <= JOB_MAX_S))
    print("\ncertificate used" if certified else "\nwithout a certificate: `python -m runner calibrate` makes one")
    for text, holds in checks:
        print(f"{'PASS' if holds else 'FAIL'}  {text}")
    return 0 if all(holds for _, holds in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
