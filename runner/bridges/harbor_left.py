"""What an agent left where Harbor collects it, as bytes: its own doing, and never the host's, is a reason against it."""

from pathlib import Path

from runner.faults import UsageFault
from runner.job.setup import read_submission
from runner.tasks.task import Task


def take_left(left: Path, task: Task) -> bytes | str | None:
    """The submission; why what was left is none; None where nothing was left, or a link.

    Raises:
        UsageFault: this host could not read it.
    """
    if left.is_symlink() or not (left.is_file() or left.is_dir()):
        return None
    try:
        return read_submission(left, task)
    except UsageFault as fault:
        if isinstance(fault.__cause__, OSError):
            raise
        return fault.cause
