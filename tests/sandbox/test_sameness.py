"""Identical means asserted: agent, baseline and candidate are one kind of container, and a drift is a fault."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from runner.sandbox.container import Fleet
from runner.sandbox.enforced import differences, seen_differences
from runner.sandbox.engine import Engine
from runner.sandbox.spec import MIB, Place, SandboxSpec, create_body

ROLES = ("agent", "baseline", "candidate", "sentinel", "check")

# What the design asks of every container, in the engine's own words, written down here once more on purpose.
DESIGN = {
    "NetworkMode": "none",
    "CapDrop": ["ALL"],
    "SecurityOpt": ["no-new-privileges"],
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


def inspected(engine: Engine, container_id: str) -> dict:  # type: ignore[type-arg]
    return engine.client.api.inspect_container(container_id)


@pytest.mark.parametrize("role", ROLES)
def test_every_kind_of_container_gets_the_designs_host_configuration(
    fleet: Fleet, nbody_spec: SandboxSpec, role: str
) -> None:
    program = "toolserver" if role == "agent" else "driver"
    with fleet.open(nbody_spec, program, role=role, cpuset="0") as sandbox:
        found = inspected(fleet.engine, sandbox.id)
    host, uid = found["HostConfig"], str(sandbox.place.uid)
    assert {name: host[name] for name in DESIGN} == DESIGN
    assert not host["Binds"] and not host["Devices"] and not host["CapAdd"]
    assert {path: text.replace(uid, "U") for path, text in host["Tmpfs"].items()} == {
        "/workspace": TMPFS,
        "/tmp": TMPFS,
    }
    assert found["Config"]["User"] == f"{uid}:{uid}" and int(uid) >= 1_000_000
    assert found["Config"]["Tty"] is False and found["Config"]["Healthcheck"] == {"Test": ["NONE"]}


def test_agent_baseline_and_candidate_differ_in_their_place_alone(fleet: Fleet, nbody_spec: SandboxSpec) -> None:
    summaries = []
    for role in ROLES:
        with fleet.open(nbody_spec, "toolserver" if role == "agent" else "driver", role=role, cpuset="0") as sandbox:
            summaries.append(sandbox.enforced)
    assert all(summary == summaries[0] for summary in summaries)


def changed(spec: SandboxSpec, change: Callable[[dict], None]) -> list[str]:  # type: ignore[type-arg]
    """What is found when an engine answers with something else in one field."""
    place = Place(1_000_001, "1", ())
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
    return differences(spec, place, answer)


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
        ("interfaces", ["lo", "eth0"]),
        ("workspace_bytes", 2**33),
    ],
)
def test_what_pid_1_sees_is_compared_too(fleet: Fleet, nbody_spec: SandboxSpec, name: str, value: object) -> None:
    with fleet.open(nbody_spec, "driver", role="check", cpuset="0") as sandbox:
        assert seen_differences(nbody_spec, sandbox.place, sandbox.seen) == []
        found = seen_differences(nbody_spec, sandbox.place, {**sandbox.seen, name: value})
    assert len(found) == 1 and name in found[0]


# An engine that enforces something else


class Meddler:
    """A proxy before the engine's socket that rewrites what passes, same length for same length."""

    def __init__(self, path: Path, engine: Engine, was: bytes, becomes: bytes) -> None:
        assert len(was) == len(becomes)
        self.was, self.becomes, self.target = was, becomes, engine.url.removeprefix("unix://")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(64)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self.target)
            threading.Thread(target=self.pump, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self.pump, args=(server, client, False), daemon=True).start()

    def pump(self, source: socket.socket, target: socket.socket, meddle: bool) -> None:
        try:
            while data := source.recv(1 << 20):
                target.sendall(data.replace(self.was, self.becomes) if meddle else data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@pytest.fixture
def without_pids_limit(tmp_path: Path, engine: Engine) -> Iterator[str]:
    path = tmp_path / "docker.sock"
    meddler = Meddler(path, engine, b'"PidsLimit": 128', b'"PidsLimit": 0  ')
    yield f"unix://{path}"
    meddler.listener.close()


def test_a_missing_pids_limit_ends_as_infrastructure_and_counts_for_nobody(
    cli: Callable[..., CompletedProcess[str]], without_pids_limit: str, tmp_path: Path
) -> None:
    done = cli(
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
