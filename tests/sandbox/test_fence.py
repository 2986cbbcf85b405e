"""What a command tries on PID 1, which has the same user id: it is refused, and a deadline is kept whatever was tried."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

import pytest

from runner.grading.sample import SampleSpec, run_sample, warm_sandbox
from runner.sandbox.container import INSIDE, Sandbox
from runner.sandbox.fleet import Fleet
from runner.sandbox.lock import all_cpus
from runner.sandbox.spec import SandboxSpec
from runner.tasks.task import Task
from tests.sandbox.hands import Hands

# Each call as a program would make it: 0, or the name of the error.
TRY = r"""
import ctypes, errno, json, os, resource
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
found = {}

def call(name, number, *arguments):
    result = libc.syscall(number, *(ctypes.c_long(value) for value in arguments))
    found[name] = 0 if result >= 0 else errno.errorcode[ctypes.get_errno()]

def python(name, make):
    try:
        make()
        found[name] = 0
    except OSError as error:
        found[name] = errno.errorcode[error.errno]

x86 = os.uname().machine == "x86_64"
setpriority, sched_setattr, ioprio_set, fcntl = (141, 314, 251, 72) if x86 else (140, 274, 30, 25)
folder = os.open("/tmp", os.O_RDONLY)
attributes = ctypes.create_string_buffer((48).to_bytes(4, "little") + (3).to_bytes(4, "little"), 48)
limit, idle, me, child = (0, 0), os.sched_param(0), os.getpid(), os.fork()
if child == 0:
    import time
    time.sleep(30)
    os._exit(0)
for kind in ("NPROC", "NOFILE", "AS", "CPU", "DATA", "STACK", "FSIZE"):
    python("limit 1 " + kind, lambda: resource.prlimit(1, getattr(resource, "RLIMIT_" + kind), limit))
python("nice 1", lambda: os.setpriority(os.PRIO_PROCESS, 1, 19))
python("nice group 1", lambda: os.setpriority(os.PRIO_PGRP, 1, 19))
python("nice user", lambda: os.setpriority(os.PRIO_USER, os.getuid(), 19))
python("nice own user", lambda: os.setpriority(os.PRIO_USER, 0, 19))
call("nice 1, high bits", setpriority, 1 << 32, 1 | 1 << 32, 19)
python("schedule 1", lambda: os.sched_setscheduler(1, os.SCHED_IDLE, idle))
python("parameters 1", lambda: os.sched_setparam(1, idle))
python("pin 1", lambda: os.sched_setaffinity(1, {min(os.sched_getaffinity(0))}))
call("attributes 1", sched_setattr, 1, ctypes.addressof(attributes), 0)
call("disk 1", ioprio_set, 1, 1, 3 << 13)
call("disk user", ioprio_set, 3, os.getuid(), 3 << 13)
call("secret memory", 447, 0)
call("delegation", fcntl, folder, 1024 + 16, 0)
call("delegation, high bits", fcntl, folder, 1024 + 16 | 1 << 32, 0)
hint = ctypes.create_string_buffer((3).to_bytes(8, "little"), 8)
call("hint", fcntl, folder, 1024 + 12, ctypes.addressof(hint))
call("hint of a descriptor", fcntl, folder, 1024 + 14, ctypes.addressof(hint))
call("another fcntl", fcntl, folder, 1, 0)
python("nice me", lambda: os.setpriority(os.PRIO_PROCESS, 0, 6))
python("nice me by number", lambda: os.setpriority(os.PRIO_PROCESS, me, 7))
python("nice my child", lambda: os.setpriority(os.PRIO_PROCESS, child, 8))
python("nice my group", lambda: os.setpriority(os.PRIO_PGRP, 0, 9))
python("limit me", lambda: resource.setrlimit(resource.RLIMIT_CORE, limit))
python("limit my child", lambda: resource.prlimit(child, resource.RLIMIT_CORE, limit))
python("pin me", lambda: os.sched_setaffinity(me, os.sched_getaffinity(0)))
python("batch me", lambda: os.sched_setscheduler(0, os.SCHED_BATCH, idle))
os.kill(child, 9)
print(json.dumps(found))
"""
SERVERS_LIMITS = ("limit 1 " + kind for kind in ("NPROC", "NOFILE", "AS", "CPU", "DATA", "STACK", "FSIZE"))
REFUSED = dict.fromkeys(
    (
        *SERVERS_LIMITS, "nice 1", "nice group 1", "nice user", "nice own user", "nice 1, high bits", "schedule 1",
        "parameters 1", "pin 1", "attributes 1", "disk 1", "disk user", "delegation", "delegation, high bits",
    ),
    "EPERM",
)  # fmt: skip
OWN = (
    "nice me",
    "nice me by number",
    "nice my child",
    "nice my group",
    "limit me",
    "limit my child",
    "pin me",
    "batch me",
    "another fcntl",
)
KEPT = dict.fromkeys(OWN, 0)
UNKNOWN = {"secret memory": "ENOSYS", "hint": "EINVAL", "hint of a descriptor": "EINVAL"}
LATE_S = 0.5  # what a deadline may be late
# 16 processes, each in a read that goes on to its end, whatever signal comes.
LONG_READS = """python3 -c '
import os
file, buffer = os.memfd_create("sparse"), bytearray(2 << 20)
os.ftruncate(file, 1 << 31)
for _ in range(4):
    os.fork()
