"""The agent's tools: a call is checked, sent into the sandbox as one frame, and its result is text.

A call that is wrong (unknown tool, bad input, a path outside the workspace) has a result that the agent can learn from. A
sandbox that no longer answers is a `GuestExit`, which ends the episode.
"""

import time
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from runner.agents.tool_results import error_of, printable, result_of
from runner.records.episode import Submission, ToolCall, ToolResult
from runner.sandbox.container import GuestExit, Received, Sandbox
from runner.sandbox.workspace import FILE_DEADLINE_S
from runner.tasks.schema import SubmissionSection
from runner.tasks.task import Task

# What one call of a tool may use. The limits of an episode are in `runner.budget`.
BASH_DEADLINE_S = 120.0
BASH_DEADLINE_MAX_S = 600.0  # chosen: ten minutes, as the agents that the field knows allow
ANSWER_GRACE_S = 15.0  # chosen: PID 1 ends what runs and answers within it, on a busy host, too
OUTPUT_BYTES_MAX = 30_000  # chosen: about 8,000 tokens, both ends of a long output
INPUT_BYTES_MAX = 2 * 1024 * 1024  # chosen: far over the largest file that a task accepts
NO_WORK = (".logs", ".solution")  # of the workspace: where an image's /logs and /solution lead
CALLS_PER_TURN_MAX = 32  # chosen: models ask for a handful at a time


def _bounded(text: str) -> str:
    if len(_encode(text)) > INPUT_BYTES_MAX:
        raise ValueError(f"a text may have {INPUT_BYTES_MAX} bytes")
    return text


Path = Annotated[str, Field(min_length=1, max_length=4096)]
Text = Annotated[str, Field(max_length=INPUT_BYTES_MAX), AfterValidator(_bounded)]
LineNumber = Annotated[int, Field(ge=-1, le=2**31)]


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Bash(_Input):
    """Run a command in the persistent shell; directory, variables and functions stay. `restart` starts a new shell."""

    command: Text | None = None
    restart: bool = False
    timeout_s: Annotated[float, Field(gt=0, le=BASH_DEADLINE_MAX_S)] = BASH_DEADLINE_S


class View(_Input):
    """Show a file with numbered lines (`view_range` [first, last], -1 for the end), or the names in a folder."""

    path: Path
    view_range: Annotated[list[LineNumber], Field(min_length=2, max_length=2)] | None = None


class Create(_Input):
    """Write a file; one of that name is replaced."""

    path: Path
    file_text: Text


class StrReplace(_Input):
    """Replace the one place in a file where `old_str` is."""

    path: Path
    old_str: Text
    new_str: Text = ""


class Insert(_Input):
    """Insert text after a line (0: at the beginning)."""

    path: Path
    insert_line: Annotated[LineNumber, Field(ge=0)]
    insert_text: Text


class Submit(_Input):
    """Submit a file of the workspace, by its path or its bare name. This ends the episode."""

    path: Path


TOOLS: dict[str, type[_Input]] = {
    "bash": Bash,
    "view": View,
    "create": Create,
    "str_replace": StrReplace,
    "insert": Insert,
    "submit": Submit,
}


@dataclass(frozen=True, slots=True)
class Accepted:
    """What can be submitted: a file of so many bytes, or a folder of so many files with so many bytes in all.

    Attributes:
        paths: what is taken of the workspace, whatever is named; empty: what is named.
        left_out: paths below them that are not taken.
    """

    bytes_max: int
    folder: bool = False
    files_max: int = 1
    paths: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @classmethod
    def by(cls, section: SubmissionSection) -> "Accepted":
        """What a task accepts."""
        return cls(section.max_bytes, section.folder, section.max_files)

    @classmethod
    def at_step(cls, task: Task, number: int) -> "Accepted":
        """What a task accepts at a step, from 0."""
        accepted = cls.by(task.file.submission)
        if task.kind != "tests":
            return accepted
        return replace(accepted, paths=tuple(task.steps[number].collect), left_out=NO_WORK)


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """The result of a call, and what it means for the episode.

    Attributes:
        submission: set by a `submit` that succeeded.
    """

    result: ToolResult
    submission: Submission | None = None


