"""What does a grading cost, line by line, and in baseline-lengths? And the whole job of ten scripted episodes?

    python bench/budget.py [--only PART] [--keep FOLDER]      plays and measures
    python bench/budget.py --job FOLDER [--job FOLDER]        reads jobs that were played

The parts: `one` grades the solution alone, `five` grades five passing files together, `target`, at the small scale, grades
the solution against a target that is its own speed-up, which no number of rounds can tell, and `job` plays the main job. A
job's folder has all that its figures follow from, so one that an earlier version played on the same machine (kept with
--keep) shows what a change gains: name it first, then the later one. Exit status 1 if one file costs more than 4
baseline-lengths, five or the (last) job more than 8, the job's warm-ups more than a fifth of it, or if the file at the
target is measured for more than 6 rounds.
"""

import argparse
import contextlib
import io
import json
import re
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import project_path  # noqa: F401
from runner.budget.clock import SystemClock
from runner.cli.option_groups import AgentOptions, OutputOptions, TaskOptions
from runner.cli.options import RunOptions
from runner.cli.run import run
from runner.grading.grade import grade_contents
from runner.grading.standing import Graded
from runner.job.setup import build_context, build_rules, build_spec, load_task, with_learning
from runner.records.outcome import OutcomeKind
from runner.records.run import GradingConfig
from runner.sandbox.engine import find_engine
from runner.sandbox.fleet import Fleet
from runner.settings import Settings

# In baseline-lengths; the share of the job's time; rounds.
ONE_MAX, FIVE_MAX, JOB_MAX, WARMING_MAX, ROUNDS_MAX = 4.0, 8.0, 8.0, 0.2, 6
PARTS = ("one", "five", "target", "job")
WARMED = re.compile(r"warming (\d+) container")
STEP = re.compile(r"\b(checking|warming|measuring|making again|waiting|another grading)\b")
FILES = ("pairwise_gram", "pairwise_cdist", "pairwise_partition", "zscore")


class Lines:
    """Adds up the time between one step's announcement and the next."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._step, self._since = "", 0.0

    def say(self, step: str, at_s: float | None = None) -> None:
        """Begin a step, now or at a time that was recorded."""
        if step and not STEP.search(step):
            return  # a note: what was being done goes on
        now = time.monotonic() if at_s is None else at_s
        if self._step:
            self.seconds[self._step] += now - self._since
        name = re.sub(r"^[^:]*: | of run.*|\d+ ", "", step)
        self._step, self._since = name.split(" submission")[0], now

    def print(self) -> None:
        """A line for each step."""
        for name, seconds in self.seconds.items():
            print(f"  {name:28} {seconds:7.1f} s")


def rounds_of(graded: Graded) -> int:
    speedup = graded.grading.measurement.speedup if graded.grading.measurement else None
    return speedup.rounds if speedup else 0


def at_the_target() -> tuple[OutcomeKind, int]:
    """The solution held to its own speed-up: (outcome, rounds with a baseline)."""
    settings, scale = Settings(), "small"
    engine, task = find_engine(settings), load_task(settings, "slow_ml_training_complex")
    spec, image = build_spec(engine, task, settings, print)
    rules = build_rules(engine, task, scale, image, GradingConfig())
    target = rules.target
    for _ in range(2):
        rules = replace(rules, target=target)
        context = build_context(Fleet(engine, "budget"), task, scale, spec, rules, SystemClock(), lambda step: None)
        (graded,) = grade_contents(context, [task.oracle or b""])
        assert graded.grading.measurement and graded.grading.measurement.speedup, graded
        target = graded.grading.measurement.speedup.estimate
    return graded.grading.outcome.kind, rounds_of(graded)


def play_job(scale: str, output: Path) -> Path:
    """The main job's folder, under `output`."""
    with contextlib.redirect_stdout(io.StringIO()):
        run(
            Settings(output=output),
            RunOptions(
                task=TaskOptions(scale=scale),
                agent=AgentOptions(agent="scripted"),
                show=OutputOptions(json=True, quiet=True),
            ),
        )
    return max(path for path in output.iterdir() if path.is_dir() and not path.is_symlink())


