"""Files into the workspace of an agent's sandbox."""

from collections.abc import Sequence

from runner.faults import WorkspaceFault
from runner.sandbox.container import GuestExit, Sandbox

# (path in the workspace, content)
Files = Sequence[tuple[str, bytes]]
FILE_DEADLINE_S = 30.0  # chosen: far over the time that the largest file takes on a busy host


def populate_workspace(sandbox: Sandbox, files: Files, *, hint: str = "raise limits.workspace") -> None:
    """Put files into the workspace.

    Raises:
        WorkspaceFault: a file could not be written; `hint` says what to do.
        SandboxLost: the container was lost.
    """
    for path, content in files:
        got = sandbox.ask({"op": "create", "path": path}, content, deadline_s=FILE_DEADLINE_S)
        if isinstance(got, GuestExit) or not got.frame.head.get("ok"):
            reason = got.detail if isinstance(got, GuestExit) else got.frame.head.get("error")
            raise WorkspaceFault(cause=f"{path} could not be put into the workspace: {reason}", hint=hint)
