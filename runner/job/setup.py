"""What the commands have in common: from settings and flags to a task, an engine, an image and a spec."""

import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast, get_args

import runner
from runner.clock import Clock
from runner.faults import UsageFault
from runner.grading.calibration.certificates import find_certificate, require_quiet
from runner.grading.calibration.fingerprint import fingerprint
from runner.grading.context import GradingContext
from runner.records.grading import Equivalence, Rules
from runner.sandbox.engine import Engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.image import Image, resolve_image
from runner.sandbox.lock import all_cpus
from runner.sandbox.spec import SandboxSpec, clean_environment
from runner.settings import DEFAULT_TASK as DEFAULT_TASK
from runner.settings import Settings, project_folder
from runner.tasks.problem import load_problem
from runner.tasks.task import Task, find_task


def load_task(settings: Settings, name_or_path: str) -> Task:
    """The task by name or path.

    Raises:
        TaskFault: there is none, or it is broken.
    """
    return find_task(name_or_path, settings.tasks or project_folder() / "problem_data")


def build_spec(engine: Engine, task: Task, runtime: str, say: Callable[[str], None]) -> tuple[SandboxSpec, Image]:
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


@dataclass(frozen=True, slots=True)
class GradingOptions:
    """The flags that all commands which grade have in common; None leaves it to the task.

    Attributes:
        strict: equivalence is enforced, and every warning fails.
        require_quiet: refuse a host whose certificate says that a round's ratio varies by more percent than this.
    """

    rounds_max: int | None = None
    equivalence: str | None = None
    strict: bool = False
    require_quiet: float | None = None


def check_grading(options: GradingOptions) -> None:
    """Whether the flags make sense.

    Raises:
        UsageFault: one does not.
    """
    if options.rounds_max is not None and options.rounds_max < 1:
        raise UsageFault(cause=f"--max-rounds {options.rounds_max}", hint="allow at least one round; 12 is the default")
    if options.equivalence not in (None, *get_args(Equivalence)):
        raise UsageFault(
            cause=f"--equivalence {options.equivalence}", hint=f"choose one of: {', '.join(get_args(Equivalence))}"
        )


def build_rules(
    engine: Engine, task: Task, scale: str, image: Image, options: GradingOptions, attempts: int = 1
) -> Rules:
    """What submissions are held to.

    Raises:
        UsageFault: a flag is wrong.
        InfrastructureFault: the host is noisier than `--require-quiet` allows, or nobody has measured it.
    """
    file = task.file
    check_grading(options)
    certificate, why_not = find_certificate(asdict(fingerprint(engine, task, scale, image.id)))
    if options.require_quiet is not None:
        require_quiet(certificate, why_not, options.require_quiet)
    return Rules(
        target=task.target(scale),
        confidence=file.target.confidence,
        quality=file.quality.name,
        tolerance=task.tolerance(scale),
        minimum=file.quality.minimum,
        rounds_max=options.rounds_max or file.grading.rounds,
        seconds_max=file.grading.seconds,
        equivalence=cast(Equivalence, options.equivalence or file.grading.equivalence),
        strict=options.strict,
        attempts=attempts,
        certificate=certificate,
        no_certificate=why_not,
    )


def build_context(
    fleet: Fleet, task: Task, scale: str, spec: SandboxSpec, rules: Rules, clock: Clock, say: Callable[[str], None]
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
        report_step=say,
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
        UsageFault: it is no regular file, or too large.
    """
    if not path.is_file():
        raise UsageFault(cause=f"{path} is no file", hint="name the file to grade")
    if path.stat().st_size > bytes_max:
        raise UsageFault(
            cause=f"{path} has {path.stat().st_size} bytes, the task allows {bytes_max}", hint="hand in a smaller file"
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageFault(cause=f"{path} cannot be read: {error.strerror}", hint="give read permission") from error
