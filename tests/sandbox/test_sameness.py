"""Identical means asserted: agent, baseline and candidate are one kind of container, and a drift is a fault."""

import contextlib
import errno
import io
import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from runner.sandbox.container import INSIDE, Sandbox
from runner.sandbox.core_sets import cpus_of
from runner.sandbox.engine import Engine
from runner.sandbox.fleet import UID_COUNT, UID_FIRST, Fleet
from runner.sandbox.leftovers import sweep
from runner.sandbox.lock import all_cpus
from runner.sandbox.spec import MIB, SECCOMP_PROFILE, Placement, SandboxSpec, create_body, ulimits
from runner.sandbox.verify import diff_self_report, differences
from runner.sandbox.walls import WALLS
from tests.conftest import Cli, containers_of, wait_until
from tests.fakes.docker_engine import seen
from tests.fakes.engine_proxy import EngineProxy
from tests.fakes.faulty_jobs import SPEC
from tests.sandbox.hands import Hands

ROLES = ("agent", "baseline", "candidate", "sentinel", "check")

# What the design asks of every container, in the engine's own words, written down here once more on purpose.
DESIGN = {
    "NetworkMode": "none",
    "CapDrop": ["ALL"],
    "SecurityOpt": ["no-new-privileges", f"seccomp={SECCOMP_PROFILE}"],
    "ReadonlyRootfs": True,
    "Memory": 512 * MIB,
    "MemorySwap": 512 * MIB,
    "NanoCpus": 1_000_000_000,
    "PidsLimit": 128,
    "IpcMode": "private",
    "ShmSize": 16 * MIB,
    "Privileged": False,
    "AutoRemove": True,
    "OomScoreAdj": 500,
    "PidMode": "",
    "UTSMode": "",
    "PublishAllPorts": False,
    "LogConfig": {"Type": "none", "Config": {}},
    "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
}
TMPFS = "rw,exec,nosuid,nodev,size=33554432,nr_inodes=20000,mode=0700,uid=U,gid=U"


@pytest.fixture(scope="module")
def opened(engine: Engine, nbody_spec: SandboxSpec) -> Mapping[str, tuple[Sandbox, dict[str, Any]]]:
    """A sandbox of each role, ended by now, and what the engine said of it while it ran."""
    fleet, found = Fleet(engine, f"test-{secrets.token_hex(4)}"), {}
    for role in ROLES:
        with fleet.open(nbody_spec, "toolserver" if role == "agent" else "driver", role=role, cpuset="0") as sandbox:
            found[role] = (sandbox, engine.client.api.inspect_container(sandbox.id))
    assert fleet.leaks == []
    return found


@pytest.mark.parametrize("role", ROLES)
def test_every_kind_of_container_gets_the_designs_host_configuration(
    opened: Mapping[str, tuple[Sandbox, dict[str, Any]]], role: str
) -> None:
    sandbox, found = opened[role]
    host, uid = found["HostConfig"], str(sandbox.place.uid)
    assert {name: host[name] for name in DESIGN} == DESIGN
    assert not host["Binds"] and not host["Devices"] and not host["CapAdd"]
    assert {path: text.replace(uid, "U") for path, text in host["Tmpfs"].items()} == {
        "/workspace": TMPFS,
        "/tmp": TMPFS,
        "/dev/shm": TMPFS.replace("size=33554432", f"size={16 * MIB}"),
    }
    assert found["Config"]["User"] == f"{uid}:{uid}" and UID_FIRST <= int(uid) < UID_FIRST + UID_COUNT < 65536
    assert found["Config"]["Tty"] is False and found["Config"]["Healthcheck"] == {"Test": ["NONE"]}


def test_agent_baseline_and_candidate_differ_in_their_place_alone(
    opened: Mapping[str, tuple[Sandbox, dict[str, Any]]],
) -> None:
    summaries = [sandbox.enforced for sandbox, _ in opened.values()]
    assert len(summaries) == len(ROLES) and all(summary == summaries[0] for summary in summaries)


def changed(spec: SandboxSpec, change: Callable[[dict], None]) -> list[str]:  # type: ignore[type-arg]
    """What is found when an engine answers with something else in one field."""
    place = Placement(1_000_001, "1", ())
    body = create_body(spec, place)
    answer = {
        "Image": spec.image_id,
        "Config": {key: value for key, value in body.items() if key != "HostConfig"},
        "HostConfig": body["HostConfig"],
        "Mounts": [],
    }
    answer["Config"]["Env"] = [entry for entry in body["Env"] if "=" in entry]
    assert differences(spec, place, answer) == []
    change(answer)
    return [str(difference) for difference in differences(spec, place, answer)]


