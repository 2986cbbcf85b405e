"""Whatever is written into a sandbox's file systems, and whatever of it stays, PID 1 has the memory that it needs."""

import dataclasses
import secrets
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.episode.tools import run_tool
from runner.faults import UsageFault
from runner.records.episode import ToolCall
from runner.sandbox.engine import Engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.image import resolve_image
from runner.sandbox.spec import FILE_BYTES, FILES_MIN, MIB, PID1_RESERVE_BYTES, TMPFS_COUNT, SandboxSpec
from runner.settings import Settings

# Links with the longest target that the kernel keeps beside the content, then content, wherever a command can write.
FILL = """
import os
for folder in ("/workspace", "/tmp", "/dev/shm"):
    with open(folder + "/content", "wb") as content:
        number = 0
        try:
            while True:
                os.symlink("y" * 126, folder + "/" + "x" * 240 + str(number))
                number += 1
        except OSError:
            print(folder, number)
        try:
            while True:
                content.write(bytes(65536))
                content.flush()
        except OSError:
            print(folder, os.stat(folder + "/content").st_size)
"""


def spec_of(
    memory_bytes: int, *, workspace_bytes: int = MIB, tmp_bytes: int = MIB, inodes: int = 20_000
) -> SandboxSpec:
    return SandboxSpec(
        image_id="sha256:0",
        python="python3",
        environment=(),
        unset=(),
        memory_bytes=memory_bytes,
        cpus=1.0,
        pids=64,
        workspace_bytes=workspace_bytes,
        tmp_bytes=tmp_bytes,
        inodes=inodes,
    )


@given(st.integers(0, 2000 * MIB), st.integers(0, 256 * MIB), st.integers(0, 256 * MIB), st.integers(1, 10 * FILES_MIN))
def test_full_file_systems_and_pid_1_fit_into_the_memory_limit_or_the_spec_is_refused(
    memory: int, workspace: int, tmp: int, inodes: int
) -> None:
    content = (workspace + tmp + 16 * MIB) * 3 // 2 + PID1_RESERVE_BYTES
    try:
        spec = spec_of(memory, workspace_bytes=workspace, tmp_bytes=tmp, inodes=inodes)
    except UsageFault as fault:
        assert content + TMPFS_COUNT * FILE_BYTES * min(inodes, FILES_MIN) >= memory and "limits.memory" in fault.hint
        return
    assert min(inodes, FILES_MIN) <= spec.files <= inodes
    assert content + TMPFS_COUNT * FILE_BYTES * spec.files <= memory


def test_more_memory_is_never_fewer_files() -> None:
    found = [spec_of(memory).files for memory in range(88 * MIB, 400 * MIB, 8 * MIB)]
    assert found == sorted(found) and found[0] < found[-1] == 20_000


@pytest.mark.parametrize("more_mib", [22, 70])
def test_full_file_systems_of_any_kind_of_file_leave_the_sandbox_working(engine: Engine, more_mib: int) -> None:
    image = resolve_image(engine, "base", Settings())
    sizes = spec_of((2 + 16 + 48 + more_mib) * MIB)
    spec = dataclasses.replace(sizes, **image.basis())
    fleet = Fleet(engine, f"test-{secrets.token_hex(4)}")
    with fleet.open(spec, "toolserver", role="agent", cpuset="0") as sandbox:

        def answer_to(command: str) -> str:
            call = ToolCall("1", "bash", {"command": command, "timeout_s": 120.0})
            got = run_tool(sandbox, call, 1024)
            return getattr(got, "result", got).text

        filled = answer_to(f"python3 -c {shlex.quote(FILL)}").splitlines()
        assert [line.split()[0] for line in filled[:-1]] == [
            folder for folder in ("/workspace", "/tmp", "/dev/shm") for _ in range(2)
        ]
        assert all(int(line.split()[1]) >= FILES_MIN - 10 for line in filled[:-1])
        assert [answer_to("echo here") for _ in range(3)] == ["here\n[exit status 0]"] * 3
    assert fleet.leaks == []


# One page in each GiB, in as many files as it takes to fill the file systems: the most that a page can cost.
HOLES = """
import os
for folder in ("/workspace", "/tmp", "/dev/shm"):
    pages = 0
    try:
        for number in range(1000):
            file = os.open(folder + "/" + str(number), os.O_CREAT | os.O_WRONLY)
            for place in range(64):
                os.pwrite(file, b"x", place << 30)
                pages += 1
            os.close(file)
    except OSError:
        print(folder, pages)
try:
    os.pwrite(os.open("/tmp/0", os.O_WRONLY), b"x", 64 << 30)
except OSError as error:
    print(error.strerror)
"""


def test_file_systems_full_of_files_with_holes_leave_the_sandbox_working(engine: Engine) -> None:
    image = resolve_image(engine, "base", Settings())
    sizes = spec_of(240 * MIB, workspace_bytes=64 * MIB, tmp_bytes=32 * MIB)
    fleet = Fleet(engine, f"test-{secrets.token_hex(4)}")
    with fleet.open(dataclasses.replace(sizes, **image.basis()), "toolserver", role="agent", cpuset="0") as sandbox:

        def answer_to(command: str) -> str:
            got = run_tool(sandbox, ToolCall("1", "bash", {"command": command, "timeout_s": 120.0}), 1024)
            return getattr(got, "result", got).text

        filled = answer_to(f"python3 -c {shlex.quote(HOLES)}").splitlines()
        assert [line.split()[0] for line in filled[:3]] == ["/workspace", "/tmp", "/dev/shm"]
        assert filled[3:] == ["File too large", "[exit status 0]"]
        assert [answer_to("echo here") for _ in range(3)] == ["here\n[exit status 0]"] * 3
    assert fleet.leaks == []
