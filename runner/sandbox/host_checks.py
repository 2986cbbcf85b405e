"""What must be right on a host before a job: each check says what it saw, and how to fix it."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runner.faults import EngineFault, EngineUnreachable, InfrastructureFault, SandboxMismatch, StoreFault
from runner.sandbox.engine import Engine, EngineFacts, find_engine
from runner.sandbox.image import is_built
from runner.sandbox.walls import check_names, refusal
from runner.settings import Settings, cache_folder

DISK_BYTES_MIN = 8 * 1024**3  # chosen: the two images and what their builds leave, with room
OUTPUT_BYTES_MIN = 512 * 1024**2  # chosen: far over what a job of ten leaves
PIDS_MAX = 4 * 1024**2  # PID_MAX_LIMIT of 64-bit kernels (linux/threads.h): a control group takes no larger number
VERSION_MIN = (20, 10)  # the oldest that the suite ran on


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor's.

    Attributes:
        hint: what to do; empty when there is nothing to do.
    """

    name: str
    mark: Literal["ok", "warn", "fault"]
    seen: str
    hint: str = ""


def examine(settings: Settings) -> tuple[list[Check], Engine | None]:
    """Every check, and the engine if one answers."""
    try:
        engine = find_engine(settings)
    except EngineUnreachable as fault:
        return [Check("engine", "fault", fault.cause, fault.hint), *_host_checks(settings)], None
    return [*_engine_checks(engine, settings), *_image_checks(engine, settings), *_host_checks(settings)], engine


def _engine_checks(engine: Engine, settings: Settings) -> Iterator[Check]:
    facts = engine.facts
    yield Check("engine", "ok", f"answers at {engine.url} (found by {engine.found})")
    yield _permissions(engine)
    yield _version(facts)
    yield _known(
        "storage driver", facts.storage_driver, facts.storage_driver != "vfs", "use overlay2: vfs copies every image"
    )
    yield Check("cgroup", "ok", f"version {facts.cgroup_version}")
    yield from _walls(facts, allowed_by(settings))
    yield _unknown_runtime(facts, settings.runtime) or Check("runtimes", "ok", ", ".join(facts.runtimes) or "unnamed")
    yield _pinning(facts)
    yield _isolation(facts)


def _permissions(engine: Engine) -> Check:
    try:
        engine.client.api.containers(limit=1)
    except Exception as error:  # boundary: a proxy before the engine may allow some calls and not others
        return Check(
            "permissions", "fault", f"containers can't be listed: {error}", "let the user create, attach and remove"
        )
    return Check("permissions", "ok", "containers can be managed" + (" (rootless)" if engine.facts.rootless else ""))


def _version(facts: EngineFacts) -> Check:
    seen = f"{facts.version} (API {facts.api_version}), {facts.os}, {facts.arch}, kernel {facts.kernel}"
    return _wrong_engine(facts) or Check("version", "ok", seen)


def _wrong_engine(facts: EngineFacts) -> Check | None:
    """An engine on which no sandbox comes up, whatever walls a user goes on without."""
    if facts.is_podman:
        seen = (
            f"this is Podman {facts.version}: it takes neither a filter of system calls with a sandbox, "
            "nor the owner and the number of files of its file systems"
        )
        return Check(
            "version", "fault", seen, "use Docker; it, too, runs without root (`dockerd-rootless-setuptool.sh`)"
        )
    numbers = tuple(int(part) for part in facts.version.split("+")[0].split("~")[0].split(".")[:2] if part.isdigit())
    if numbers and numbers < VERSION_MIN:
        return Check("version", "fault", f"the engine's version is {facts.version}", "Docker 20.10 or newer is needed")
    return None


def _known(name: str, seen: str, good: bool, hint: str) -> Check:
    return Check(name, "ok" if good else "warn", seen, "" if good else hint)


def allowed_by(settings: Settings) -> tuple[str, ...]:
    """The walls that the user goes on without.

    Raises:
        UsageFault: there is no wall of that name.
    """
    return check_names(name.strip() for name in settings.allow_unenforced.split(",") if name.strip())


def check_engine(facts: EngineFacts, settings: Settings) -> tuple[str, ...]:
    """Before the first sandbox: has the engine what it is asked for; returns the walls that the user goes on without.

    Raises:
        SandboxMismatch: it lacks a wall that the user did not name.
        EngineFault: it is too old, or Podman, or does not know the runtime.
        UsageFault: the user named a wall that does not exist.
    """
    allowed = allowed_by(settings)
    refuse_wrong_engine(facts)
    if fault := _unknown_runtime(facts, settings.runtime):
        raise EngineFault(cause=fault.seen, hint=fault.hint)
    if missing := [wall for wall in facts.unenforced if wall not in allowed]:
        cause, hint = refusal(missing)
        raise SandboxMismatch(cause=cause, hint=hint)
    return allowed