@pytest.mark.parametrize("name", sorted(DESIGN))
def test_a_changed_limit_is_named(nbody_spec: SandboxSpec, name: str) -> None:
    other = {True: False, False: True}.get(DESIGN[name], "other") if isinstance(DESIGN[name], bool) else "other"
    found = changed(nbody_spec, lambda answer: answer["HostConfig"].update({name: other}))
    assert any(name in line for line in found)


def test_a_missing_limit_a_mount_and_a_foreign_image_are_named(nbody_spec: SandboxSpec) -> None:
    assert "PidsLimit" in changed(nbody_spec, lambda answer: answer["HostConfig"].pop("PidsLimit"))[0]
    mount = {"Type": "bind", "Destination": "/host"}
    assert "/host" in changed(nbody_spec, lambda answer: answer["Mounts"].append(mount))[0]
    assert "Image" in changed(nbody_spec, lambda answer: answer.update(Image="sha256:0"))[0]
    assert "Env" in changed(nbody_spec, lambda answer: answer["Config"]["Env"].append("LD_PRELOAD=/x"))[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("memory_bytes", 2**40),
        ("pids", None),
        ("uid", 0),
        ("root_writable", True),
        ("capabilities", "00000000a80425fb"),
        ("no_new_privileges", "0"),
        ("seccomp", "0"),
        ("walled", ["ptrace"]),
        ("writable_mounts", ["/sys/fs/cgroup"]),
        ("groups", [0]),
        ("interfaces", ["lo", "eth0"]),
        ("workspace_bytes", 2**33),
        ("ulimits", {}),
    ],
)
def test_what_pid_1_sees_is_compared_too(
    opened: Mapping[str, tuple[Sandbox, dict[str, Any]]], nbody_spec: SandboxSpec, name: str, value: object
) -> None:
    sandbox, _ = opened["check"]
    assert diff_self_report(nbody_spec, sandbox.place, sandbox.seen) == []
    found = diff_self_report(nbody_spec, sandbox.place, {**sandbox.seen, name: value})
    assert len(found) == 1 and name in str(found[0]) and found[0].wall in (*WALLS, "")


def paper_seen(place: Placement) -> dict[str, Any]:
    return seen(create_body(SPEC, place))


@pytest.mark.parametrize("name", sorted(limit["Name"] for limit in ulimits(SPEC)))
@pytest.mark.parametrize("found", ["none", "missing", "above", "text"])
def test_a_process_limit_that_is_not_there_inside_is_a_missing_wall(name: str, found: str) -> None:
    place = Placement(UID_FIRST, "0", ())
    said = paper_seen(place)
    assert diff_self_report(SPEC, place, said) == []
    values = {"none": None, "above": said["ulimits"][name] + 1, "text": "1"}
    rest = {known: value for known, value in said["ulimits"].items() if known != name}
    odd = rest if found == "missing" else {**rest, name: values[found]}
    (difference,) = diff_self_report(SPEC, place, {**said, "ulimits": odd})
    assert difference.wall == "quotas" and name in str(difference)
    assert diff_self_report(SPEC, place, {**said, "ulimits": {**rest, name: 0}}) == [], "a lower one is no hole"


@pytest.mark.parametrize("found", [None, ["lo", "eth0"], ["eth0"], "lo"])
def test_a_network_of_which_nothing_could_be_seen_is_a_missing_wall(found: object) -> None:
    place = Placement(UID_FIRST, "0", ())
    (difference,) = diff_self_report(SPEC, place, {**paper_seen(place), "interfaces": found})
    assert difference.wall == "network"
    assert diff_self_report(SPEC, place, {**paper_seen(place), "interfaces": []}) == []


MOUNTED = "22 1 0:20 / {} {} - overlay overlay rw,lowerdir=/x\n"


@pytest.mark.parametrize(
    ("mounts", "is_writable"),
    [
        (MOUNTED.format("/", "ro,relatime"), False),
        (MOUNTED.format("/", "rw,relatime"), True),
        (MOUNTED.format("/", "rw") + MOUNTED.format("/", "ro"), False),
        (MOUNTED.format("/", "ro") + MOUNTED.format("/", "rw"), True),
        (MOUNTED.format("/tmp", "ro"), True),
        (None, True),
    ],
)
def test_a_root_to_whose_top_nobody_may_write_is_writable_all_the_same(mounts: str | None, is_writable: bool) -> None:
    def opened(path: str) -> io.StringIO:
        assert path == "/proc/self/mountinfo"
        if mounts is None:
            raise FileNotFoundError(path)
        return io.StringIO(mounts)

    inside: dict[str, Any] = {"errno": errno, "os": os, "open": opened}
    exec(compile((INSIDE / "walls.py").read_text(), "walls.py", "exec"), inside)
    assert inside["root_is_writable"]() is is_writable


