"""What does a trainer pay: a step, an environment that is open, a group that is graded; and does one learn?

    python bench/training.py [--steps 300] [--envs 32] [--group 8] [--seeds 1 2 3] [--only step memory group learn]

`step`: time of `Env.step` with a `bash` call of `true`, by turns with the plainest thing that this machine can do for it,
a process `true` of its own. `memory`: what this process grows by for each environment that is open, after its first step.
`group`: the baseline's seconds in a grading of many different files, over those in a grading of one. `learn`: the mean
reward of the first and the last step of docs/examples/train_bandit.py, a seed after the other. Exit status 1 where a step
takes over 1.5 ms at the median, an environment over 3 MiB, the group over 1.6 times, or a seed's reward does not rise.
"""

import argparse
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import project_path  # noqa: F401
from runner.job import training
from runner.job.rewards import Graded, RewardName, graded_of
from runner.job.training import Env, Host
from runner.records.episode import Limits
from runner.records.grading import Grading

PROJECT = Path(__file__).resolve().parent.parent
TASK, SCALE = "slow_nbody", "small"
TRUE = {"name": "bash", "input": {"command": "true"}}
STEP_MS_MAX, ENV_MIB_MAX, GROUP_TIMES_MAX = 1.5, 3.0, 1.6
WARM_UP = 20  # chosen: steps that are not counted
Bound = tuple[str, bool]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300, help="of one environment")
    parser.add_argument("--envs", type=int, default=32, help="open at once")
    parser.add_argument("--group", type=int, default=8, help="files that are graded together")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3], help="of the example that learns")
    parser.add_argument("--only", nargs="*", choices=list(PARTS), default=list(PARTS))
    options = parser.parse_args()
    kept = True
    for name in options.only:
        for line, holds in PARTS[name](options):
            print(f"{name}: {line}{'' if holds else '  ✗ over its bound'}", flush=True)
            kept = kept and holds
    return 0 if kept else 1


def step(options: argparse.Namespace) -> list[Bound]:
    """Steps and plain processes by turns."""
    with Host(slots=1) as host, host.open_episode(TASK, SCALE, Limits(turns=options.steps + WARM_UP)) as env:
        env.reset()
        steps, plain = [], []
        for _ in range(options.steps + WARM_UP):
            steps.append(_ms(lambda: env.step(TRUE)))
            plain.append(_ms(lambda: subprocess.run(["true"], check=False)))
    steps, plain = steps[WARM_UP:], plain[WARM_UP:]
    middle, late = statistics.median(steps), sorted(steps)[int(0.95 * len(steps))]
    words = f"{middle:.2f} ms at the median, {late:.2f} ms at the 95th of a hundred, of {len(steps)} steps"
    return [
        (f"{words} (bound: {STEP_MS_MAX} ms)", middle <= STEP_MS_MAX),
        (f"a plain process beside it {statistics.median(plain):.2f} ms at the median", True),
    ]


def _ms(do: Callable[[], Any]) -> float:
    start_s = time.perf_counter()
    do()
    return (time.perf_counter() - start_s) * 1e3


def memory(options: argparse.Namespace) -> list[Bound]:
    """This process before, and with all environments open."""
    with Host(slots=options.envs + 1) as host:
        _opened(host)  # what is loaded once
        before_mib = _resident_mib()
        envs = [_opened(host) for _ in range(options.envs)]
        each_mib = (_resident_mib() - before_mib) / len(envs)
    words = f"{each_mib:.2f} MiB for each of {options.envs} environments that are open (bound: {ENV_MIB_MAX:g} MiB)"
    return [(words, each_mib <= ENV_MIB_MAX)]


def _opened(host: Host) -> Env:
    env = host.open_episode(TASK, SCALE)
    env.reset()
    env.step(TRUE)
    return env


def _resident_mib() -> float:
    (pages,) = re.findall(r"^VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(pages) / 1024


def group(options: argparse.Namespace) -> list[Bound]:
    """A grading of one, a grading of many."""
    one_s, one_wall_s = _baseline_s(1)
    many_s, many_wall_s = _baseline_s(options.group)
    words = f"{many_s:.2f} s of baseline for {options.group} files, {one_s:.2f} s for one: {many_s / one_s:.2f} times"
    return [
        (f"{words} (bound: {GROUP_TIMES_MAX})", many_s <= GROUP_TIMES_MAX * one_s),
        (f"{many_wall_s:.0f} s of wall clock, {one_wall_s:.0f} s for one", True),
    ]


def _baseline_s(count: int) -> tuple[float, float]:
    """(seconds of the baseline's samples, wall clock) of a grading of so many different files that pass."""
    oracle = (PROJECT / "problem_data" / TASK / "solution" / "optimized_nbody.py").read_bytes()
    gradings: list[Grading] = []

    def keep(grading: Grading, rule: RewardName, target: float | None) -> Graded:
        gradings.append(grading)
        return graded_of(grading, rule, target)

    start_s = time.monotonic()
    with mock.patch.object(training, "graded_of", keep), Host() as host:
        host.grade_many([oracle + b"# %d\n" % number for number in range(count)], TASK, SCALE)
    samples = {
        (sample.round, sample.position): sample.seconds
        for grading in gradings
        if grading.measurement is not None
        for sample in grading.measurement.samples
        if sample.side == "baseline"
    }
    return sum(samples.values()), time.monotonic() - start_s


def learn(options: argparse.Namespace) -> list[Bound]:
    """The example, as its page says to run it."""
    found = []
    for seed in options.seeds:
        start_s = time.monotonic()
        command = [sys.executable, str(PROJECT / "docs" / "examples" / "train_bandit.py"), str(seed)]
        done = subprocess.run(command, cwd=PROJECT, env=_environment(), capture_output=True, text=True, check=False)
        means = [float(mean) for mean in re.findall(r"mean reward (\S+),", done.stdout)]
        words = " → ".join(f"{mean:.2f}" for mean in means) or done.stderr.strip()[-200:]
        took_s = time.monotonic() - start_s
        found.append((f"seed {seed}: mean reward {words} in {took_s:.0f} s", len(means) > 1 and means[-1] > means[0]))
    return found


def _environment() -> dict[str, str]:
    from runner.settings import inherited_environment

    return {**inherited_environment(), "PYTHONPATH": str(PROJECT)}


PARTS: dict[str, Callable[[argparse.Namespace], list[Bound]]] = {
    "step": step,
    "memory": memory,
    "group": group,
    "learn": learn,
}


if __name__ == "__main__":
    sys.exit(main())
