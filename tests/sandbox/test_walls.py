"""The walls: our own filter of system calls, refused call by refused call, and what is done where a wall does not stand."""

import dataclasses
import json
import re

import pytest

from runner.faults import SandboxMismatch, UsageFault
from runner.sandbox import spec as spec_module
from runner.sandbox.container import INSIDE, ExitCause, GuestExit, Sandbox
from runner.sandbox.fleet import Fleet
from runner.sandbox.image import resolve_image
from runner.sandbox.spec import SECCOMP_PROFILE, WALLED_CALLS, Placement, SandboxSpec, clean_environment
from runner.sandbox.verify import verify_container
from runner.sandbox.walls import WALL_OF_FIELD, WALLS, Difference, check_names, isolation
from runner.settings import Settings
from tests.sandbox.hands import Hands, changed_server

PLACE = Placement(1_000_000, "0", ())
ALLOW_ALL = '{"defaultAction":"SCMP_ACT_ALLOW"}'
# What a program sees: the table of `inside/walls.py` and what makes calls from it, run as a command of an agent's.
TABLE = "import ctypes, errno, json, os\n" + (INSIDE / "walls.py").read_text().split("# Where a sandbox may write")[0]
TRY = (
    TABLE
    + """
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
found = {}
for name, (x86_64, generic, expected, arguments) in WALLED_CALLS.items():
    ctypes.set_errno(0)
    number = x86_64 if os.uname().machine == "x86_64" else generic
    result = libc.syscall(number, *(ctypes.c_long(value) for value in arguments))
    found[name] = [result == -1 and ctypes.get_errno() == expected, errno.errorcode.get(ctypes.get_errno(), result)]
print(json.dumps({name: why for name, (refused, why) in found.items() if not refused}))
"""
)


@pytest.fixture
def agent(sandbox: Sandbox) -> Hands:
    return Hands(sandbox)


def python(agent: Hands, program: str, timeout_s: float = 20.0) -> str:
    return agent.bash(f"python3 - <<'PROGRAM'\n{program}\nPROGRAM\n", timeout_s=timeout_s)


def test_every_call_of_the_table_is_refused_to_a_command(agent: Hands) -> None:
    assert python(agent, TRY) == "{}\n[exit status 0]"


def test_a_sandbox_says_what_it_saw_and_its_grade(sandbox: Sandbox) -> None:
    assert sandbox.seen["seccomp"] == "2" and sandbox.seen["walled"] == list(WALLED_CALLS)
    assert sandbox.seen["writable_mounts"] == [] and sandbox.seen["capabilities"] == "0" * 16
    assert sandbox.enforced["isolation"]["grade"] == "full"
    assert sandbox.enforced["isolation"]["walls"] == list(WALLS)
    assert "seccomp=sha256:" in sandbox.enforced["host_config"]["SecurityOpt"][1]


def test_an_engine_that_filters_nothing_is_refused_by_what_is_seen_inside(
    fleet: Fleet, nbody_spec: SandboxSpec
) -> None:
    spec = dataclasses.replace(nbody_spec, seccomp=ALLOW_ALL)
    with (
        pytest.raises(SandboxMismatch, match=r"does not enforce calls .*inside, walled: .*clone3") as fault,
        fleet.open(spec, "toolserver", role="agent", cpuset="0"),
    ):
        pass
    assert "--allow-unenforced calls" in fault.value.hint


def test_who_allows_it_goes_on_and_the_record_says_so(fleet: Fleet, nbody_spec: SandboxSpec) -> None:
    spec = dataclasses.replace(nbody_spec, seccomp=ALLOW_ALL, unenforced=("calls",))
    with fleet.open(spec, "toolserver", role="agent", cpuset="0") as sandbox:
        assert Hands(sandbox).bash("echo here").startswith("here")
    found = sandbox.enforced["isolation"]
    assert (found["grade"], found["unenforced"]) == ("partial", ["calls"]) and "calls" not in found["walls"]


