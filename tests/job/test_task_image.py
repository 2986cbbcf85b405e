"""What `[image]` of a task.toml says holds in its containers: the interpreter, and the environment."""

import re
from pathlib import Path

import pytest

from runner.faults import EngineFault, ImageFault
from runner.job.setup import build_spec
from runner.sandbox.engine import find_engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.lock import all_cpus
from runner.settings import Settings
from runner.tasks.starter import write_starter
from runner.tasks.task import Task, read_task
from tests.fakes.docker_engine import FakeEngine
from tests.sandbox.hands import Hands


def task_with(folder: Path, image: str) -> Task:
    """A new task with these lines in its [image]."""
    write_starter(folder, "python")
    toml = folder / "task.toml"
    toml.write_text(toml.read_text().replace("[image]\n", f"[image]\n{image}\n", 1))
    return read_task(folder)


def test_interpreter_and_environment_are_those_that_the_task_names(
    fleet: Fleet, nbody_spec: object, tmp_path: Path
) -> None:
    task = task_with(tmp_path / "task", 'python = "/usr/bin/python3"\nenv = { THREADS = "1", GREETING = "a b" }')
    spec, _ = build_spec(fleet.engine, task, Settings(), print)
    with fleet.open(spec, "toolserver", role="agent", cpuset=all_cpus(fleet.engine)) as sandbox:
        said = Hands(sandbox).bash('echo "$THREADS,$GREETING"; tr "\\\\0" " " < /proc/1/cmdline')
    assert "1,a b" in said and "/usr/bin/python3" in said


def test_an_interpreter_that_is_not_there_is_refused_before_anything_starts(
    fleet: Fleet, nbody_spec: object, tmp_path: Path
) -> None:
    task = task_with(tmp_path / "task", 'python = "/opt/none/python3"')
    with pytest.raises(ImageFault, match=r"/opt/none/python3 of image .* is not a Python"):
        build_spec(fleet.engine, task, Settings(), print)


@pytest.mark.parametrize(
    ("limit", "words"),
    [('memory = "64GiB"', "limits.memory is 68719476736"), ("cpus = 99999.0", "limits.cpus is 99999.0")],
)
def test_a_limit_above_the_hosts_ends_a_job_before_its_image_is_looked_for(
    tmp_path: Path, limit: str, words: str
) -> None:
    task = task_with(tmp_path / "task", "")
    toml = tmp_path / "task" / "task.toml"
    toml.write_text(re.sub(r"^\[limits\]\n(memory.*\n)?", f"[limits]\n{limit}\n", toml.read_text(), flags=re.M))
    task = read_task(tmp_path / "task")
    with FakeEngine(tmp_path / "docker.sock") as fake, pytest.raises(EngineFault, match=words):
        build_spec(find_engine(Settings(docker_host=fake.url)), task, Settings(), print)
    assert fake.calls <= 3, "nothing but what the engine says of itself"
