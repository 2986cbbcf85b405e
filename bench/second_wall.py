"""What do the walls cost that PID 1 puts up from inside: around a command, and in a measured sample?

    python bench/second_wall.py [--count 100] [--samples 20]

Two sandboxes side by side, one of them with a PID 1 that leaves out the walls around commands (a filter of system calls,
and Landlock where the kernel has it), run the same commands by turns; printed are the medians in milliseconds and the median
of the differences. A sample has two filters around it, that which refuses what reaches shared pages and that which keeps
PID 1 apart: samples with and without both by turns, and the ratio of their medians with its 95 % interval (bootstrap). Exit
status 1 if the walls cost a command more than 5 ms, or if the interval of the samples lies beyond 1 % on either side.
"""

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

import project_path  # noqa: F401
from runner.episode.tools import ToolOutcome, run_tool
from runner.grading.data import generate_round
from runner.grading.sample import SampleSpec, run_sample, warm_sandbox
from runner.job.setup import build_spec, load_task
from runner.records.episode import ToolCall
from runner.sandbox import fleet as fleet_module
from runner.sandbox.container import Sandbox
from runner.sandbox.engine import Engine, find_engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.lock import all_cpus, measurement_cpu, measurement_lock
from runner.sandbox.spec import SandboxSpec
from runner.settings import Settings
from runner.tasks.problem import load_problem
from runner.tasks.task import Task

COMMAND_MS_MAX, SAMPLE_SHARE_MAX = 5.0, 0.01
COMMANDS = {
    "`true` in the shell": "true",
    "a program": "/bin/true",
    "Python": "python3 -I -S -c pass",
    "200 files made and removed": 'for n in $(seq 200); do : > "f$n"; done; rm f*',
}
FRESH_SHELL = "a fresh shell, `true`"
AROUND_COMMANDS = ("            confine()\n            fence()\n",)
AROUND_SAMPLES = ("    set_filter(libc, numbers, filter_program(architecture, numbers))\n", "        fence()\n")
DRAWS = 2000  # chosen: of the bootstrap


@contextlib.contextmanager
def program_without(texts: Sequence[str]) -> Iterator[None]:
    """Sandboxes opened here have a PID 1 that lacks these lines."""
    whole = fleet_module.program

    def program(name: str, key: bytes = b"") -> bytes:
        source = whole(name, key)[4:].decode()
        for text in texts:
            assert text in source
            source = source.replace(text, "")
        shorter = source.encode()
        return len(shorter).to_bytes(4, "big") + shorter

    fleet_module.program = program
    try:
        yield
    finally:
        fleet_module.program = whole


def run(sandbox: Sandbox, command: str) -> float:
    """Milliseconds of a command."""
    start = time.perf_counter()
    got = run_tool(sandbox, ToolCall("1", "bash", {"command": command}), 1000)
    taken = 1000 * (time.perf_counter() - start)
    assert isinstance(got, ToolOutcome) and got.result.text == "[exit status 0]", got
    return taken


def run_in_fresh_shell(sandbox: Sandbox) -> float:
    sandbox.ask({"op": "restart"}, deadline_s=10.0)
    return run(sandbox, "true")