def test_what_programs_need_is_not_refused(fleet: Fleet, engine) -> None:  # type: ignore[no-untyped-def]
    image = resolve_image(engine, "ml", Settings(), say=lambda step: None)
    environment, unset = clean_environment(image.env, {})
    mib = spec_module.MIB
    spec = SandboxSpec(image.id, image.python, environment, unset, 2048 * mib, 1.0, 128, 256 * mib, 64 * mib)
    program = """
import asyncio, multiprocessing, numpy, shutil, socket, sqlite3, subprocess, threading, torch
from sklearn.linear_model import LogisticRegression
print(float(torch.ones(3) @ torch.ones(3)), float(numpy.linalg.norm(numpy.ones(4))))
print(LogisticRegression().fit([[0.0], [1.0]], [0, 1]).score([[0.0], [1.0]], [0, 1]))
x = torch.ones(4, requires_grad=True); (x * x).sum().backward(); print(x.grad.sum().item())
print(asyncio.run(asyncio.sleep(0, "loop")), sqlite3.connect(":memory:").execute("select 1").fetchone())
print(multiprocessing.get_context("fork").Pool(2).map(abs, [-1, -2]))
a, b = socket.socketpair(); a.sendall(b"pair"); print(b.recv(4))
shutil.copyfile("/etc/passwd", "/tmp/copy"); print(socket.if_nameindex()[0][1])
print(subprocess.run("mkfifo /tmp/p && echo piped | cat && sync", shell=True).returncode)
"""
    with fleet.open(spec, "toolserver", role="agent", cpuset="0-1") as sandbox:
        text = python(Hands(sandbox), program, timeout_s=120.0)  # imports of seconds, on a host that may be busy
        assert "[exit status 0]" in Hands(sandbox).bash(
            "python3 -m venv --without-pip v && v/bin/python -c 'import ssl'"
        )
    assert text.splitlines()[-1] == "[exit status 0]", text
    for line in ("3.0 2.0", "1.0", "8.0", "loop (1,)", "[1, 2]", "b'pair'", "lo", "piped"):
        assert line in text.splitlines(), text


# Tags on frames


