"""Where do the seconds go that a container takes to warm up? Engine, first frame, each import, data, removal.

    python bench/warm_up.py [--task NAME] [--scale full] [--count 6]

Prints wall and CPU seconds of each step (median, lowest, highest over the containers, one after the other), what a
container costs when they warm up side by side as in a grading, how many of the imported modules have bytecode, and how long
the solution takes after more or fewer imports, by turns. The first container of all is left out: it reads the image from the
disk. Exit status 1 if modules are compiled at each start, or if fewer imports make every sample faster than more of them do.
"""

import argparse
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import project_path  # noqa: F401
from runner.grading.context import WARM_AT_ONCE
from runner.grading.data import generate_round
from runner.grading.sample import SampleSpec, layout, run_sample, warm_sandbox
from runner.job.setup import build_spec, load_task
from runner.sandbox.container import Received, Sandbox
from runner.sandbox.engine import Engine, find_engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.lock import all_cpus, measurement_cpu
from runner.settings import Settings
from runner.tasks.problem import load_problem
from runner.tasks.task import Array, imported_modules

CALLS = ("create_container_from_config", "attach_socket", "start", "inspect_container", "kill", "remove_container")
# Share of the modules that may lack bytecode. chosen: a few have no file at all.
COMPILED_MAX = 0.01
COUNT_MODULES = b"""
import importlib.util
import os
import sys

import numpy as np


def count(**inputs):
    paths = [getattr(module, "__file__", None) or "" for module in list(sys.modules.values())]
    paths = [path for path in paths if path.endswith(".py") and "workspace" not in path]
    compiled = [path for path in paths if os.path.exists(importlib.util.cache_from_source(path))]
    return {"count": np.array([len(paths), len(compiled)], dtype=np.int64)}
"""
Steps = dict[str, list[tuple[float, float | None]]]


class EngineTimes:
    """Takes the time of the engine's calls, by name, while it is on."""

    def __init__(self, engine: Engine) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        for name in CALLS:
            setattr(engine.client.api, name, self._timed(name, getattr(engine.client.api, name)))

    def _timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                self.seconds[name] += time.perf_counter() - start

        return timed


def ask(sandbox: Sandbox, steps: Steps, title: str, names: list[str], arrays: tuple[Array, ...], body: bytes) -> None:
    """One part of the set-up, timed on the host and by the kernel's account of the container."""
    before, start = sandbox.used().cpu_s, time.perf_counter()
    reply = sandbox.ask({"op": "setup", "preload": names, "inputs": layout(arrays), "calls": 1}, body, deadline_s=300.0)
    seconds, after = time.perf_counter() - start, sandbox.used().cpu_s
    assert isinstance(reply, Received) and not reply.frame.head["failed"], reply
    steps[title].append((seconds, None if before is None or after is None else after - before))


def one_after_the_other(engine: Engine, spec: SampleSpec, times: EngineTimes, steps: Steps) -> tuple[int, int]:
    """One container, step by step; returns (modules, of which with bytecode)."""
    fleet, start = Fleet(engine, "warm-up"), time.perf_counter()
    times.seconds.clear()
    with fleet.open(spec.sandbox, "driver", role="candidate", cpuset=all_cpus(engine)) as sandbox:
        opened = time.perf_counter() - start
        in_engine = sum(times.seconds.values())
        for name in CALLS[:4]:
            steps[f"engine: {name.split('_')[0]}"].append((times.seconds[name], None))
        steps["PID 1: interpreter and first frame"].append((opened - in_engine, sandbox.used().cpu_s))
        ask(sandbox, steps, "import numpy, which reads the data", [], (), b"")
        for name in spec.preload:
            ask(sandbox, steps, f"import {name}", [name], (), b"")
        ask(sandbox, steps, f"data, {len(spec.inputs) / 1e6:.1f} MB", [], spec.layout, spec.inputs)
        answer = [["count", "int64", [2]]]
        reply = sandbox.ask(
            {"op": "go", "file": "count.py", "entry": "count", "answer": answer}, COUNT_MODULES, deadline_s=60.0
        )
        assert isinstance(reply, Received), reply
        ended = time.perf_counter()
    steps["removal"].append((time.perf_counter() - ended, None))
    modules, compiled = (int.from_bytes(reply.frame.body[k : k + 8], "little") for k in (0, 8))
    return modules, compiled


