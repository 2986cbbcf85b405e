"""What the commands have in common: from settings and flags to a task, an engine, an image and a spec."""

import math
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import runner
from runner.budget.clock import Clock
from runner.episode.workspace import Arrays, workspace_files
from runner.faults import StoreFault, TaskFault, UsageFault
from runner.grading.calibration.automatic import automatic_certificate, is_automatic, is_quiet
from runner.grading.calibration.certificates import (
    check_noise,
    discard_certificate,
    find_certificate,
    misfit_reason,
    write_certificate,
)
from runner.grading.calibration.fingerprint import fingerprint
from runner.grading.context import GradingContext
from runner.grading.verdict import EDITION
from runner.records.bundle import pack_files
from runner.records.episode import Limits
from runner.records.grading import GradingPhase, GradingStep, Rules, Sample
from runner.records.run import GradingConfig
from runner.records.untrusted_json import InvalidJson, parse_object
from runner.sandbox.engine import Engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.host_checks import check_engine, check_limits
from runner.sandbox.image import Image, resolve_image
from runner.sandbox.lock import all_cpus
from runner.sandbox.spec import SandboxSpec
from runner.sandbox.workspace import Files
from runner.settings import Settings, data_folder
from runner.tasks.kinds import call_of, cases_of, files_of
from runner.tasks.problem import Case, Problem, generate, load_problem
from runner.tasks.schema import SubmissionSection
from runner.tasks.task import Task, find_task, submission_at

IMPORTED = "imported.json"  # what `runner import` keeps of where a task came from
IMPORTED_BYTES_MAX = 1024 * 1024  # chosen


def load_task(settings: Settings, name_or_path: str) -> Task:
    """The task by name or path.

    Raises:
        TaskFault: there is none, or it is broken.
    """
    return find_task(name_or_path, tasks_folder(settings))


def tasks_folder(settings: Settings) -> Path:
    """Where tasks are found by their names."""
    return settings.tasks or data_folder("problem_data")


def build_spec(engine: Engine, task: Task, settings: Settings, say: Callable[[str], None]) -> tuple[SandboxSpec, Image]:
    """The one spec of all of a task's sandboxes; builds the image on first use.

    Raises:
        ImageFault: it cannot be found or built.
        SandboxMismatch: the engine lacks a wall, and the user did not go on without.
        EngineFault: it has no such runtime, or its machine less than a limit of the task's.
        UsageFault: there is no such wall.
    """
    file = task.file
    unenforced = check_engine(engine.facts, settings)
    check_limits(engine.facts, file.limits.memory, file.limits.cpus, file.limits.pids)
    image = resolve_image(engine, file.image.name, settings, file.image.python, say, file.image.env)
    spec = SandboxSpec(
        **image.basis(file.image.env),
        memory_bytes=file.limits.memory,
        cpus=file.limits.cpus,
        pids=file.limits.pids,
        workspace_bytes=file.limits.workspace,
        tmp_bytes=file.limits.tmp,
        runtime=settings.runtime,
        unenforced=unenforced,
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
    host = asdict(fingerprint(engine, task, scale, image.id))
    certificate, reason = find_certificate(host, automatic=config.calibrate)
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
        repetitions=task.repetitions(scale),
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


def with_learning(context: GradingContext, image: Image, config: GradingConfig) -> GradingContext:
    """The same context, which certifies its host by what it measures: once, in a quiet moment, and unless told not to.

    A certificate that a grading made by itself and that a quiet moment contradicts was made in a busier one: it is
    discarded, and this moment makes another, or the next one that has enough rounds for it.
    """
    if not config.calibrate:
        return context
    task, scale, engine = context.task, context.scale, context.fleet.engine

    def say(text: str) -> None:
        context.report_step(GradingStep(GradingPhase.NOTE, text))

    def learn(samples: Sequence[Sample]) -> None:
        if not is_quiet(samples):
            return
        host, made = asdict(fingerprint(engine, task, scale, image.id)), datetime.now(UTC)
        known = find_certificate(host)[0]
        logs = [math.log(sample.seconds) for sample in samples if sample.side == "sentinel"]
        misfit = misfit_reason(known, logs) if known is not None and is_automatic(known) else None
        if known is not None and misfit is None:
            return
        certificate = automatic_certificate(samples, f"{task.name}-{scale}-{made:%Y%m%d%H%M}")
        try:
            if known is not None:
                discard_certificate(host)
                say(f"the certificate {known.id}, which a grading made by itself, is discarded: {misfit}")
            if certificate is not None:
                content = {"made": made.isoformat(), "automatic": True, "certificate": asdict(certificate)}
                write_certificate(host, content)
                say(f"this host is certified by what was measured: {certificate.id}")
        except StoreFault as fault:
            say(f"what was learnt of this host's noise is lost: {fault.cause}")

    return replace(context, learn_noise=learn)


def lock_record(engine: Engine, task: Task, image: Image, bill: Mapping[str, Any]) -> dict[str, Any]:
    """What a job ran with, so that another can run with the same.

    Args:
        bill: of the image's materials (CycloneDX).
    """
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
        "image": {"reference": image.reference, "id": image.id, "sbom": dict(bill)},
        "task": {"name": task.name, "version": task.file.task.version, "sha256": task.digest, **_imported(task)},
    }


def _imported(task: Task) -> dict[str, Any]:
    """Where an imported task came from, and which images stood for which; nothing of others."""
    path = task.folder / IMPORTED
    if task.kind != "tests" or not path.is_file():
        return {}
    try:
        return {"imported": parse_object(path.read_bytes()[: IMPORTED_BYTES_MAX + 1])}
    except InvalidJson as error:
        raise TaskFault(cause=f"{path} is broken: {error}", hint="import the task again") from error