def test_a_forged_frame_ends_the_sandbox_and_is_the_evidence(
    fleet: Fleet, nbody_spec: SandboxSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge = "os.write(self.wire.writing, HEADER.pack(2, 0, REPLY, sequence) + b'{}' + bytes(16))"
    answer = '        return {"ok": True}, body\n'
    changed_server(monkeypatch, answer, f"        {forge}\n{answer}")
    with fleet.open(nbody_spec, "toolserver", role="agent", cpuset="0") as sandbox:
        got = sandbox.ask({"op": "ping"}, deadline_s=10.0)
    assert isinstance(got, GuestExit) and got.how is ExitCause.MALFORMED
    assert got.detail == "a forged frame: its tag is not PID 1's (kind 2, sequence 1)"


def test_a_command_inherits_nothing_of_the_key(agent: Hands) -> None:
    assert agent.bash("cat /proc/self/environ /proc/self/cmdline /proc/$$/environ /proc/$$/cmdline | grep -ac KEY") == (
        "0\n[exit status 1]"
    )
    assert "Permission denied" in agent.bash("grep -c KEY /proc/1/mem")


# On paper


def test_the_table_that_is_tried_inside_is_the_one_that_the_host_expects() -> None:
    tried = set(re.findall(r'^    "([a-z0-9_ ,]+)": \(', TABLE, re.M))
    assert tried == set(WALLED_CALLS)


def test_the_profile_allows_by_name_and_what_is_tried_is_refused_in_it() -> None:
    profile = json.loads(SECCOMP_PROFILE)
    allowed = {name for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}
    refused = {name for rule in profile["syscalls"] if rule["action"] != "SCMP_ACT_ALLOW" for name in rule["names"]}
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO" and not allowed & refused
    assert {name for name in WALLED_CALLS if " " not in name} <= refused  # the others are refused by their arguments


@pytest.mark.parametrize(
    ("name", "is_kept"),
    [
        ("LD_PRELOAD", False), ("PYTHONPATH", False), ("BASH_ENV", False), ("ENV", False), ("https_proxy", False),
        ("BASH_FUNC_read%%", False), ("SHELLOPTS", False), ("BASHOPTS", False),
        ("NVIDIA_VISIBLE_DEVICES", False), ("NVIDIA_DRIVER_CAPABILITIES", False), ("NVIDIA_REQUIRE_CUDA", False),
        ("CUDA_VERSION", False), ("AMD_VISIBLE_DEVICES", False), ("CUDA_HOME", True), ("VISIBLE_DEVICES", True),
        ("PATH", True), ("ENVIRONMENT", True), ("ENV_NAME", True), ("OLD_NAME", True), ("NO_PROXY_NEEDED", True),
        ("CPATH", True),
    ],
)  # fmt: skip
def test_of_an_images_environment_what_steers_programs_is_left_out_and_nothing_else(name: str, is_kept: bool) -> None:
    environment, unset = clean_environment({name: "x"}, {})
    assert (name in dict(environment), unset) == (is_kept, () if is_kept else (name,))


def test_what_a_task_sets_is_not_unset_because_its_image_has_it_too() -> None:
    environment, unset = clean_environment(
        {"LD_LIBRARY_PATH": "/image", "PYTHONPATH": "/x"}, {"LD_LIBRARY_PATH": "/task"}
    )
    assert dict(environment)["LD_LIBRARY_PATH"] == "/task" and unset == ("PYTHONPATH",)


HUGE, OPEN_EXTRAS = 0x40000, 0x80800  # MAP_HUGETLB; SOCK_CLOEXEC and SOCK_NONBLOCK


def lets_through(call: str, *arguments: int) -> bool:
    """Whether a rule of the profile allows a call with these arguments; one without a rule is refused."""
    rules = [rule for rule in json.loads(SECCOMP_PROFILE)["syscalls"] if call in rule["names"]]
    return any(
        rule["action"] == "SCMP_ACT_ALLOW"
        and all(
            arguments[test["index"]] & test["value"] == test["valueTwo"]
            if test["op"] == "SCMP_CMP_MASKED_EQ"
            else arguments[test["index"]] == test["value"]
            for test in rule.get("args", ())
        )
        for rule in rules
    )


@pytest.mark.parametrize("call", ["mmap", "mmap2"])
def test_no_sandbox_can_take_the_huge_pages_that_a_host_has_one_pool_of(call: str) -> None:
    assert lets_through(call, 0, 1 << 21, 3, 0x22, -1, 0) and lets_through(call, 0, 4096, 3, 1, 5, 0)
    assert not lets_through(call, 0, 1 << 21, 3, 0x22 | HUGE, -1, 0)
    assert not lets_through(call, 0, 1 << 21, 3, 0x22 | HUGE | 30 << 26, -1, 0)  # of a GiB
    assert lets_through("memfd_create", 0, 3) and not lets_through("memfd_create", 0, 4 | 1)


@pytest.mark.parametrize("family", [2, 10])
@pytest.mark.parametrize(
    ("type_", "protocol", "allowed"),
    [
        (1, 0, True), (1, 6, True), (1 | OPEN_EXTRAS, 6, True), (2, 0, True), (2, 17, True), (2 | OPEN_EXTRAS, 0, True),
        (1, 132, False), (1, 256, False), (1, 262, False), (5, 132, False), (6, 33, False), (6, 0, False),
        (2, 115, False), (2, 136, False), (3, 1, False), (4, 0, False), (10, 0, False), (1, 17, False),
    ],
)  # fmt: skip
def test_the_kernel_loads_no_module_of_a_rare_protocol_for_a_sandbox(
    family: int, type_: int, protocol: int, allowed: bool
) -> None:
    assert lets_through("socket", family, type_, protocol) is allowed


def test_every_field_has_a_wall_that_exists_and_every_wall_a_field() -> None:
    assert set(WALL_OF_FIELD.values()) == set(WALLS)


def test_a_wall_that_the_engine_says_it_lacks_is_not_said_to_stand() -> None:
    found = isolation([Difference("engine, cpu", True, False)], "", {})
    assert (found["grade"], found["unenforced"]) == ("partial", ["cpu"]) and "cpu" not in found["walls"]


def test_a_difference_that_is_no_walls_is_refused_whatever_is_allowed(nbody_spec_on_paper: SandboxSpec) -> None:
    spec = dataclasses.replace(nbody_spec_on_paper, unenforced=tuple(WALLS))
    inspected = {"Config": {}, "HostConfig": {}, "Image": "sha256:another"}
    with pytest.raises(SandboxMismatch, match="Image: "):
        verify_container(spec, PLACE, inspected, {})


def test_a_wall_is_named_as_it_is_or_not_at_all() -> None:
    assert check_names(["disk", "calls", "disk"]) == ("calls", "disk")
    with pytest.raises(UsageFault, match="no wall 'moat'") as fault:
        check_names(["moat"])
    assert "calls" in fault.value.hint


def test_the_grade_says_what_is_missing_and_whose_kernel_it_is() -> None:
    found = isolation(
        [Difference("HostConfig.Tmpfs", {}, None), Difference("inside, seccomp", "2", "0")], "runsc", {"gvisor": True}
    )
    assert (found["grade"], found["unenforced"], found["kernel"]) == ("partial", ["disk", "calls"], "gVisor")
    assert found["landlock"] == 0 and isolation([], "", {"landlock": 7})["landlock"] == 7


@pytest.fixture
def nbody_spec_on_paper() -> SandboxSpec:
    mib = spec_module.MIB
    return SandboxSpec("sha256:0", "python3", (), (), 512 * mib, 1.0, 128, 32 * mib, 32 * mib)