def side_by_side(engine: Engine, spec: SampleSpec, count: int) -> float:
    """Seconds that each of so many containers costs, warmed side by side and then ended."""
    fleet, start = Fleet(engine, "warm-up"), time.perf_counter()

    def warm(_: int) -> None:
        with warm_sandbox(fleet, spec, role="candidate", cpuset=all_cpus(engine)):
            pass

    with ThreadPoolExecutor(WARM_AT_ONCE) as pool:
        list(pool.map(warm, range(count)))
    return (time.perf_counter() - start) / count


def solution_after(engine: Engine, spec: SampleSpec, count: int) -> dict[str, list[float]]:
    """Seconds of the solution after each choice of imports, interleaved on the measuring CPU."""
    task, solution = spec.task, spec.task.oracle
    assert solution is not None, f"task {task.name} has no solution"
    choices = {
        "everything": task.preloads(None),
        "what its text and the baseline name": task.preloads(imported_modules(solution)),
        "the same without `preload`": task.preloads(imported_modules(solution))[
            : -len(task.file.imports.preload) or None
        ],
    }
    taken: dict[str, list[float]] = {title: [] for title in choices}
    fleet = Fleet(engine, "warm-up")
    for _ in range(count):
        for title, names in choices.items():
            with warm_sandbox(
                fleet, replace(spec, preload=names), role="candidate", cpuset=all_cpus(engine)
            ) as sandbox:
                sandbox.pin(measurement_cpu(engine))
                taken[title].append(run_sample(sandbox, spec, solution).seconds)
    return taken


def show(steps: Steps) -> None:
    print(f"{'one after the other, seconds':40} {'wall':>7} {'(lowest, highest)':>18} {'CPU':>7}")
    for title, values in steps.items():
        wall, cpu = [seconds for seconds, _ in values], [seconds for _, seconds in values if seconds is not None]
        spread = f"({min(wall):.2f}, {max(wall):.2f})"
        print(f"{title:40} {statistics.median(wall):7.2f} {spread:>18} {statistics.median(cpu) if cpu else 0:7.2f}")
    print(f"{'sum of the medians':40} {sum(statistics.median(s for s, _ in values) for values in steps.values()):7.2f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", default="slow_ml_training_complex")
    parser.add_argument("--scale", default="full")
    parser.add_argument("--count", type=int, default=6)
    options = parser.parse_args()
    settings = Settings()
    engine, task = find_engine(settings), load_task(settings, options.task)
    sandbox, _ = build_spec(engine, task, settings, print)
    data = generate_round(load_problem(task), task, options.scale, 1, 1)
    inputs, arrays = data.identity.inputs, task.input_arrays(options.scale)
    spec = SampleSpec(
        task=task,
        sandbox=sandbox,
        layout=arrays,
        inputs=inputs,
        answer=task.answer_arrays(options.scale),
        deadline_s=60.0,
        preload=task.preloads(None),
    )
    steps: Steps = defaultdict(list)
    times = EngineTimes(engine)
    one_after_the_other(engine, spec, times, defaultdict(list))
    for _ in range(options.count):
        modules, compiled = one_after_the_other(engine, spec, times, steps)
    show(steps)
    for title, imports in (("everything", None), ("what the baseline may need", ())):
        needed = replace(spec, preload=task.preloads(imports))
        each = side_by_side(engine, needed, 2 * options.count)
        print(f"side by side, {WARM_AT_ONCE} at a time, {title}: {each:.2f} s a container")
    after = solution_after(engine, spec, options.count)
    for title, seconds in after.items():
        print(
            f"the solution after {title}: {statistics.median(seconds):.3f} ({min(seconds):.3f}, {max(seconds):.3f}) s"
        )
    more, less = list(after.values())[:2]
    checks = [
        (f"of {modules} modules {compiled} have bytecode", modules - compiled <= COMPILED_MAX * modules),
        ("fewer imports make no file faster", max(less) >= min(more)),
    ]
    for text, holds in checks:
        print(f"{'PASS' if holds else 'FAIL'}  {text}")
    return 0 if all(holds for _, holds in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