while True:
    os.preadv(file, [buffer] * 1024, 0)'"""


# Behind the fence: what comes of a hint, and what the file says of hints afterwards.
HINTED = """
import fcntl
fence()
kept = os.open(sys.argv[1], os.O_RDONLY)
try:
    fcntl.fcntl(kept, 1036, struct.pack("=Q", 3))
except OSError as error:
    print(errno.errorcode[error.errno], end=" ")
print(struct.unpack("=Q", fcntl.fcntl(kept, 1035, bytes(8)))[0])
"""


def test_no_guest_leaves_a_hint_on_a_file(tmp_path: Path) -> None:
    program = "".join((INSIDE / name).read_text() + "\n" for name in ("frames.py", "refuse.py", "fence.py")) + HINTED
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=False)
    assert done.stdout == "EINVAL 0\n", done.stderr


@pytest.fixture
def agent(sandbox: Sandbox) -> Hands:
    return Hands(sandbox)


def test_what_reaches_pid_1_is_refused_and_what_a_program_does_to_its_own_is_not(agent: Hands) -> None:
    text = agent.bash(f"python3 - <<'PROGRAM'\n{TRY}\nPROGRAM\n").splitlines()[-2]
    assert json.loads(text) == {**REFUSED, **KEPT, **UNKNOWN}


@pytest.mark.parametrize("program", ["driver", "profiler"])
def test_neither_does_what_a_sample_tries(
    program: Literal["driver", "profiler"], fleet: Fleet, nbody: Task, nbody_spec: SandboxSpec
) -> None:
    spec = SampleSpec(task=nbody, sandbox=nbody_spec, layout=(), inputs=b"", answer=(), deadline_s=60.0, preload=())
    source = TRY.replace("print(json.dumps(found))", "raise RuntimeError(json.dumps(found))").encode()
    with warm_sandbox(fleet, spec, role="check", cpuset=all_cpus(fleet.engine), program=program) as sandbox:
        result = run_sample(sandbox, spec, source)
    assert json.loads(result.detail.removeprefix("RuntimeError: ")) == {**REFUSED, **KEPT, **UNKNOWN}


@pytest.mark.parametrize(
    "command",
    [
        "renice -n 19 1; chrt -i -p 0 1; taskset -p 1 1; for n in $(seq 50); do (while :; do :; done) & done; sleep 60",
        "chrt -i 0 sh -c 'for n in $(seq 50); do (while :; do :; done) & done; sleep 60'",
        "renice -n 19 $$; yes | cat & yes | cat & sleep 60",
        "trap '' TERM INT HUP; b() { b | b & }; b; sleep 60",
        "kill -STOP $$",
        "python3 -c 'x = bytearray(300_000_000); import time; time.sleep(60)'",
        LONG_READS,
    ],
    ids=["aimed at PID 1", "idle", "output", "fork bomb", "stopped", "much memory", "long calls"],
)
def test_a_deadline_is_kept_whatever_a_command_does(agent: Hands, command: str) -> None:
    agent.bash("true")
    for timeout_s in (0.2, 1.0):
        late_s = []
        while len(late_s) < 3 and min(late_s, default=LATE_S) >= LATE_S:  # this machine may have been busy itself
            started = time.monotonic()
            assert "timed out" in agent.bash(command, timeout_s=timeout_s)
            late_s.append(time.monotonic() - started - timeout_s)
            assert agent.bash("echo here") == "here\n[exit status 0]"
        assert min(late_s) < LATE_S
