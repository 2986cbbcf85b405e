"""The steps of a task whose work a script tests: what the workspace holds when one begins, and what is asked for."""

import shlex
from collections.abc import Iterator

from runner.faults import WorkspaceFault
from runner.sandbox.container import GuestExit, Sandbox
from runner.sandbox.workspace import populate_workspace
from runner.tasks.task import Task, files_below

PRISTINE = "/.runner/workspace"  # in the image, as in runner/sandbox/inside/collected.py
SETUP = "setup.sh"  # of a step's files: runs before the agent does
SETUP_DEADLINE_S = 300.0  # chosen: copying what fits into a workspace, or a short script
OUTPUT_BYTES_MAX = 4_000  # chosen: of what is said where it fails


def prepare_step(sandbox: Sandbox, task: Task, number: int) -> None:
    """Have the workspace as a step finds it; the shell stands in the folder where it begins.

    Args:
        number: of the step, from 0; the first one begins with what the image holds.

    Raises:
        WorkspaceFault: something could not be put there, or the step's script failed.
        SandboxLost: the container was lost.
    """
    start = task.file.workspace.start or "/workspace"
    if number == 0:
        made = "mkdir -p /workspace/.logs/agent /workspace/.logs/artifacts /workspace/.logs/verifier"
        copied = f"{{ [ ! -d {PRISTINE} ] || cp -a {PRISTINE}/. /workspace/; }}"
        _run(sandbox, f"{copied} && {made} && cd -- {shlex.quote(start)}", "its image")
    files = tuple(_files_of_step(task, number))
    inner = _inner(start)
    populate_workspace(sandbox, [(f"{inner}{name}", content) for name, content in files])
    _run(sandbox, f"cd -- {shlex.quote(start)}", "the folder where it begins")
    if any(name == SETUP for name, _ in files):
        _run(sandbox, f"bash ./{SETUP}", f"its {SETUP}")


def _files_of_step(task: Task, number: int) -> Iterator[tuple[str, bytes]]:
    """What lies in the folder where it begins besides, by the paths in it."""
    folder = task.folder_of_step(number) / "workdir"
    return ((name, content) for name, content, _ in files_below(folder)) if folder.is_dir() else iter(())


def _inner(start: str) -> str:
    """A folder of the container as the beginning of a path in the workspace, where the image's link leads."""
    inner = start.removeprefix("/workspace").strip("/")
    return f"{inner}/" if inner else ""


def instruction_of_step(task: Task, number: int) -> str:
    """What is asked for at a step after the first."""
    return (task.folder_of_step(number) / "instruction.md").read_text(encoding="utf-8-sig")


def _run(sandbox: Sandbox, command: str, what: str) -> None:
    head = {"op": "bash", "timeout_s": SETUP_DEADLINE_S, "output_bytes_max": OUTPUT_BYTES_MAX}
    got = sandbox.ask(head, command.encode(), deadline_s=2 * SETUP_DEADLINE_S)
    if isinstance(got, GuestExit):
        raise WorkspaceFault(cause=f"the workspace could not be prepared: {got.detail}", hint="raise limits.workspace")
    if not got.frame.head.get("ok") or got.frame.head.get("exit_status") != 0:
        said = bytes(got.frame.body).decode("utf-8", "replace").strip()[-300:]
        reason = said or str(got.frame.head.get("error", ""))[:300]
        raise WorkspaceFault(
            cause=f"the workspace could not be prepared by {what}: {reason}", hint="raise limits.workspace"
        )
