"""A runner that is killed leaves nothing behind: its end closes the streams, and every PID 1 ends with its stdin."""

import re
import shutil
from pathlib import Path

import pytest

from runner.sandbox.engine import Engine
from tests.conftest import Cli, containers_of, wait_until

GONE_S = 5.0


def turn(command: str) -> str:
    return f'[[turns]]\n[[turns.calls]]\ntool = "bash"\ninput = {{ command = "{command}" }}\n'


@pytest.fixture
def sleepy_task(project: Path, tmp_path: Path) -> Path:
    """slow_nbody where run 1 submits at once and the others sleep."""
    folder = tmp_path / "sleepy"
    shutil.copytree(project / "problem_data" / "slow_nbody", folder)
    for path in (folder / "episodes").glob("*.toml"):
        path.unlink()
    (folder / "episodes" / "01.toml").write_text(
        turn("cp slow_nbody.py optimized_nbody.py")
        + '[[turns.calls]]\ntool = "submit"\ninput = { path = "optimized_nbody.py" }\n'
    )
    for number in (2, 3, 4):
        (folder / "episodes" / f"0{number}.toml").write_text(turn("sleep 60"))
    return folder


def kill_and_look(process, engine: Engine, job: str) -> None:  # type: ignore[no-untyped-def]
    process.kill()
    process.wait()
    wait_until(lambda: containers_of(engine, job) == [], GONE_S)
    wait_until(lambda: engine.client.api.containers(all=True, filters={"label": "runner=slot"}) == [], GONE_S)


def test_killed_during_an_episode(start: Cli, engine: Engine, sleepy_task: Path, tmp_path: Path) -> None:
    process = start(
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
    wait_until(lambda: containers_of(engine, "killed-episode") == ["agent"] and "sleep 60" in running(engine))
    kill_and_look(process, engine, "killed-episode")


def test_killed_while_a_candidate_is_measured(start: Cli, engine: Engine, project: Path, tmp_path: Path) -> None:
    task = tmp_path / "quality_alone"  # without a target, nothing stops a sample that takes long
    shutil.copytree(project / "problem_data" / "slow_nbody", task)
    text = re.sub(r"(?m)^(target|speedup) = .*$", "", (task / "task.toml").read_text())
    (task / "task.toml").write_text(text.replace("tolerance = 0.01", "minimum = 0.9"))
    busy = tmp_path / "optimized_nbody.py"
    busy.write_text("def simulate(**given):\n    while True:\n        pass\n")
    process = start("grade", str(busy), "--task", str(task), "--scale", "small", "--quiet")
    wait_until(lambda: busy_for(engine, "candidate") > 0.3)
    kill_and_look(process, engine, "grade")


def test_killed_while_other_episodes_stand_frozen(
    start: Cli, engine: Engine, sleepy_task: Path, tmp_path: Path
) -> None:
    process = start(
        *("--task", str(sleepy_task), "--scale", "full", "--runs", "4", "--concurrency", "4", "--grade-after", "0"),
        *("--name", "killed-frozen", "--output", str(tmp_path), "--quiet"),
    )

    def frozen_and_measuring() -> bool:
        roles = containers_of(engine, "killed-frozen")
        return roles.count("agent") == 3 and "baseline" in roles and states(engine).count("T") >= 3

    wait_until(frozen_and_measuring, 120.0)
    kill_and_look(process, engine, "killed-frozen")


# What the engine's own list of processes shows


def processes(engine: Engine, role: str | None = None) -> list[dict[str, str]]:
    label = "runner.role" if role is None else f"runner.role={role}"
    found = []
    for entry in engine.client.api.containers(filters={"label": label}):
        try:
            top = engine.client.api.top(entry["Id"], "-eo pid,stat,time,args")
        except Exception:  # it may end while we look
            continue
        found += [dict(zip(top["Titles"], line, strict=False)) for line in top["Processes"] or []]
    return found


def running(engine: Engine) -> str:
    return " ".join(entry["COMMAND"] for entry in processes(engine))


def states(engine: Engine) -> list[str]:
    return [entry["STAT"][0] for entry in processes(engine, "agent")]


def busy_for(engine: Engine, role: str) -> float:
    """Most CPU seconds that a process of a role has used."""
    times = [entry["TIME"].split(":") for entry in processes(engine, role)]
    return max((60 * float(minutes) + float(seconds) for _, minutes, seconds in times), default=0.0)