def limits_of(task: Task) -> Limits:
    """What each episode of a task may use, unless it is told otherwise."""
    section = task.file.episode
    return Limits(
        turns=section.turns,
        output_tokens=section.output_tokens,
        tokens=section.tokens,
        dollars=section.dollars,
        wall_s=section.wall_s,
        working_s=section.working_s,
    )


def sample_of(problem: Problem, task: Task, seed: int | None = None) -> Arrays | None:
    """The data that agents find in their workspace, labels included; None where the task gives none.

    Args:
        seed: another than the task's own, which is public.

    Raises:
        UsageFault: a seed for a task without sample data.
    """
    section = task.file.workspace.sample
    if section is None:
        if seed is not None:
            raise UsageFault(cause=f"task {task.name} gives no sample data for a seed", hint="leave the seed out")
        return None
    case = generate(problem, task, section.scale, section.seed if seed is None else seed)
    return sample_arrays(task, case)


def sample_arrays(task: Task, case: Case) -> Arrays:
    """A data set as the agent finds it; that of the first call where a sample has several."""
    shown = case if task.file.call.repeat == 1 else call_of(case, 0)
    return {**shown.inputs, **{f"hidden_{name}": array for name, array in shown.hidden.items()}}


def _read_folder(path: Path, section: SubmissionSection) -> bytes:
    _check_regular(path, list(path.rglob("*")), section)
    try:
        return submission_at(path) or b""
    except OSError as error:
        raise UsageFault(cause=f"{path} cannot be read: {error.strerror}", hint="give read permission") from error


def _check_regular(path: Path, below: Sequence[Path], section: SubmissionSection) -> None:
    odd = [found for found in below if found.is_symlink() or not (found.is_file() or found.is_dir())]
    if odd:
        raise UsageFault(cause=f"{odd[0]} is a link or a special file", hint="submit regular files alone")
    sizes = [found.stat().st_size for found in below if found.is_file()]
    if not sizes or len(sizes) > section.max_files or sum(sizes) > section.max_bytes:
        allowed = f"{section.max_files} files with {section.max_bytes} bytes"
        raise UsageFault(cause=f"{path} has {len(sizes)} files with {sum(sizes)} bytes, the task allows {allowed}",
                         hint="submit a smaller folder, with at least one file")  # fmt: skip


def agent_files(problem: Problem, task: Task, scale: str, seed: int | None = None) -> Files:
    """(path, bytes) of everything that an agent finds in its workspace.

    Args:
        seed: of the sample data, another than the task's own, which is public.

    Raises:
        UsageFault: a seed for a task without sample data, or with one data set that is to be answered.
    """
    if task.kind == "python":
        return tuple(workspace_files(task, sample_of(problem, task, seed)))
    if task.kind == "tests":
        if seed is not None:
            raise UsageFault(cause=f"task {task.name} has no data that come from a seed", hint="leave the seed out")
        return tuple(workspace_files(task, None))
    if task.kind == "program":
        return (*workspace_files(task, None), *_sample_cases(problem, task, seed))
    if seed is not None:
        raise UsageFault(cause=f"task {task.name} is one data set, of its own seed", hint="leave the seed out")
    question = files_of(generate(problem, task, scale, task.file.call.seed))
    return (*workspace_files(task, None), *question.items())


def _sample_cases(problem: Problem, task: Task, seed: int | None) -> Files:
    """Cases to try a program on, each with what is right: `NN.in` and `NN.out` in the folder that the task names."""
    section = task.file.workspace.sample
    if section is None:
        if seed is not None:
            raise UsageFault(cause=f"task {task.name} gives no sample data for a seed", hint="leave the seed out")
        return ()
    cases = cases_of(generate(problem, task, section.scale, section.seed if seed is None else seed))
    named = {"in": cases.stdin, "out": cases.expected}
    return [
        (f"{section.file}/{number:02}.{ending}", content)
        for ending, contents in named.items()
        for number, content in enumerate(contents, 1)
    ]


def read_work(folder: Path, task: Task) -> bytes:
    """What of a folder that looks like a workspace is the work that a task's script tests, as bytes; it is never run here.

    Raises:
        UsageFault: the task has several steps, or it holds something other than files, or too many.
    """
    if len(task.steps) > 1:
        raise UsageFault(
            cause=f"task {task.name} has {len(task.steps)} steps, and {folder} is one folder",
            hint="grade what a job kept of a run",
        )
    section, paths = task.file.submission, task.steps[0].collect
    mine = [
        found
        for found in sorted(folder.rglob("*"))
        if any(path == "." or found.relative_to(folder).is_relative_to(path) for path in paths)
    ]
    _check_regular(folder, mine, section)
    try:
        return pack_files(
            (found.relative_to(folder).as_posix(), found.read_bytes(), bool(found.stat().st_mode & 0o100))
            for found in mine
            if found.is_file()
        )
    except OSError as error:
        raise UsageFault(cause=f"{folder} cannot be read: {error.strerror}", hint="give read permission") from error


def read_submission(path: Path, task: Task) -> bytes:
    """A file, or a folder where the task asks for one, that a user wants graded, as bytes; it is never run here.

    Raises:
        UsageFault: it is not a regular file, or too large; a folder holds something other than files.
    """
    section, bytes_max = task.file.submission, task.submission_bytes_max
    if section.folder and path.is_dir():
        return read_work(path, task) if task.kind == "tests" else _read_folder(path, section)
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
