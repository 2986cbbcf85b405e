"""What a tool call costs: our frames beside `docker exec`, in the same run.

    python bench/round_trip.py [--count 200]

Prints percentiles in milliseconds for: an empty frame (`ping`), `true` in the persistent shell, and `true` through
`docker exec` by the SDK and by the command-line client, in one container, by turns of fifty calls: what a call leaves to
be done after its answer (an engine's processes to reap) is part of its own way's next call, not of another's. Exit
status 1 if the first two miss their bounds (p50 of 0.5 ms and 5 ms).
"""

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import project_path  # noqa: F401
from runner.episode.tools import ToolOutcome, run_tool
from runner.job.setup import build_spec, load_task
from runner.records.episode import ToolCall
from runner.sandbox.container import Received, Sandbox
from runner.sandbox.engine import find_engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.lock import all_cpus
from runner.settings import Settings

BOUNDS_MS = {"empty frame": 0.5, "`true` in the shell": 5.0}
TURN, TURN_OF_EXEC = 50, 5  # calls of one way in a row: docker exec takes long


def frame(sandbox: Sandbox) -> None:
    assert isinstance(sandbox.ask({"op": "ping"}, deadline_s=10.0), Received)


def shell(sandbox: Sandbox) -> None:
    got = run_tool(sandbox, ToolCall("1", "bash", {"command": "true"}), 1000)
    assert isinstance(got, ToolOutcome) and got.result.text == "[exit status 0]", got


def exec_sdk(sandbox: Sandbox) -> None:
    assert sandbox.engine.client.containers.get(sandbox.id).exec_run(["true"]).exit_code == 0


def exec_cli(sandbox: Sandbox) -> None:
    command = ["docker", "--host", sandbox.engine.url, "exec", sandbox.id, "true"]
    subprocess.run(command, check=True, capture_output=True)


def ways() -> dict[str, tuple[Callable[[Sandbox], None], int]]:
    found: dict[str, tuple[Callable[[Sandbox], None], int]] = {
        "empty frame": (frame, TURN),
        "`true` in the shell": (shell, TURN),
        "`docker exec true`, SDK": (exec_sdk, TURN_OF_EXEC),
    }
    if shutil.which("docker"):
        found["`docker exec true`, CLI"] = (exec_cli, TURN_OF_EXEC)
    return found


def measure(sandbox: Sandbox, call: Callable[[Sandbox], None], times: int) -> list[float]:
    """Milliseconds of each of so many calls in a row."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call(sandbox)
        taken.append(1000 * (time.perf_counter() - start))
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    count = parser.parse_args().count
    settings = Settings()
    engine = find_engine(settings)
    spec, _ = build_spec(engine, load_task(settings, "slow_nbody"), settings, print)
    taken: dict[str, list[float]] = {name: [] for name in ways()}
    fleet = Fleet(engine, "round-trip")
    with (
        fleet.open(spec, "toolserver", role="agent", cpuset=all_cpus(engine)) as sandbox,
        ThreadPoolExecutor(1) as pool,  # as an episode, which is not played by the main thread
    ):
        for _ in range(0, count, TURN):
            for name, (call, times) in ways().items():
                taken[name] += pool.submit(measure, sandbox, call, times).result()
    print(f"engine {engine.facts.version}, {engine.facts.ncpu} CPUs, kernel {engine.facts.kernel}")
    print(f"{'milliseconds':26} {'p50':>8} {'p90':>8} {'p99':>8} {'n':>6}")
    for name, values in taken.items():
        p50, p90, p99 = np.percentile(values, [50, 90, 99])
        print(f"{name:26} {p50:8.2f} {p90:8.2f} {p99:8.2f} {len(values):6}")
    missed = [name for name, bound in BOUNDS_MS.items() if np.median(taken[name]) > bound]
    for name in BOUNDS_MS:
        print(f"{'FAIL' if name in missed else 'PASS'}  {name}: p50 at most {BOUNDS_MS[name]:g} ms")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