def run_tool(
    sandbox: Sandbox, call: ToolCall, accepted: Accepted | int, seconds_max: float = BASH_DEADLINE_MAX_S
) -> ToolOutcome | GuestExit:
    """Run one call in the sandbox.

    Args:
        accepted: what can be submitted; a number: a file of so many bytes.
        seconds_max: a command that takes longer is ended, whatever timeout it asks for.

    Returns:
        `GuestExit` where the sandbox no longer answers, by the agent's own doing.

    Raises:
        InfrastructureFault: the engine or the host failed.
        Interrupted: we are stopping.
    """
    started = time.monotonic()
    checked = _check(call)
    if isinstance(checked, str):
        return ToolOutcome(error_of(call, checked))
    if isinstance(checked, Bash):
        checked = checked.model_copy(update={"timeout_s": min(checked.timeout_s, max(0.1, seconds_max))})
    accepted = Accepted(accepted) if isinstance(accepted, int) else accepted
    head, body, deadline_s = _request(checked, accepted)
    got = sandbox.ask(head, body, deadline_s=deadline_s)
    if isinstance(got, GuestExit):
        return got
    return _outcome(call, checked, got, time.monotonic() - started)


def _check(call: ToolCall) -> _Input | str:
    """The input as its schema has it, or what is wrong with it."""
    if call.tool not in TOOLS:
        return f"there is no tool {call.tool!r}; the tools are {', '.join(TOOLS)}"
    try:
        checked = TOOLS[call.tool].model_validate(call.input)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'input'}: {e['msg']}" for e in error.errors())
        return f"the input does not fit {call.tool}: {wrong}"
    if isinstance(checked, Bash) and not checked.restart and checked.command is None:
        return "the input does not fit bash: give a command, or restart = true"
    return checked


def _request(checked: _Input, accepted: Accepted) -> tuple[dict[str, Any], bytes, float]:
    """(head, body, deadline in seconds) of the frame that asks for it."""
    match checked:
        case Bash(restart=True):
            return {"op": "restart"}, b"", FILE_DEADLINE_S
        case Bash(command=command, timeout_s=timeout_s):
            head = {"op": "bash", "timeout_s": timeout_s, "output_bytes_max": OUTPUT_BYTES_MAX}
            return head, _encode(command or ""), timeout_s + ANSWER_GRACE_S
        case View(path=path, view_range=view_range):
            head = {"op": "view", "path": path, "view_range": view_range, "bytes_max": OUTPUT_BYTES_MAX}
            return head, b"", FILE_DEADLINE_S
        case Create(path=path, file_text=text):
            return {"op": "create", "path": path}, _encode(text), FILE_DEADLINE_S
        case StrReplace(path=path, old_str=old, new_str=new):
            old_bytes = _encode(old)
            head = {"op": "str_replace", "path": path, "old_bytes": len(old_bytes)}
            return head, old_bytes + _encode(new), FILE_DEADLINE_S
        case Insert(path=path, insert_line=line, insert_text=text):
            return {"op": "insert", "path": path, "insert_line": line}, _encode(text), FILE_DEADLINE_S
        case Submit(path=path):
            return {"op": "collect", "path": path, **asdict(accepted)}, b"", FILE_DEADLINE_S
        case _:
            raise TypeError(f"no request for {type(checked).__name__}")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _outcome(call: ToolCall, checked: _Input, received: Received, seconds: float) -> ToolOutcome:
    head, body = received.frame.head, received.frame.body
    if isinstance(checked, Submit) and head.get("ok"):
        text = printable(f"submitted {checked.path} ({len(body)} bytes)")
        return ToolOutcome(
            ToolResult(call.id, text, is_error=False, seconds=seconds), Submission(path=checked.path, content=body)
        )
    result = result_of(call, received, seconds, chars_max=OUTPUT_BYTES_MAX)
    if isinstance(checked, Bash) and not checked.restart and not result.is_error:
        end = "" if not result.text or result.text.endswith("\n") else "\n"
        result = replace(result, text=result.text + end + _exit_line(head, checked.timeout_s))
    return ToolOutcome(result)


def _exit_line(head: dict[str, Any], timeout_s: float) -> str:
    """The last line of a command's result: how it ended, and why."""
    why, status = head.get("why"), head.get("exit_status")
    match why:
        case "timeout":
            return f"[timed out after {timeout_s:g} s: everything it started was killed; the shell is new]"
        case "memory":
            line = f"[exit status {status}: killed for memory]"
        case "signal":
            line = f"[exit status {status}: ended by a signal]"
        case _:
            line = f"[exit status {status}]"
    return line if head.get("shell_alive") else line[:-1] + "; the shell ended, the next command gets a new one]"


def schemas() -> list[dict[str, Any]]:
    """The tools as JSON schemas, for agents that speak to a model."""
    return [
        {"name": name, "description": model.__doc__ or "", "input_schema": model.model_json_schema()}
        for name, model in TOOLS.items()
    ]
