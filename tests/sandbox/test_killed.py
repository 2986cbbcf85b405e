"""A runner that is killed leaves nothing behind that runs: its end closes the streams, and every PID 1 ends with its stdin.

What the engine was making just then was never started and never is: it goes with the next job, or by `runner clean`.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.sandbox.engine import Engine
from runner.sandbox.leftovers import sweep
from runner.sandbox.lock import lock_name
from tests.conftest import Cli, containers_of, wait_until

GONE_S = 5.0


@pytest.fixture
def sleepy_task(make_task: Callable[..., Path]) -> Path:
    """slow_nbody where run 1 submits at once and the others sleep."""
    return make_task("cp slow_nbody.py optimized_nbody.py", "sleep 60", "sleep 60", "sleep 60", submits=[1])


def kill_and_look(process, engine: Engine, job: str, measured_on: str = "") -> None:  # type: ignore[no-untyped-def]
    """Kill the job: its containers go, and the slot of the CPU that it measured on, where it did."""
    process.kill()
    process.wait()
    wait_until(lambda: all(entry["State"] == "created" for entry in left_of(engine, job)), GONE_S)
    sweep(engine)
    assert left_of(engine, job) == []
    if measured_on:
        slot = f"^/{lock_name(measured_on)}$"
        wait_until(lambda: engine.client.api.containers(all=True, filters={"name": slot}) == [], GONE_S)


def left_of(engine: Engine, job: str) -> list[dict[str, str]]:
    return list(engine.client.api.containers(all=True, filters={"label": f"runner.job={job}"}))


def test_killed_during_an_episode(start_ungraded: Cli, engine: Engine, sleepy_task: Path, tmp_path: Path) -> None:
    process = start_ungraded(
        *(
            "--task",
            str(sleepy_task),
            "--scale",
            "small",
            "--runs",
            "2",
            "--concurrency",
            "2",
            "--name",
            "killed-episode",
        ),
        *("--output", str(tmp_path)),
    )
    job = "killed-episode"
    wait_until(lambda: containers_of(engine, job) == ["agent"] and "sleep 60" in running(engine, job))
    kill_and_look(process, engine, "killed-episode")


def test_killed_while_a_candidate_is_measured(
    start: Cli, engine: Engine, measuring_cpu: str, project: Path, tmp_path: Path
) -> None:
    task = tmp_path / "quality_alone"  # without a target, nothing stops a sample that takes long
    shutil.copytree(project / "problem_data" / "slow_nbody", task)
    text = re.sub(r"(?m)^(target|speedup) = .*$", "", (task / "task.toml").read_text())
    (task / "task.toml").write_text(text.replace("tolerance = 0.01", "minimum = 0.9"))
    busy = tmp_path / "optimized_nbody.py"
    busy.write_text("def simulate(**given):\n    while True:\n        pass\n")
    process = start("grade", str(busy), "--task", str(task), "--scale", "small", "--quiet")
    wait_until(lambda: busy_for(engine, "grade", "candidate") > 0.3)
    kill_and_look(process, engine, "grade", measuring_cpu)


def test_killed_while_other_episodes_stand_frozen(
    start: Cli, engine: Engine, measuring_cpu: str, sleepy_task: Path, tmp_path: Path
) -> None:
    job = "killed-frozen"
    process = start(
        *("--task", str(sleepy_task), "--scale", "full", "--runs", "4", "--concurrency", "4", "--grade-after", "0"),
        *("--name", job, "--output", str(tmp_path), "--quiet"),
    )

    def frozen_and_measuring() -> bool:
        roles = containers_of(engine, job)
        return roles.count("agent") == 3 and "baseline" in roles and states(engine, job).count("T") >= 3

    wait_until(frozen_and_measuring, 120.0)
    kill_and_look(process, engine, job, measuring_cpu)


# What the engine's own list of processes shows


def processes(engine: Engine, job: str, role: str | None = None) -> list[dict[str, str]]:
    labels = [f"runner.job={job}", "runner.role" if role is None else f"runner.role={role}"]
    found = []
    for entry in engine.client.api.containers(filters={"label": labels}):
        try:
            top = engine.client.api.top(entry["Id"], "-eo pid,stat,time,args")
        except Exception:  # it may end while we look
            continue
        found += [dict(zip(top["Titles"], line, strict=False)) for line in top["Processes"] or []]
    return found


def running(engine: Engine, job: str) -> str:
    return " ".join(entry["COMMAND"] for entry in processes(engine, job))


def states(engine: Engine, job: str) -> list[str]:
    return [entry["STAT"][0] for entry in processes(engine, job, "agent")]


def busy_for(engine: Engine, job: str, role: str) -> float:
    """Most CPU seconds that a process of a job's role has used."""
    times = [entry["TIME"].split(":") for entry in processes(engine, job, role)]
    return max((60 * float(minutes) + float(seconds) for _, minutes, seconds in times), default=0.0)
