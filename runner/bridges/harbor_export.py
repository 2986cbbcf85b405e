"""A task of ours as one of Harbor's: `harbor lint` finds nothing in it, and `harbor run` plays it with our plug-ins.

What is hidden from agents (problem.py, the solution, the baseline) goes into tests/, which Harbor gives to no agent where
the verifier has an environment of its own. What grades is `runner.bridges.harbor_plugin:RunnerVerifier`, on the host; the
script that Harbor wants to find there only says so.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import runner
from runner.bridges.harbor_files import new_folder
from runner.bridges.harbor_task import HARBOR_VERSION, SCHEMA_VERSIONS, WORKSPACE
from runner.bridges.harbor_toml import quoted
from runner.faults import UsageFault
from runner.job.setup import agent_files
from runner.sandbox.spec import MIB
from runner.sandbox.workspace import Files
from runner.tasks.problem import load_problem
from runner.tasks.task import Task, files_below

TASK_FOLDER, ABOUT = "task", "runner.json"  # below tests/
ENVIRONMENT = "runner.bridges.harbor_plugin:RunnerEnvironment"
VERIFIER = "runner.bridges.harbor_plugin:RunnerVerifier"
AGENT_USER = "agent"  # not root; every process of our sandboxes is one of a user of its own
TEST = f"""#!/bin/bash
# A grading by runner is made on the host, from the file that was left: harbor run --env {ENVIRONMENT} --verifier {VERIFIER}
echo "this task is graded by runner: harbor run --env {ENVIRONMENT} --verifier {VERIFIER}" >&2
exit 1
"""


def export_task(task: Task, scale: str, folder: Path) -> list[str]:
    """Write the folder; the paths of its files.

    Raises:
        UsageFault: the task is itself an imported one, the folder is not empty, or cannot be written.
        TaskFault: the task has no such scale.
    """
    if task.kind == "tests":
        raise UsageFault(
            cause=f"task {task.name} was imported: its tests are in images, and not in its folder",
            hint="use the folder that it was imported from",
        )
    task.scale(scale)
    if folder.resolve().is_relative_to(task.folder.resolve()):
        raise UsageFault(cause=f"{folder} lies in the task's own folder", hint="name a folder elsewhere with --output")
    with new_folder(folder):
        _write(task, scale, folder)
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _write(task: Task, scale: str, folder: Path) -> None:
    found = agent_files(load_problem(task), task, scale)
    files: Files = [(f"environment/{path}", content) for path, content in found] or [("environment/.gitkeep", b"")]
    about = {"runner": runner.__version__, "scale": scale, "task": task.name, "sha256": task.digest}
    texts: Mapping[str, str] = {
        "instruction.md": _instruction(task, scale),
        "tests/test.sh": TEST,
        f"tests/{ABOUT}": json.dumps(about, indent=2) + "\n",
        **_solution(task),
    }
    for path, content in [*files, *((path, text.encode()) for path, text in texts.items())]:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    (folder / "tests" / "test.sh").chmod(0o755)
    _copy(task.folder, folder / "tests" / TASK_FOLDER)
    solved = task.folder / "solution" / task.file.submission.file
    if solved.is_dir():
        _copy(solved, folder / "solution" / solved.name)
    elif solved.is_file():
        (folder / "solution" / solved.name).write_bytes(solved.read_bytes())
    (folder / "task.toml").write_bytes(task_toml(task).encode())


def _copy(source: Path, target: Path) -> None:
    """The regular files of a folder; what a link leads to is none of it."""
    for path, content, executable in files_below(source):
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(0o755 if executable else 0o644)


def _solution(task: Task) -> Mapping[str, str]:
    name = task.file.submission.file
    if task.oracle is None:
        return {}
    copy = f"cp /solution/{name} {WORKSPACE}/{name}"
    if task.file.submission.folder:  # its content, since a folder of that name may lie there already
        copy = f"mkdir -p {WORKSPACE}/{name}\ncp -R /solution/{name}/. {WORKSPACE}/{name}/"
    return {"solution/solve.sh": f"#!/bin/bash\nset -eu\n{copy}\n"}


def submission_path(task: Task) -> str:
    """Where the agent leaves what is graded."""
    return f"{WORKSPACE}/{task.file.submission.file}"


def _instruction(task: Task, scale: str) -> str:
    what = "folder" if task.file.submission.folder else "file"
    words = f"Leave the {what} at `{submission_path(task)}`: that is your submission. There is no network."
    return f"{task.instruction(scale).rstrip()}\n\n---\n\n{words}\n"


def task_toml(task: Task) -> str:
    """Harbor's task.toml of a task. Pure."""
    file, limits = task.file, task.file.limits
    name = "-".join(part for part in task.name.strip("-_").split("_") if part) or "task"
    container = [
        f"docker_image = {quoted(file.image.name)}", 'network_mode = "no-network"', f"workdir = {quoted(WORKSPACE)}",
        f"memory_mb = {-(-limits.memory // MIB)}", f"cpus = {max(1, round(limits.cpus))}",
    ]  # fmt: skip
    lines = [
        f"schema_version = {quoted(SCHEMA_VERSIONS[-1])}", f"artifacts = [{quoted(submission_path(task))}]", "",
        "[task]", f"name = {quoted(f'runner/{name}')}", f"version = {quoted(file.task.version)}",
        f"description = {quoted(file.task.title)}", "",
        "[metadata]", f"runner = {quoted(runner.__version__)}", f"written_for = {quoted(f'harbor {HARBOR_VERSION}')}", "",
        "[agent]", f"user = {quoted(AGENT_USER)}", f"timeout_sec = {file.episode.working_s:.1f}", "",
        "[environment]", *container, "",
        "[verifier]", 'environment_mode = "separate"', f"timeout_sec = {file.grading.seconds + 3600.0:.1f}", "",
        "[verifier.environment]", *container, "",
    ]  # fmt: skip
    return "\n".join(lines)
