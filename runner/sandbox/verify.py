"""Identical means asserted: what the engine says it enforces, and what PID 1 sees, against what was asked for."""

import hashlib
from collections.abc import Mapping
from typing import Any

from runner.faults import SandboxMismatch
from runner.sandbox.spec import REFUSED_CALLS, WALLED_CALLS, Placement, SandboxSpec, create_body, ulimits
from runner.sandbox.walls import Difference, isolation, refusal, short

PAGE_BYTES = 4096  # of memory, on the machines that Docker runs on
# What tells one container of a spec from another: masked where containers are compared with each other.
PLACE_KEYS = ("CpusetCpus",)


def read_inspected(answer: Any) -> Mapping[str, Any]:
    """An engine's answer to inspect, in whose form everything here may trust.

    Raises:
        KeyError, TypeError: it has another.
    """
    config, host = answer["Config"], answer["HostConfig"]
    _each(config, dict, "Config")
    _each(host, dict, "HostConfig")
    for name, value in (("Env", config.get("Env")), ("SecurityOpt", host.get("SecurityOpt"))):
        _each(value or [], list, name, str)
    _each(answer.get("Mounts") or [], list, "Mounts", dict)
    _each(host.get("Tmpfs") or {}, dict, "Tmpfs")
    _each(list((host.get("Tmpfs") or {}).values()), list, "Tmpfs", str)
    found: Mapping[str, Any] = answer
    return found


def _each(value: object, kind: type, name: str, of: type = object) -> None:
    if not isinstance(value, kind) or (isinstance(value, list) and not all(isinstance(each, of) for each in value)):
        raise TypeError(f"{name} is {short(value)}")


def differences(spec: SandboxSpec, place: Placement, inspected: Mapping[str, Any]) -> list[Difference]:
    """Every field in which the engine's own inspect is not what `create_body` asked for."""
    asked = create_body(spec, place)
    found_config, found_host = inspected["Config"], inspected["HostConfig"]
    found = [
        *_compare("", {key: value for key, value in asked.items() if key in _CONFIG_KEYS}, found_config),
        *_compare("HostConfig.", asked["HostConfig"], found_host),
    ]
    if inspected.get("Image") != spec.image_id:
        found.append(Difference("Image", spec.image_id, inspected.get("Image")))
    # A name without a value unsets it; some engines show it, some do not.
    if set(asked["Env"]) - set(spec.unset) != set(found_config.get("Env") or []) - set(spec.unset):
        found.append(Difference("Env", "ours alone", "another one"))
    mounts = [mount for mount in inspected.get("Mounts") or [] if mount.get("Type") != "tmpfs"]
    if mounts:
        found.append(Difference("Mounts", [], [mount.get("Destination") for mount in mounts]))
    return found


_CONFIG_KEYS = ("Entrypoint", "Cmd", "WorkingDir", "User", "StopSignal", "Healthcheck", "Tty", "OpenStdin", "StdinOnce")


def _compare(prefix: str, asked: Mapping[str, Any], found: Mapping[str, Any]) -> list[Difference]:
    return [
        Difference(f"{prefix}{name}", value, found.get(name))
        for name, value in asked.items()
        if _plain(value) != _plain(_alike(name, found.get(name)))
    ]


def _alike(name: str, value: Any) -> Any:
    """A check of health that is switched off keeps the image's intervals, which then mean nothing."""
    return {"Test": value.get("Test")} if name == "Healthcheck" and isinstance(value, dict) else value


def _plain(value: object) -> object:
    """Engines write "nothing" as null, as an empty list, or as false; ulimits in any order."""
    if isinstance(value, list):
        return sorted(repr(_plain(item)) for item in value) or None
    if isinstance(value, dict):
        return {key: _plain(value[key]) for key in sorted(value)} or None
    return value or None


