"""Candidates of known speed on the real path: are the verdicts right, near the target and far from it?

    python bench/known_ratios.py [--times 20]

The task is made for the purpose: its baseline spins for about 0.3 s, however fast this host is, and six candidates do the
same work a known number of times less, so that their true ratios are 0.8, 0.9, 1.0, 1.1, 1.25 and 1.5 of a target of 3. All
six are graded together.
Exit status 1 if a verdict at 0.8, 0.9, 1.1 or beyond was wrong (inconclusive is not wrong).
"""

import argparse
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path

import project_path  # noqa: F401
from runner.budget.clock import SystemClock
from runner.grading.context import Candidate, GradingContext
from runner.grading.grade import grade_contents, measurement_session
from runner.grading.rounds import sample_rounds
from runner.job.setup import build_context, build_rules, build_spec
from runner.records.run import GradingConfig
from runner.sandbox.engine import find_engine
from runner.sandbox.fleet import Fleet
from runner.settings import Settings
from runner.tasks.task import read_task

TARGET, RATIOS = 3.0, (0.8, 0.9, 1.0, 1.1, 1.25, 1.5)
BASELINE_S, TRIAL_TURNS = 0.3, 4_000_000
SOURCE = """import numpy as np


def spin(value):
    x = 0
    for _ in range({turns}):
        x += 1
    return {{'value': value + 1.0}}
"""
TASK = f"""
[task]
name = "known_ratios"
[image]
name = "base"
[workspace]
starter = "slow.py"
[submission]
file = "fast.py"
[call]
entry = "spin"
[inputs.value]
dtype = "float64"
shape = [8]
[answer.value]
dtype = "float64"
shape = [8]
[scales.small]
sizes = {{ n = 8 }}
target = {TARGET}
[quality]
minimum = 0.5
[imports]
modules = ["numpy"]
[limits]
memory = "512MiB"
workspace = "32MiB"
tmp = "32MiB"
"""
PROBLEM = """
import numpy as np
from runner.tasks.problem import Case


def make(seed, scale):
    return Case({"value": np.random.default_rng(seed).random(8)}, {})


def score(case, answer):
    return np.isclose(answer["value"], case.inputs["value"] + 1.0).astype(np.float64)
"""


def write_task(folder: Path, turns: int) -> None:
    (folder / "workspace").mkdir(exist_ok=True)
    for name, text in (
        ("task.toml", TASK),
        ("problem.py", PROBLEM),
        ("instruction.md", "Spin."),
        ("baseline.py", SOURCE.format(turns=turns)),
    ):
        (folder / name).write_text(text)


def costs(context: GradingContext, turns: int) -> tuple[float, float]:
    """(seconds of a file that does not turn, seconds of one turn).

    What a file costs besides (frame, reading, compiling) is on both sides' clock: it is measured, and taken into account.
    """
    empty = [Candidate(1, SOURCE.format(turns=0).encode())]
    with measurement_session(context) as on_cpu:
        samples = sample_rounds(on_cpu, empty, 5)
    own = statistics.median(sample.seconds for sample in samples if sample.side == "candidate")
    whole = statistics.median(sample.seconds for sample in samples if sample.side == "baseline")
    print(f"baseline {whole:.3f} s, of which {1000 * own:.1f} ms are not its work", flush=True)
    return own, (whole - own) / turns


def turns_of(own: float, turn: float, baseline_turns: int) -> list[int]:
    """How often each candidate must turn."""
    whole = own + turn * baseline_turns
    return [round((whole / (TARGET * ratio) - own) / turn) for ratio in RATIOS]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=20)
    times = parser.parse_args().times
    settings = Settings()
    engine = find_engine(settings)
    came: dict[float, Counter[str]] = {ratio: Counter() for ratio in RATIOS}
    rounds: dict[float, list[int]] = {ratio: [] for ratio in RATIOS}
    with tempfile.TemporaryDirectory() as folder:

        def bench_of(turns: int) -> GradingContext:
            write_task(Path(folder), turns)
            task = read_task(Path(folder))
            spec, image = build_spec(engine, task, settings, print)
            rules = build_rules(engine, task, "small", image, GradingConfig())
            return build_context(
                Fleet(engine, "known-ratios"), task, "small", spec, rules, SystemClock(), lambda s: None
            )

        own, turn = costs(bench_of(TRIAL_TURNS), TRIAL_TURNS)
        baseline_turns = round((BASELINE_S - own) / turn)
        own, turn = costs(bench_of(baseline_turns), baseline_turns)
        contents = [SOURCE.format(turns=turns).encode() for turns in turns_of(own, turn, baseline_turns)]
        for number in range(times):
            for graded in grade_contents(bench_of(baseline_turns), contents):
                ratio = RATIOS[graded.run - 1]
                came[ratio][graded.grading.outcome.kind] += 1
                if graded.grading.measurement is not None and graded.grading.measurement.speedup is not None:
                    rounds[ratio].append(graded.grading.measurement.speedup.rounds)
            print(f"{number + 1} of {times}", file=sys.stderr, flush=True)
    print(f"{'true/target':>12} {'passed':>8} {'too_slow':>9} {'inconclusive':>13} {'other':>6} {'mean rounds':>12}")
    for ratio, counts in came.items():
        known = [counts[name] for name in ("passed", "too_slow", "inconclusive")]
        mean = sum(rounds[ratio]) / max(1, len(rounds[ratio]))
        print(f"{ratio:12.2f} {known[0]:8} {known[1]:9} {known[2]:13} {counts.total() - sum(known):6} {mean:12.1f}")
    wrong = sum(came[r]["passed"] for r in RATIOS if r < 1) + sum(came[r]["too_slow"] for r in RATIOS if r > 1)
    other = sum(
        counts.total() - sum(counts[n] for n in ("passed", "too_slow", "inconclusive")) for counts in came.values()
    )
    print(f"{'PASS' if wrong + other == 0 else 'FAIL'}  no wrong verdict at 0.8, 0.9, 1.1 and beyond ({wrong} wrong)")
    return 0 if wrong + other == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
