"""Identical means asserted: what the engine says it enforces, and what PID 1 sees, against what was asked for."""

from collections.abc import Mapping
from typing import Any

from runner.faults import SandboxMismatch
from runner.sandbox.spec import REFUSED_CALLS, Placement, SandboxSpec, create_body

PAGE_BYTES = 4096  # of memory, on the machines that Docker runs on
# What tells one container of a spec from another: masked where containers are compared with each other.
PLACE_KEYS = ("CpusetCpus",)


def differences(spec: SandboxSpec, place: Placement, inspected: Mapping[str, Any]) -> list[str]:
    """Every field in which the engine's own inspect is not what `create_body` asked for, as `name: asked / found`."""
    asked = create_body(spec, place)
    found_config, found_host = inspected["Config"], inspected["HostConfig"]
    found = [
        *_compare("", {key: value for key, value in asked.items() if key in _CONFIG_KEYS}, found_config),
        *_compare("HostConfig.", asked["HostConfig"], found_host),
    ]
    if inspected.get("Image") != spec.image_id:
        found.append(f"Image: {spec.image_id} / {inspected.get('Image')}")
    if set(asked["Env"]) - set(spec.unset) != set(found_config.get("Env") or []):
        found.append("Env: the environment is another one")
    mounts = [mount for mount in inspected.get("Mounts") or [] if mount.get("Type") != "tmpfs"]
    if mounts:
        found.append(f"Mounts: none / {[mount.get('Destination') for mount in mounts]}")
    return found


_CONFIG_KEYS = ("Entrypoint", "Cmd", "WorkingDir", "User", "StopSignal", "Healthcheck", "Tty", "OpenStdin", "StdinOnce")


def _compare(prefix: str, asked: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    return [
        f"{prefix}{name}: {value!r} / {found.get(name)!r}"
        for name, value in asked.items()
        if _plain(value) != _plain(found.get(name))
    ]


def _plain(value: object) -> object:
    """Engines write "nothing" as null, as an empty list, or as false; ulimits in any order."""
    if isinstance(value, list):
        return sorted(repr(_plain(item)) for item in value) or None
    if isinstance(value, dict):
        return {key: _plain(value[key]) for key in sorted(value)} or None
    return value or None


def diff_self_report(spec: SandboxSpec, place: Placement, seen: Mapping[str, Any]) -> list[str]:
    """Every limit that PID 1 does not see as it was asked for."""
    expected = {
        "memory_bytes": spec.memory_bytes,
        "pids": spec.pids,
        "uid": place.uid,
        "gid": place.uid,
        "pid": 1,
        "workspace_bytes": _whole_pages(spec.workspace_bytes),
        "tmp_bytes": _whole_pages(spec.tmp_bytes),
        "shm_bytes": _whole_pages(spec.shm_bytes),
        "root_writable": False,
        "refused": list(REFUSED_CALLS),
    }
    found = [
        f"inside, {name}: {value!r} / {seen.get(name)!r}" for name, value in expected.items() if seen.get(name) != value
    ]
    for name in ("capabilities", "bounding"):
        if seen.get(name) not in ("0000000000000000", None):
            found.append(f"inside, {name}: none / {seen.get(name)!r}")
    if seen.get("no_new_privileges") not in ("1", None):
        found.append(f"inside, no_new_privileges: '1' / {seen.get('no_new_privileges')!r}")
    if set(seen.get("interfaces") or []) - {"lo"}:
        found.append(f"inside, interfaces: lo at most / {seen.get('interfaces')!r}")
    return found


def _whole_pages(size_bytes: int) -> int:
    return -(-size_bytes // PAGE_BYTES) * PAGE_BYTES


def verify_container(
    spec: SandboxSpec, place: Placement, inspected: Mapping[str, Any], seen: Mapping[str, Any]
) -> None:
    """Raise unless the container is what the spec says.

    Raises:
        SandboxMismatch: names every difference.
    """
    found = differences(spec, place, inspected) + diff_self_report(spec, place, seen)
    if found:
        raise SandboxMismatch(
            cause="the engine does not enforce what was asked for (asked / found): " + "; ".join(found),
            hint="run `python -m runner doctor`; another runtime, a proxy before the engine, or a missing cgroup "
            "controller changes what containers get",
        )


def summary(inspected: Mapping[str, Any]) -> dict[str, Any]:
    """What the engine really enforces, place masked: equal for agent, baseline and candidate of one run."""
    host = {key: value for key, value in inspected["HostConfig"].items() if key not in PLACE_KEYS}
    host["Tmpfs"] = {path: _without_uid(options) for path, options in (host.get("Tmpfs") or {}).items()}
    config = {key: inspected["Config"].get(key) for key in _CONFIG_KEYS if key != "User"}
    return {"image": inspected.get("Image"), "config": config, "host_config": host}


def _without_uid(options: str) -> str:
    return ",".join(option for option in options.split(",") if not option.startswith(("uid=", "gid=")))
