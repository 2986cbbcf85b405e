"""What the commands have in common: from settings and flags to a task, an engine, an image and a spec."""

import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import runner
from runner.agents.oracle import make_noop, make_oracle
from runner.agents.protocol import MakeAgent
from runner.agents.scripted import make_scripted
from runner.faults import UsageFault
from runner.sandbox.engine import Engine
from runner.sandbox.image import Image, resolve_image
from runner.sandbox.spec import SandboxSpec, clean_environment
from runner.settings import Settings, project_folder
from runner.task import Task, find_task

AGENTS: dict[str, MakeAgent] = {"scripted": make_scripted, "oracle": make_oracle, "noop": make_noop}
DEFAULT_TASK = "slow_ml_training_complex"


def the_task(settings: Settings, name_or_path: str) -> Task:
    """The task by name or path.

    Raises:
        TaskFault: there is none, or it is broken.
    """
    return find_task(name_or_path, settings.tasks or project_folder() / "problem_data")


def the_agent(name: str) -> MakeAgent:
    """The maker of an agent.

    Raises:
        UsageFault: there is none of that name.
    """
    if name not in AGENTS:
        raise UsageFault(cause=f"no agent {name!r}", mend=f"choose one of: {', '.join(AGENTS)}")
    return AGENTS[name]


def the_spec(engine: Engine, task: Task, runtime: str, say: Callable[[str], None]) -> tuple[SandboxSpec, Image]:
    """The one spec of all of a task's sandboxes; builds the image on first use.

    Raises:
        ImageFault: it cannot be found or built.
    """
    file = task.file
    image = resolve_image(engine, file.image.name, file.image.python, say)
    environment, unset = clean_environment(image.env, file.image.env)
    spec = SandboxSpec(
        image_id=image.id,
        python=image.python,
        environment=environment,
        unset=unset,
        memory_bytes=file.limits.memory,
        cpus=file.limits.cpus,
        pids=file.limits.pids,
        workspace_bytes=file.limits.workspace,
        tmp_bytes=file.limits.tmp,
        runtime=runtime,
    )
    return spec, image


def the_lock(engine: Engine, task: Task, image: Image) -> dict[str, Any]:
    """What a job ran with, so that another can run with the same."""
    facts = engine.facts
    return {
        "runner": runner.__version__,
        "python": platform.python_version(),
        "host": {"system": platform.system(), "machine": platform.machine()},
        "engine": {
            "version": facts.version,
            "kernel": facts.kernel,
            "cgroup": facts.cgroup_version,
            "cpus": facts.ncpu,
        },
        "image": {"reference": image.reference, "id": image.id},
        "task": {"name": task.name, "version": task.file.task.version, "sha256": task.digest},
    }


def read_submission(path: Path, bytes_max: int) -> bytes:
    """A file that a user wants graded, as bytes; it is never run here.

    Raises:
        UsageFault: it is no regular file, or too large.
    """
    if not path.is_file():
        raise UsageFault(cause=f"{path} is no file", mend="name the file to grade")
    if path.stat().st_size > bytes_max:
        raise UsageFault(
            cause=f"{path} has {path.stat().st_size} bytes, the task allows {bytes_max}", mend="hand in a smaller file"
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageFault(cause=f"{path} cannot be read: {error.strerror}", mend="give read permission") from error