def time_commands(engine: Engine, spec: SandboxSpec, count: int) -> dict[str, list[tuple[float, float]]]:
    """Milliseconds (with, without) of each command, by turns."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in (*COMMANDS, FRESH_SHELL)}
    fleet, cpus = Fleet(engine, "second-wall"), all_cpus(engine)
    with contextlib.ExitStack() as stack:
        with_walls = stack.enter_context(fleet.open(spec, "toolserver", role="agent", cpuset=cpus))
        with program_without(AROUND_COMMANDS):
            without = stack.enter_context(fleet.open(spec, "toolserver", role="agent", cpuset=cpus))
        print(f"Landlock: version {with_walls.enforced['isolation']['landlock']}")
        for number in range(count):
            order = (with_walls, without) if number % 2 else (without, with_walls)
            for name in taken:
                found = {
                    sandbox is with_walls: run_in_fresh_shell(sandbox)
                    if name == FRESH_SHELL
                    else run(sandbox, COMMANDS[name])
                    for sandbox in order
                }
                taken[name].append((found[True], found[False]))
    return taken


def sample_spec(task: Task, sandbox: SandboxSpec) -> SampleSpec:
    data = generate_round(load_problem(task), task, "small", 1, 1)
    return SampleSpec(
        task=task,
        sandbox=sandbox,
        layout=task.input_arrays("small"),
        inputs=data.identity.inputs,
        answer=task.answer_arrays("small"),
        deadline_s=60.0,
        preload=task.preloads(None),
    )


def time_samples(engine: Engine, spec: SampleSpec, count: int) -> tuple[list[float], list[float]]:
    """Seconds of the baseline (with, without) the filters, by turns."""
    with_filter, without = list[float](), list[float]()
    fleet, source = Fleet(engine, "second-wall"), spec.task.baseline
    loose = replace(spec, sandbox=replace(spec.sandbox, unenforced=("pages",)))
    for number in range(-1, count):  # the first pair reads the image from the disk
        turns: list[tuple[list[float], SampleSpec, contextlib.AbstractContextManager[None]]] = [
            (with_filter, spec, contextlib.nullcontext()),
            (without, loose, program_without(AROUND_SAMPLES)),
        ]
        for taken, chosen, program in turns if number % 2 else reversed(turns):
            with program, warm_sandbox(fleet, chosen, role="baseline", cpuset=all_cpus(engine)) as sandbox:
                sandbox.pin(measurement_cpu(engine))
                seconds = run_sample(sandbox, chosen, source).seconds
            if number >= 0:
                taken.append(seconds)
    return with_filter, without


def interval(with_filter: list[float], without: list[float]) -> tuple[float, float]:
    """95 % of the ratio of medians, pairs drawn together."""
    pairs = np.array([with_filter, without])
    drawn = np.random.default_rng(1).integers(0, pairs.shape[1], (DRAWS, pairs.shape[1]))
    ratios = np.median(pairs[0][drawn], axis=1) / np.median(pairs[1][drawn], axis=1)
    low, high = np.percentile(ratios, [2.5, 97.5])
    return float(low), float(high)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--samples", type=int, default=20, help="0 leaves samples out")
    options = parser.parse_args()
    settings = Settings()
    engine, task = find_engine(settings), load_task(settings, "slow_nbody")
    spec, _ = build_spec(engine, task, settings, print)
    print(f"engine {engine.facts.version}, {engine.facts.ncpu} CPUs, kernel {engine.facts.kernel}")
    taken = time_commands(engine, spec, options.count)
    print(f"{'milliseconds (medians)':28} {'with':>8} {'without':>8} {'difference':>11}")
    checks = []
    for name, pairs in taken.items():
        more = statistics.median(with_walls - without for with_walls, without in pairs)
        with_walls, without = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
        print(f"{name:28} {with_walls:8.2f} {without:8.2f} {more:11.2f}")
        checks.append((f"{name}: at most {COMMAND_MS_MAX:g} ms more", more <= COMMAND_MS_MAX))
    if options.samples:
        with measurement_lock(engine, spec.image_id, spec.python, measurement_cpu(engine), say=print):
            samples = time_samples(engine, sample_spec(task, spec), options.samples)
        low, high = interval(*samples)
        medians = " / ".join(f"{statistics.median(side):.3f}" for side in samples)
        print(f"a sample with / without the filters: {medians} s, ratio {low:.3f} to {high:.3f}")
        checks.append(("nothing measurable in a sample", low <= 1 + SAMPLE_SHARE_MAX and high >= 1 - SAMPLE_SHARE_MAX))
    for name, passed in checks:
        print(f"{'PASS' if passed else 'FAIL'}  {name}")
    return 0 if all(passed for _, passed in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