def diff_self_report(spec: SandboxSpec, place: Placement, seen: Mapping[str, Any]) -> list[Difference]:
    """Every limit that PID 1 does not see as it was asked for."""
    expected: dict[str, Any] = {
        "memory_bytes": spec.memory_bytes,
        "pids": spec.pids,
        "uid": place.uid,
        "gid": place.uid,
        "pid": 1,
        "workspace_bytes": _whole_pages(spec.workspace_bytes),
        "tmp_bytes": _whole_pages(spec.tmp_bytes),
        "shm_bytes": _whole_pages(spec.shm_bytes),
        "root_writable": False,
        "writable_mounts": [],
        "refused": list(REFUSED_CALLS),
        "capabilities": NO_CAPABILITIES,
        "bounding": NO_CAPABILITIES,
        "no_new_privileges": "1",
        "seccomp": SECCOMP_FILTER,
        "walled": list(WALLED_CALLS),
    }
    if seen.get("gvisor"):  # its kernel shows neither; what the engine says of these limits is compared
        expected = {name: value for name, value in expected.items() if name not in UNSEEN_IN_GVISOR}
    found = [
        Difference(f"inside, {name}", value, _missing_of(value, seen.get(name)))
        for name, value in expected.items()
        if seen.get(name) != value
    ]
    if not seen.get("gvisor"):
        found += _loose_ulimits(spec, seen.get("ulimits"))
    if seen.get("interfaces") not in ([], ["lo"]):  # a list that cannot be had tells of no wall
        found.append(Difference("inside, interfaces", ["lo"], seen.get("interfaces")))
    if set(seen.get("groups") or []) - {place.uid}:
        found.append(Difference("inside, groups", [place.uid], seen.get("groups")))
    return found


def _loose_ulimits(spec: SandboxSpec, seen: Any) -> list[Difference]:
    """Limits of a process that PID 1 sees above what was asked for, or not at all; lower ones are no hole."""
    said = seen if isinstance(seen, Mapping) else {}
    asked = {str(limit["Name"]): limit["Hard"] for limit in ulimits(spec)}
    loose = [name for name, most in asked.items() if not isinstance(said.get(name), int) or said[name] > most]
    if not loose:
        return []
    return [Difference("inside, ulimits", {name: asked[name] for name in loose}, {n: said.get(n) for n in loose})]


NO_CAPABILITIES = "0000000000000000"  # /proc/self/status: 64 bits, none set
SECCOMP_FILTER = "2"  # /proc/self/status: 0 for none, 1 strict, 2 a filter
UNSEEN_IN_GVISOR = ("memory_bytes", "pids", "no_new_privileges", "bounding")


def _missing_of(expected: Any, found: Any) -> Any:
    """Of two lists of calls, what is not in the second: the rest of a long list tells nobody anything."""
    if isinstance(expected, list) and isinstance(found, list) and found and set(found) < set(expected):
        return f"all but {sorted(set(expected) - set(found))}"
    return found


def _whole_pages(size_bytes: int) -> int:
    return -(-size_bytes // PAGE_BYTES) * PAGE_BYTES


def verify_container(
    spec: SandboxSpec, place: Placement, inspected: Mapping[str, Any], seen: Mapping[str, Any]
) -> list[Difference]:
    """The differences that the user goes on with (`spec.unenforced`); raises for every other.

    Raises:
        SandboxMismatch: names every difference, and the walls that do not stand.
    """
    found = differences(spec, place, inspected) + diff_self_report(spec, place, seen)
    refused = [difference for difference in found if difference.wall not in spec.unenforced]
    if refused:
        walls = {difference.wall for difference in refused}
        cause, hint = refusal(walls) if "" not in walls else (DRIFT, DRIFT_HINT)
        raise SandboxMismatch(cause=f"{cause} (asked / found): " + "; ".join(map(str, refused)), hint=hint)
    return found


DRIFT = "the engine does not enforce what was asked for"
DRIFT_HINT = (
    "run `python -m runner doctor`; another runtime, a proxy before the engine, or a missing cgroup "
    "controller changes what containers get"
)


def summary(spec: SandboxSpec, inspected: Mapping[str, Any], seen: Mapping[str, Any], found: list[Difference]) -> Any:
    """What the engine really enforces, place masked: equal for agent, baseline and candidate of one run.

    Args:
        found: the differences that the user goes on with.
    """
    host = {key: value for key, value in inspected["HostConfig"].items() if key not in PLACE_KEYS}
    host["Tmpfs"] = {path: _without_uid(options) for path, options in (host.get("Tmpfs") or {}).items()}
    host["SecurityOpt"] = [_digest(option) for option in host.get("SecurityOpt") or []]
    config = {key: inspected["Config"].get(key) for key in _CONFIG_KEYS if key != "User"}
    return {
        "image": inspected.get("Image"),
        "config": config,
        "host_config": host,
        "isolation": isolation(found, spec.runtime, seen),
    }


def _digest(option: str) -> str:
    """A security option, the text of a filter as its hash."""
    name, equals, value = option.partition("=")
    return f"seccomp=sha256:{hashlib.sha256(value.encode()).hexdigest()}" if equals and name == "seccomp" else option


def _without_uid(options: str) -> str:
    return ",".join(option for option in options.split(",") if not option.startswith(("uid=", "gid=")))