def check_limits(facts: EngineFacts, memory_bytes: int, cpus: float, pids: int) -> None:
    """Before an image is built for a sandbox: can the engine's machine give it what it may use.

    Raises:
        EngineFault: a limit is above what there is: it would limit nothing, or no sandbox would start.
    """
    for name, words in limits_above(facts, memory_bytes, cpus, pids):
        raise EngineFault(cause=f"{words}: that is no limit", hint=f"lower {name} in task.toml, or use a larger host")


def limits_above(facts: EngineFacts, memory_bytes: int, cpus: float, pids: int) -> Iterator[tuple[str, str]]:
    """The limits above what the engine's machine has: (name in task.toml, what is so in words)."""
    for name, asked, there in (
        ("limits.memory", memory_bytes, facts.memory_bytes),
        ("limits.cpus", cpus, facts.ncpu),
        ("limits.pids", pids, PIDS_MAX),
    ):
        if asked > there:
            yield name, f"{name} is {asked}, and the engine's machine has {there}"


def refuse_wrong_engine(facts: EngineFacts) -> None:
    """Before anything is asked of an engine.

    Raises:
        EngineFault: it is too old, or Podman.
    """
    if fault := _wrong_engine(facts):
        raise EngineFault(cause=fault.seen, hint=fault.hint)


def _unknown_runtime(facts: EngineFacts, runtime: str) -> Check | None:
    if not runtime or runtime in facts.runtimes:
        return None
    known = ", ".join(facts.runtimes) or "none by name"
    return Check(
        "runtimes",
        "fault",
        f"the engine has no runtime {runtime!r}; it has {known}",
        "name one of them with --runtime, or add it to the engine (`dockerd --add-runtime`, or daemon.json)",
    )


def _walls(facts: EngineFacts, allowed: tuple[str, ...]) -> Iterator[Check]:
    """A line for each wall that the engine lacks, in the job's own words."""
    missing = facts.unenforced
    for wall in missing:
        cause, hint = refusal([wall])
        yield Check(wall, "warn" if wall in allowed else "fault", cause, hint)
    if not missing:
        yield Check("limits", "ok", "memory, processes, CPUs and system calls are limited, as the engine says")


def _isolation(facts: EngineFacts) -> Check:
    """What else the engine says of its own isolation; none of it is asked for."""
    options = {option.partition(",")[0].removeprefix("name=") for option in facts.security}
    present = [name for name in ("apparmor", "selinux", "userns", "rootless") if name in options]
    absent = [name for name in ("apparmor", "userns", "rootless") if name not in present]
    return Check("isolation", "ok", f"{', '.join(present) or 'nothing'} besides; without {', '.join(absent)}")


def _pinning(facts: EngineFacts) -> Check:
    if facts.ncpu < 2:
        return Check(
            "cpu pinning", "warn", "one CPU only: the runner measures beside itself", "use a host with two or more"
        )
    return Check("cpu pinning", "ok", f"{facts.ncpu} CPUs, measuring on CPU {facts.ncpu - 1}")


def _image_checks(engine: Engine, settings: Settings) -> Iterator[Check]:
    for name in ("base", "ml", "parse", "c"):
        try:
            built = is_built(engine, name, settings)
        except InfrastructureFault as fault:
            yield Check(f"image {name}", "fault", fault.cause, fault.hint)
            continue
        seen = (
            "built"
            if built
            else "not built yet: the first job does it"
            if built is False
            else "neither it nor a base yet"
        )
        yield Check(
            f"image {name}",
            "ok" if built else "warn",
            seen,
            "" if built else "`python -m runner image build` builds it now",
        )
    root = Path(engine.facts.root)
    if engine.is_local and _is_readable_folder(root):
        yield _disk("engine's disk", root, DISK_BYTES_MIN, "`docker system df`, then `docker image prune`")


def _is_readable_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # below a folder that is root's, as with user namespaces
        return False


def _host_checks(settings: Settings) -> Iterator[Check]:
    existing = next(path for path in (settings.output.absolute(), *settings.output.absolute().parents) if path.exists())
    yield _cache()
    yield _disk("output's disk", existing, OUTPUT_BYTES_MIN, "free some space, or choose another --output")
    if settings.has_credentials:
        yield Check("credentials", "ok", "a model's credentials are set")
    else:
        yield Check("credentials", "ok", "none set: scripted episodes are played (set ANTHROPIC_API_KEY for a model)")


def _cache() -> Check:
    try:
        return Check("cache", "ok", f"kept in {cache_folder()}")
    except StoreFault as fault:
        return Check("cache", "fault", fault.cause, fault.hint)


def _disk(name: str, path: Path, bytes_min: int, hint: str) -> Check:
    free = shutil.disk_usage(path).free
    return _known(name, f"{free / 1024**3:.1f} GiB free at {path}", free >= bytes_min, hint)