def test_pid_1_tells_the_interfaces_that_it_has() -> None:
    text = (INSIDE / "frames.py").read_text() + "\nprint(json.dumps(interfaces()))"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert set(json.loads(done.stdout)) == {name for _, name in socket.if_nameindex()}


def test_pid_1_tells_the_limits_that_it_has() -> None:
    text = (INSIDE / "frames.py").read_text() + "\nprint(json.dumps(ulimits()))"
    lower = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))\n"
    done = subprocess.run([sys.executable, "-c", lower + text], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["nofile"] == 200 and set(told) == {limit["Name"] for limit in ulimits(SPEC)}


# An engine that enforces something else, or goes away


@pytest.fixture
def without_pids_limit(tmp_path: Path, engine: Engine) -> Iterator[str]:
    path = tmp_path / "docker.sock"
    proxy = EngineProxy(path, engine, b'"PidsLimit": 128', b'"PidsLimit": 0  ')
    yield f"unix://{path}"
    proxy.cut()


def test_a_missing_pids_limit_ends_as_infrastructure_and_counts_for_nobody(
    cli_ungraded: Callable[..., CompletedProcess[str]], without_pids_limit: str, tmp_path: Path
) -> None:
    done = cli_ungraded(
        *("--runs", "1", "--task", "slow_nbody", "--scale", "small", "--agent", "oracle", "--name", "drift"),
        *("--output", str(tmp_path / "output")),
        env={"DOCKER_HOST": without_pids_limit},
    )
    results = json.loads((tmp_path / "output" / "drift" / "results.json").read_text())
    assert done.returncode == 3, done.stderr
    assert results["runs"][0]["outcome"] == "infrastructure" and results["runs"][0]["reward"] is None
    assert "PidsLimit: 128 /" in results["runs"][0]["reason"]
    assert results["totals"]["counted"] == 0 and results["totals"]["pass_rate"] is None
    assert "INFRASTRUCTURE FAULT" in done.stdout


def test_an_engine_that_goes_away_ends_as_infrastructure_and_what_was_finished_stays(
    start: Cli, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = EngineProxy(tmp_path / "docker.sock", engine)
    process = start(
        *("--runs", "1", "--task", "slow_nbody", "--scale", "full", "--agent", "oracle", "--name", "gone"),
        *("--output", str(tmp_path / "output")),
        env={"DOCKER_HOST": f"unix://{tmp_path}/docker.sock"},
    )
    wait_until(lambda: "candidate" in containers_of(engine, "gone"))
    proxy.cut()
    out, err = process.communicate(timeout=120)
    folder = tmp_path / "output" / "gone"
    run = json.loads((folder / "results.json").read_text())["runs"][0]
    assert (process.returncode, run["outcome"]) == (3, "infrastructure"), err
    assert "INFRASTRUCTURE FAULT" in out and (folder / "run_1" / "optimized_nbody.py").exists()
    # What ran has ended by itself; what was created and not yet started goes with the next job's start.
    label = {"label": "runner.job=gone"}
    wait_until(lambda: engine.client.api.containers(filters=label) == [])
    monkeypatch.setattr("runner.sandbox.leftovers.NEVER_STARTED_AFTER_S", -5.0)
    sweep(engine, "runner.job=gone")
    assert containers_of(engine, "gone") == []


def test_each_sandbox_runs_on_as_many_cpus_as_its_quota_is_worth_and_the_next_one_on_others(
    engine: Engine, nbody_spec: SandboxSpec, fleet: Fleet
) -> None:
    every = cpus_of(all_cpus(engine))
    with contextlib.ExitStack() as stack:
        opened = [
            stack.enter_context(fleet.open(nbody_spec, "toolserver", role="agent", cpuset=all_cpus(engine)))
            for _ in every
        ]
        cpus = [cpus_of(sandbox.place.cpuset) for sandbox in opened]
        seen = [Hands(sandbox).bash("nproc").splitlines()[0] for sandbox in opened]
    assert nbody_spec.cpus == 1.0 and seen == ["1"] * len(every)
    assert sorted(cpus) == [(cpu,) for cpu in every]
