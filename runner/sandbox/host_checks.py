"""What must be right on a host before a job: each check says what it saw, and how to fix it."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runner.faults import EngineUnreachable, InfrastructureFault, StoreFault
from runner.sandbox.engine import Engine, EngineFacts, find_engine
from runner.sandbox.image import is_built
from runner.settings import Settings, cache_folder

DISK_BYTES_MIN = 8 * 1024**3  # chosen: the two images and what their builds leave, with room
OUTPUT_BYTES_MIN = 512 * 1024**2  # chosen: far over what a job of ten leaves
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
    return [*_engine_checks(engine), *_image_checks(engine, settings), *_host_checks(settings)], engine


def _engine_checks(engine: Engine) -> Iterator[Check]:
    facts = engine.facts
    yield Check("engine", "ok", f"answers at {engine.url} (found by {engine.found})")
    yield _permissions(engine)
    yield _version(facts)
    yield _known(
        "storage driver", facts.storage_driver, facts.storage_driver != "vfs", "use overlay2: vfs copies every image"
    )
    yield Check("cgroup", "ok", f"version {facts.cgroup_version}")
    yield from _limits(facts)
    yield Check("runtimes", "ok", ", ".join(facts.runtimes) or "unnamed")
    yield _pinning(facts)
    yield _security(facts)


def _permissions(engine: Engine) -> Check:
    try:
        engine.client.api.containers(limit=1)
    except Exception as error:  # boundary: a proxy before the engine may allow some calls and not others
        return Check(
            "permissions", "fault", f"containers can't be listed: {error}", "let the user create, attach and remove"
        )
    return Check("permissions", "ok", "containers can be managed" + (" (rootless)" if engine.facts.rootless else ""))


def _version(facts: EngineFacts) -> Check:
    numbers = tuple(int(part) for part in facts.version.split("+")[0].split("~")[0].split(".")[:2] if part.isdigit())
    seen = f"{facts.version} (API {facts.api_version}), {facts.os}, {facts.arch}, kernel {facts.kernel}"
    if numbers and numbers < VERSION_MIN and not facts.is_podman:
        return Check("version", "fault", seen, "Docker 20.10 or newer is needed")
    return Check("version", "ok", seen)


def _known(name: str, seen: str, good: bool, hint: str) -> Check:
    return Check(name, "ok" if good else "warn", seen, "" if good else hint)


def _limits(facts: EngineFacts) -> Iterator[Check]:
    for name, there in (("memory limit", facts.memory_limit), ("pids limit", facts.pids_limit)):
        if not there:
            yield Check(
                name, "fault", "not enforced by this engine", "enable the cgroup controller (see `docker info`)"
            )
    if facts.memory_limit and facts.pids_limit:
        yield Check("limits", "ok", "memory and pids are enforced")


def _pinning(facts: EngineFacts) -> Check:
    if not facts.cpuset:
        return Check("cpu pinning", "fault", "not possible with this engine", "enable the cpuset cgroup controller")
    if facts.ncpu < 2:
        return Check(
            "cpu pinning", "warn", "one CPU only: the runner measures beside itself", "use a host with two or more"
        )
    return Check("cpu pinning", "ok", f"{facts.ncpu} CPUs, measuring on CPU {facts.ncpu - 1}")


def _security(facts: EngineFacts) -> Check:
    has_seccomp = any("seccomp" in option for option in facts.security)
    return _known(
        "seccomp", ", ".join(facts.security) or "none", has_seccomp, "start the engine with its seccomp profile"
    )


def _image_checks(engine: Engine, settings: Settings) -> Iterator[Check]:
    for name in ("base", "ml", "parse"):
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
        yield Check(f"image {name}", "ok" if built else "warn", seen, "" if built else "`make images` builds it now")
    root = Path(engine.facts.root)
    if engine.is_local and root.is_dir():
        yield _disk("engine's disk", root, DISK_BYTES_MIN, "`docker system df`, then `docker image prune`")


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
