"""What the commands have in common: from settings and flags to a task, an engine, an image and a spec."""

import platform
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import runner
from runner.clock import Clock
from runner.faults import UsageFault
from runner.grading.calibration.certificates import check_noise, find_certificate
from runner.grading.calibration.fingerprint import fingerprint
from runner.grading.context import GradingContext
from runner.grading.verdict import EDITION
from runner.records.grading import GradingStep, Rules
from runner.records.run import GradingConfig
from runner.sandbox.engine import Engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.image import Image, resolve_image
from runner.sandbox.lock import all_cpus
from runner.sandbox.spec import SandboxSpec, clean_environment
from runner.settings import Settings, project_folder
from runner.tasks.problem import load_problem
from runner.tasks.task import Task, find_task


def load_task(settings: Settings, name_or_path: str) -> Task:
    """The task by name or path.

    Raises:
        TaskFault: there is none, or it is broken.
    """
    return find_task(name_or_path, settings.tasks or project_folder() / "problem_data")


def build_spec(engine: Engine, task: Task, settings: Settings, say: Callable[[str], None]) -> tuple[SandboxSpec, Image]:
    """The one spec of all of a task's sandboxes; builds the image on first use.

    Raises:
        ImageFault: it cannot be found or built.
    """
    file = task.file
    image = resolve_image(engine, file.image.name, settings, file.image.python, say)
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
        runtime=settings.runtime,
    )
    return spec, image


def build_rules(
    engine: Engine, task: Task, scale: str, image: Image, config: GradingConfig, attempts: int = 1
) -> Rules:
    """What submissions are held to.

    Raises:
        InfrastructureFault: the host is noisier than `--max-noise` allows, or was never measured.
    """
    file = task.file
    certificate, reason = find_certificate(asdict(fingerprint(engine, task, scale, image.id)))
    if config.max_noise is not None:
        check_noise(certificate, reason, config.max_noise)
    return Rules(
        target=task.target(scale),
        confidence=file.target.confidence,
        quality=file.quality.name,
        tolerance=task.tolerance(scale),
        minimum=file.quality.minimum,
        rounds_max=config.rounds_max or file.grading.rounds,
        seconds_max=file.grading.seconds,
        equivalence=config.equivalence,
        strict=config.strict,
        attempts=attempts,
        certificate=certificate,
        no_certificate=reason,
        edition=EDITION,
        data_sets=task.data_sets(scale),
    )


def build_context(
    fleet: Fleet,
    task: Task,
    scale: str,
    spec: SandboxSpec,
    rules: Rules,
    clock: Clock,
    report_step: Callable[[GradingStep], None],
) -> GradingContext:
    """Where submissions of a task are graded; its measuring CPU is set when the slot is held.

    Raises:
        TaskFault: problem.py cannot be run.
    """
    return GradingContext(
        fleet=fleet,
        task=task,
        problem=load_problem(task),
        scale=scale,
        spec=spec,
        measure_cpu="",
        warmup_cpus=all_cpus(fleet.engine),
        memory_bytes=fleet.engine.facts.memory_bytes,
        rules=rules,
        clock=clock,
        report_step=report_step,
    )


def lock_record(engine: Engine, task: Task, image: Image) -> dict[str, Any]:
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
        UsageFault: it is not a regular file, or too large.
    """
    if not path.is_file():
        raise UsageFault(cause=f"{path} is not a file", hint="name the file to grade")
    if path.stat().st_size > bytes_max:
        raise UsageFault(
            cause=f"{path} has {path.stat().st_size} bytes, the task allows {bytes_max}", hint="submit a smaller file"
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageFault(cause=f"{path} cannot be read: {error.strerror}", hint="give read permission") from error
