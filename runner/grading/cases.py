"""A sample of a program: each case is a process of its own, fed and read through pipes; and the build that comes before.

The program's files are put there and everything is emptied before each case, while no clock runs. The host's clock runs from
the frame that starts a case to the last byte of its output, and a sample's time is the sum over its cases. What a build
leaves is bytes to the host, which go into other containers and nowhere else.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from runner.faults import InfrastructureFault
from runner.grading.sample import (
    TEXT_MAX,
    SampleResult,
    SampleSpec,
    result_of_exit,
    run_sample,
    warm_sandbox,
    with_use,
)
from runner.records.bundle import BUNDLE, pack_files
from runner.records.grading import Ending
from runner.sandbox.container import ExitCause, GuestExit, Received, Sandbox, check_host_had_memory
from runner.sandbox.fleet import Fleet
from runner.sandbox.wire import Kind
from runner.tasks.kinds import case_name, of_bytes
from runner.tasks.task import Task

PREPARE_DEADLINE_S = 60.0  # chosen: ending processes takes up to 5 s, emptying and writing the files far less
OUT_FOLDER = "out"  # what a build leaves in it is the program


@dataclass(frozen=True, slots=True)
class Built:
    """What became of a build.

    Attributes:
        files: what it left, as bytes; None where it failed.
        said: why, with the end of what was printed: hostile text.
    """

    files: bytes | None
    said: str = ""


def run_sample_of_kind(
    sandbox: Sandbox, spec: SampleSpec, source: bytes, cutoff_s: float | None = None
) -> SampleResult:
    """One sample, of a function or of a program's cases."""
    return (run_sample if spec.cases is None else run_cases)(sandbox, spec, source, cutoff_s)


def run_cases(sandbox: Sandbox, spec: SampleSpec, source: bytes, cutoff_s: float | None = None) -> SampleResult:
    """Run every case of a sample; the first that fails ends it.

    Args:
        source: the program's files: as submitted, or what its build left.

    Raises:
        InfrastructureFault: engine or host failed; nothing is said about the submission.
    """
    assert spec.cases is not None
    call, total_s, arrays = spec.task.file.call, 0.0, {}
    before = sandbox.used()
    ended = _kept(sandbox, *files_of_source(spec.task, source))
    if ended is not None:
        return result_of_exit(ended, 0.0, None)
    deadline_s = spec.deadline_s if cutoff_s is None else min(cutoff_s, spec.deadline_s)
    for number, stdin in enumerate(spec.cases, 1):
        failed = _prepared(sandbox, is_first=number == 1)
        if failed is not None:
            return replace(failed, seconds=total_s)
        start_s = time.monotonic()
        head = {"op": "case", "argv": call.run, "out_max": call.stdout_max}
        reply = sandbox.ask(head, stdin, deadline_s=max(0.001, deadline_s - total_s), body_bytes_max=call.stdout_max)
        sandbox.check_ran(start_s)
        if isinstance(reply, GuestExit):
            total_s += time.monotonic() - start_s
            found = result_of_exit(reply, total_s, cutoff_s if deadline_s != spec.deadline_s else None)
            found = replace(found, detail=f"case {number}: {found.detail}")
            gone = reply.how in (ExitCause.DIED, ExitCause.MEMORY)
            return found if gone else with_use(found, before, sandbox)
        total_s += reply.at_s - start_s
        if (wrong := _misfit(reply, number, call.stdout_max)) is not None:
            check_host_had_memory(sandbox, reply)
            return with_use(replace(wrong, seconds=total_s), before, sandbox)
        arrays[case_name(number)] = of_bytes(reply.frame.body)
    if sandbox.stream.has_surplus:
        return SampleResult(Ending.BAD_ANSWER, total_s, detail="more bytes came than were asked for")
    return with_use(SampleResult(Ending.ANSWERED, total_s, arrays), before, sandbox)


def _kept(sandbox: Sandbox, content: bytes, under: str) -> GuestExit | None:
    """Give it the program's files; how it ended, if it did."""
    got = sandbox.ask({"op": "files", "under": under}, content, deadline_s=PREPARE_DEADLINE_S)
    return _before_anything_ran(got) if isinstance(got, GuestExit) else None


def files_of_source(task: Task, source: bytes) -> tuple[bytes, str]:
    """(files as one run of bytes, the folder of the workspace that they belong into)."""
    file = task.file
    if file.call.build:
        return source, OUT_FOLDER
    return submitted_files(task, source)


