"""What an agent finds in its workspace."""

import io
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from runner.episode.tools import FILE_DEADLINE_S
from runner.faults import SandboxLost
from runner.sandbox.container import GuestExit, Sandbox
from runner.sandbox.stream import Received
from runner.tasks.task import Task

Files = Sequence[tuple[str, bytes]]


def populate_workspace(sandbox: Sandbox, files: Files) -> None:
    """Put into the workspace what the agent finds there.

    Raises:
        SandboxLost: a file could not be written.
    """
    for path, content in files:
        got = sandbox.ask({"op": "create", "path": path}, content, deadline_s=FILE_DEADLINE_S)
        if not isinstance(got, Received) or not got.frame.head.get("ok"):
            why = got.detail if isinstance(got, GuestExit) else got.frame.head.get("error")
            raise SandboxLost(cause=f"{path} could not be put into the workspace: {why}", hint="raise limits.workspace")


Arrays = Mapping[str, NDArray[np.generic]]


def workspace_files(task: Task, sample: Arrays | None) -> Iterator[tuple[str, bytes]]:
    """(path, bytes) of everything that the agent finds; problem.py and the solution are never among it."""
    folder = task.folder / task.file.workspace.folder
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        yield path.relative_to(folder).as_posix(), path.read_bytes()
    yield task.file.workspace.starter, task.baseline
    if task.file.workspace.sample is not None and sample is not None:
        packed = io.BytesIO()
        np.savez_compressed(packed, allow_pickle=False, **dict(sample))
        yield task.file.workspace.sample.file, packed.getvalue()
