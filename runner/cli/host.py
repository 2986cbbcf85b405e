"""`python -m runner host`: make this machine a host of a cluster of Ray's, once it is fit for it."""

import platform
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from runner.cli.exit_codes import INFRASTRUCTURE, OK
from runner.cli.options import HostOptions
from runner.cli.signals import interrupt_on_sigterm
from runner.faults import InfrastructureFault, UsageFault
from runner.grading.calibration.certificates import find_certificate
from runner.grading.calibration.fingerprint import fingerprint
from runner.hosts.ray_cluster import check_address, import_ray, is_on_loopback, join_command
from runner.job.calibration import measure_certificate
from runner.job.setup import build_spec, load_task
from runner.report.progress import Progress
from runner.sandbox.engine import Engine
from runner.sandbox.host_checks import examine
from runner.sandbox.image_store import load_images
from runner.sandbox.lock import measurement_cpu
from runner.settings import Settings, environment_of_ray_node, inherited_environment
from runner.tasks.task import Task

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")  # what a label of Ray's may be


def host(settings: Settings, options: HostOptions) -> int:
    """Check the host, bring the image, certify it, and join until stopped; returns the exit status.

    Raises:
        Fault: it is not fit, or the cluster cannot be joined.
    """
    name = options.name or platform.node()
    if not NAME.fullmatch(name):
        raise UsageFault(cause=f"--name {name!r} cannot be a host's", hint="use letters, digits, `-`, `_` and `.`")
    task = load_task(settings, options.task.task)
    task.scale(options.task.scale)
    if not options.dry_run:
        import_ray(loopback=is_on_loopback(options.address))
        check_address(options.address, settings.ray_auth_mode)
    with Progress(quiet=options.show.quiet) as progress:
        engine = _fit_engine(settings)
        if options.image_archive is not None:
            progress.say(f"loaded {', '.join(load_images(engine, options.image_archive))}")
        _, image = build_spec(engine, task, settings, progress.say)
        certificate = _certificate(engine, settings, task, image.id, options, progress)
    has = {"anthropic": settings.has_credentials, "openai": settings.has_openai_credentials}
    keys = [vendor for vendor, there in has.items() if there]
    print(f"host {name}: engine {engine.facts.version}, image {image.reference} ({image.id[:19]}), {certificate}")
    print(f"models of: {', '.join(keys) or 'none, since there are no credentials'}", flush=True)
    if options.dry_run:
        return OK
    return _join(engine, join_command(options.address, name, keys, is_on_loopback(options.address)), settings)


def _fit_engine(settings: Settings) -> Engine:
    checks, engine = examine(settings)
    faults = [check for check in checks if check.mark == "fault"]
    if engine is None or faults:
        first = faults[0]
        raise InfrastructureFault(cause=f"this host is not fit: {first.name}: {first.seen}", hint=first.hint)
    return engine


def _certificate(
    engine: Engine, settings: Settings, task: Task, image_id: str, options: HostOptions, progress: Progress
) -> str:
    """Find or make the certificate for the task; what it is, in words."""
    scale = options.task.scale
    found, why = find_certificate(asdict(fingerprint(engine, task, scale, image_id)))
    if found is not None:
        return f"certificate {found.id}"
    if options.no_calibrate or task.oracle is None:
        return f"no certificate ({why}): the first quiet grading makes one"
    progress.say(f"no certificate ({why}): measuring this host with {options.rounds} rounds")
    with interrupt_on_sigterm():
        made = measure_certificate(engine, settings, task, scale, options.rounds, progress.say, progress.grading)
    return f"certificate {made.name}"


def _join(engine: Engine, command: list[str], settings: Settings) -> int:
    """Run Ray's node in the foreground, off the CPU that is measured on where there are others.

    What this command was told of its sandboxes by a flag is told to the shares, which read the environment alone.
    """
    told = {"RUNNER_RUNTIME": settings.runtime, "RUNNER_ALLOW_UNENFORCED": settings.allow_unenforced}
    kept = [str(cpu) for cpu in range(engine.facts.ncpu) if str(cpu) != measurement_cpu(engine)]
    if kept and sys.platform == "linux" and engine.url.startswith("unix://"):
        command = ["taskset", "-c", ",".join(kept), *command]
    own = {name: value for name, value in told.items() if value}
    process = subprocess.Popen(command, env={**environment_of_ray_node(), **own, "PYTHONPATH": _path()})
    try:
        with interrupt_on_sigterm():
            status = process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        return OK
    if status:
        raise InfrastructureFault(
            cause=f"Ray's node ended with status {status}; its own lines are above",
            hint="the same versions of ray and Python must be on all machines, to the patch",
        )
    return OK if status == 0 else INFRASTRUCTURE


def _path() -> str:
    """Where this program's package lies, for Ray's workers, before what PYTHONPATH says."""
    import runner

    said = inherited_environment().get("PYTHONPATH", "")
    return ":".join(filter(None, (str(Path(runner.__file__).resolve().parents[1]), said)))