def job_figures(job: Path) -> tuple[float, float]:
    """(baseline-lengths, share of the warm-ups) of a job, from its records."""
    lines, containers, at_s = Lines(), 0, 0.0
    for entry in map(json.loads, (job / "job.log").read_text().splitlines()):
        at_s = datetime.fromisoformat(entry["timestamp"]).timestamp()
        if entry["event"] == "step":
            lines.say(entry["text"], at_s)
            warmed = WARMED.search(entry["text"])
            containers += int(warmed.group(1)) if warmed else 0
    lines.say("", at_s)
    results = json.loads((job / "results.json").read_text())
    runs, total = results["runs"], results["totals"]["seconds"]
    baseline = statistics.fmean(entry["seconds"]["baseline"] for entry in runs if entry["seconds"])
    rounds = max(entry["speedup"]["rounds"] for entry in runs if entry["speedup"])
    print(f"\n{job}: {', '.join(f'{n} {kind}' for kind, n in Counter(r['outcome'] for r in runs).items())}")
    lines.print()
    share = lines.seconds["warming containers"] / total
    print(f"  {'the rest (episodes, reports)':28} {total - sum(lines.seconds.values()):7.1f} s")
    print(
        f"  {'sum':28} {total:7.1f} s = {total / baseline:.2f} baselines of {baseline:.1f} s; at most {rounds} rounds, "
        f"{containers} containers warmed, {share:.0%} of the time",
        flush=True,
    )
    return total / baseline, share


def cost(title: str, scale: str, count: int) -> float:
    """Baseline-lengths of grading this many files together."""
    settings = Settings()
    engine, task = find_engine(settings), load_task(settings, "slow_ml_training_complex")
    spec, image = build_spec(engine, task, settings, print)
    rules = build_rules(engine, task, scale, image, GradingConfig())
    lines = Lines()
    context = build_context(
        Fleet(engine, "budget"), task, scale, spec, rules, SystemClock(), lambda step: lines.say(step.text)
    )
    context = with_learning(context, image, GradingConfig())  # the first of these gradings certifies a quiet host
    others = [(task.folder / "episodes" / "files" / f"{name}.py").read_bytes() for name in FILES]
    start = time.monotonic()
    graded = list(grade_contents(context, [task.oracle or b"", *others][:count]))
    total = time.monotonic() - start
    lines.say("")
    first = graded[0].grading
    baseline = first.measurement.baseline_s if first.measurement else None
    assert baseline is not None, graded
    print(f"\n{title}: {', '.join(g.grading.outcome.kind for g in graded)}")
    lines.print()
    rounds = max(rounds_of(entry) for entry in graded)
    certified = first.rules is not None and first.rules.certificate is not None
    print(
        f"  {'sum':28} {total:7.1f} s = {total / baseline:.2f} baselines of {baseline:.1f} s, {rounds} rounds, "
        f"with{'' if certified else 'out'} a certificate",
        flush=True,
    )
    return total / baseline


def job_checks(lengths: float, warming: float) -> list[tuple[str, bool]]:
    return [
        (f"the job of ten costs at most {JOB_MAX:g} baselines ({lengths:.2f})", lengths <= JOB_MAX),
        (f"warm-ups are at most {WARMING_MAX:.0%} of it ({warming:.0%})", warming <= WARMING_MAX),
    ]


def measure(parts: Sequence[str], scale: str, keep: Path | None) -> list[tuple[str, bool]]:
    """Play and grade; what was asked for, and whether it holds."""
    checks = []
    if "one" in parts:
        one = cost("one file", scale, 1)
        checks.append((f"one file costs at most {ONE_MAX:g} baselines ({one:.2f})", one <= ONE_MAX))
    if "five" in parts:
        five = cost("five files", scale, 5)
        checks.append((f"five together cost at most {FIVE_MAX:g} ({five:.2f})", five <= FIVE_MAX))
    if "target" in parts:
        outcome, rounds = at_the_target()
        text = f"a file at the target takes at most {ROUNDS_MAX} rounds ({rounds}, {outcome})"
        checks.append((text, rounds <= ROUNDS_MAX))
    if "job" in parts:
        with tempfile.TemporaryDirectory() as folder:
            checks += job_checks(*job_figures(play_job(scale, keep or Path(folder))))
    return checks


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", default="full")
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the job that is played stays")
    parser.add_argument("--job", type=Path, action="append", metavar="FOLDER", help="read this job, and play none")
    options = parser.parse_args()
    if options.job:
        checks = [job_checks(*job_figures(job)) for job in options.job][-1]
    else:
        checks = measure(options.only or PARTS, options.scale, options.keep)
    print()
    for text, holds in checks:
        print(f"{'PASS' if holds else 'FAIL'}  {text}")
    return 0 if all(holds for _, holds in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
