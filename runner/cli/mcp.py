"""`python -m runner mcp`: one episode, served to whatever MCP client started this program."""

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from runner.bridges.mcp_server import ServedEpisode, check_installed, serve_stdio
from runner.cli.called import MODULE, as_called
from runner.cli.exit_codes import OK
from runner.cli.options import McpOptions
from runner.cli.signals import interrupt_on_sigterm
from runner.faults import UsageFault
from runner.job.training import Host
from runner.records.episode import Submission
from runner.report.output import STANDARD_ERROR, STANDARD_OUTPUT
from runner.settings import Settings
from runner.store.files import guard_writing, write_file


def serve_mcp(settings: Settings, options: McpOptions) -> int:
    """Serve until the client goes away; returns the exit status.

    Raises:
        Fault: it could not begin.
    """
    check_installed()
    check_place(_place(settings, options, "submission"))

    def keep(submission: Submission) -> str:
        path = _place(settings, options, Path(host_file).name)
        guard_writing(path, lambda: path.parent.mkdir(parents=True, exist_ok=True))
        write_file(path, submission.content)
        grade = grade_command(path, options.task.task, options.task.scale)
        print(f"submitted; its verdict: {grade}", file=sys.stderr)
        return str(path)

    with interrupt_on_sigterm(), _wire() as wire, Host(slots=1, settings=settings, say=_say) as host:
        env = host.open_episode(options.task.task, options.task.scale)
        host_file = env.setup.task.file.submission.file
        serve_stdio(ServedEpisode(env, keep), env.tools(), wire)
    return OK


def grade_command(path: Path, task: str, scale: str) -> str:
    """The command that grades a submission, as it is copied into a shell."""
    return as_called(f"{MODULE} {shlex.join(['grade', str(path), '--task', task, '--scale', scale])}")


def _place(settings: Settings, options: McpOptions, name: str) -> Path:
    """Where a submission goes: never over one of before, unless the user said where."""
    if options.to is not None:
        return options.to
    return settings.output / "mcp" / f"{datetime.now():%Y-%m-%d_%H-%M-%S}-{os.getpid()}" / name


def check_place(path: Path) -> None:
    """Check that a submission can be kept there, as far as can be told before there is one.

    Raises:
        UsageFault: it cannot.
    """
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if path.is_dir() or not parent.is_dir() or not os.access(parent, os.W_OK):
        raise UsageFault(cause=f"a submission cannot be kept as {path}", hint="name a file with --output")


@contextmanager
def _wire() -> Iterator[int]:
    """Our standard output for the protocol alone: whatever else is printed, by whomever, goes to standard error."""
    sys.stdout.flush()
    wire = os.dup(STANDARD_OUTPUT)
    os.dup2(STANDARD_ERROR, STANDARD_OUTPUT)
    try:
        yield wire
    finally:
        sys.stdout.flush()


def _say(text: str) -> None:
    print(text, file=sys.stderr)