def submitted_files(task: Task, content: bytes) -> tuple[bytes, str]:
    """As `files_of_source`, of what was submitted."""
    section = task.file.submission
    if section.folder:
        return content, section.file
    return pack_files([(section.file, content, True)]), ""


def _before_anything_ran(ended: GuestExit) -> GuestExit:
    """The end of a sandbox in which nothing of a guest's has run: its files can only have been too large for the memory.

    Raises:
        InfrastructureFault: it ended in another way.
    """
    if ended.how is not ExitCause.MEMORY:
        raise InfrastructureFault(
            cause=f"a sandbox ended before the program ran: {ended.how}, {ended.detail}",
            hint="run `python -m runner doctor`, and the job again",
        )
    return ended


def _prepared(sandbox: Sandbox, *, is_first: bool) -> SampleResult | None:
    """Have everything as it was before the first case; why that was not possible.

    Raises:
        InfrastructureFault: nothing of a guest's has run yet, and the sandbox ended.
    """
    got = sandbox.ask({"op": "prepare"}, deadline_s=PREPARE_DEADLINE_S)
    if isinstance(got, GuestExit):
        return result_of_exit(_before_anything_ran(got) if is_first else got, 0.0, None)
    if not got.frame.head.get("ok"):
        return SampleResult(Ending.BAD_ANSWER, 0.0, detail=f"its files cannot be used: {_words(got, 'error')}")
    return None


def _misfit(reply: Received, number: int, out_max: int) -> SampleResult | None:
    """How a case went wrong; None: it ended well."""
    head, said = reply.frame.head, _words(reply, "said").strip()
    if reply.frame.kind is not Kind.ANSWER:
        return SampleResult(Ending.BAD_ANSWER, 0.0, detail="the frame that came is not an answer")
    if head.get("over"):
        return SampleResult(Ending.BAD_ANSWER, 0.0, detail=f"case {number}: it printed more than {out_max} bytes")
    status = head.get("status")
    if status == 0:
        return None
    ending = Ending.OUT_OF_MEMORY if head.get("memory") and status == -9 else Ending.CRASHED
    how = f"ended by signal {-status}" if isinstance(status, int) and status < 0 else f"exit status {status}"
    return SampleResult(ending, 0.0, detail=f"case {number}: {how}{': ' if said else ''}{said}"[:TEXT_MAX])


def _words(reply: Received, key: str) -> str:
    return str(reply.frame.head.get(key, ""))[-TEXT_MAX:]


# Building


def build(fleet: Fleet, spec: SampleSpec, content: bytes, *, cpuset: str, run: str = "") -> Built:
    """Run the task's build on what was submitted, in a sandbox of its own; without one, the files are the program.

    Raises:
        InfrastructureFault: engine or host failed.
    """
    call = spec.task.file.call
    if spec.task.file.submission.folder and not content.startswith(BUNDLE):
        return Built(None, "one file was submitted where a folder is asked for")
    if not call.build:
        return Built(content)
    files, under = submitted_files(spec.task, content)
    with warm_sandbox(fleet, spec, role="check", cpuset=cpuset, run=run) as sandbox:
        ended = _kept(sandbox, files, under)
        failed = _prepared(sandbox, is_first=True) if ended is None else result_of_exit(ended, 0.0, None)
        if failed is not None:
            return Built(None, failed.detail)
        head = {"op": "build", "argv": call.build, "out_max": call.out_max, "files_max": call.files_max}
        # A file's line and path come besides its bytes.
        most = call.out_max + call.files_max * 1100
        reply = sandbox.ask(head, deadline_s=call.build_wall_s, body_bytes_max=most)
        if isinstance(reply, Received) and reply.frame.head.get("status") != 0:
            check_host_had_memory(sandbox, reply)
    if isinstance(reply, GuestExit):
        return Built(None, f"the build {reply.how}: {reply.detail}")
    return _built(reply.frame.head, reply, call.build_wall_s)


def _built(head: Mapping[str, Any], reply: Received, wall_s: float) -> Built:
    said = _words(reply, "said").strip()
    if head.get("status") != 0:
        memory = ", out of memory" if head.get("memory") else ""
        return Built(None, f"the build's exit status is {head.get('status')}{memory}: {said or 'it said nothing'}")
    if head.get("refused"):
        return Built(None, f"the build left nothing that can be taken: {_words(reply, 'refused')}")
    return Built(reply.frame.body)


def check_build(name: str, built: Built) -> bytes:
    """The files of one of the task's own programs.

    Raises:
        InfrastructureFault: it does not build.
    """
    if built.files is None:
        raise InfrastructureFault(cause=f"the {name} does not build: {built.said}", hint="fix it, or [call] build")
    return built.files
