"""Plug-ins for Harbor (Python 3.12 and newer): our sandbox as its environment, and our grading as its verifier.

Only this module imports harbor, which is an extra, and Harbor alone imports this module:

    harbor run -p FOLDER --env runner.bridges.harbor_plugin:RunnerEnvironment \\
        --verifier runner.bridges.harbor_plugin:RunnerVerifier

An environment is one container of the kind in which episodes are played. Harbor's housekeeping asks for root; there is none,
and what it does (folders under /logs) the container's one user can do, too. What comes out of a container is bytes, written
under names that are checked.
"""

import asyncio
import contextlib
import json
import math
import secrets
import shlex
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from harbor.constants import MAIN_SERVICE_NAME
from harbor.environments.base import BaseEnvironment, ExecResult
from harbor.environments.capabilities import EnvironmentCapabilities, EnvironmentResourceCapabilities
from harbor.models.verifier.result import VerifierResult
from harbor.verifier.base import BaseVerifier

from runner.bridges.harbor_export import ABOUT, TASK_FOLDER, submission_path
from runner.bridges.harbor_files import files_to_upload
from runner.bridges.harbor_left import take_left
from runner.faults import Fault
from runner.job.api import grade
from runner.job.rewards import Graded
from runner.job.setup import build_spec
from runner.records.outcome import Outcome, OutcomeKind
from runner.sandbox.container import GuestExit
from runner.sandbox.engine import Engine, find_engine
from runner.sandbox.execute import Executed, Executor, Kind, new_name
from runner.sandbox.fleet import Fleet
from runner.sandbox.host_checks import check_engine
from runner.sandbox.image import find_image, resolve_image
from runner.sandbox.image_foreign import add_layer
from runner.sandbox.leftovers import sweep
from runner.sandbox.lock import all_cpus
from runner.sandbox.spec import AGENT_ROLE, MIB, SandboxSpec
from runner.settings import Settings, read_settings
from runner.tasks.task import Task, read_task

WORKSPACE = "/workspace"
# Folders that Harbor uses beside the working folder -> where in the workspace they lie.
LINKS = {"/logs": ".logs", "/solution": ".solution", "/tests": ".tests"}
LOG_FOLDERS = ("/logs/agent", "/logs/verifier", "/logs/artifacts")  # where Harbor and its agents write
OUTPUT_BYTES_MAX = 4 * MIB  # chosen: of each of a command's two streams
FILE_BYTES_MAX = 64 * MIB  # chosen: of one file that comes out
FILES_MAX = 1000  # chosen: of a folder that comes out
NO_TEXT = "\ufffd"  # what stands for bytes that are no UTF-8: by such a name no file is found
NOT_FOUND = 127  # a shell's status for a command that is not there
MEMORY_DEFAULT_MB, MEMORY_MIN_MB = 1024, 512
Answer = TypeVar("Answer")


class RunnerEnvironment(BaseEnvironment):
    """One container."""

    _executor: Executor | None = None
    _ended: Callable[[], None] | None = None

    @staticmethod
    def type() -> str:
        """Its name in Harbor's records."""
        return "runner"

    @property
    def capabilities(self) -> EnvironmentCapabilities:
        """There is no network, ever."""
        return EnvironmentCapabilities(disable_internet=True)

    @classmethod
    def resource_capabilities(cls) -> EnvironmentResourceCapabilities:
        """Both limits are the kernel's."""
        return EnvironmentResourceCapabilities(cpu_limit=True, memory_limit=True, fractional_cpus=True)

    def _validate_definition(self) -> None:
        if not self.task_env_config.docker_image:
            raise FileNotFoundError(
                "RunnerEnvironment starts images by name, and builds none: set environment.docker_image, or use "
                "`runner import harbor` for a task with a Dockerfile"
            )

    async def start(self, force_build: bool) -> None:
        """Start the container, with what the task's environment folder holds in its working folder."""
        opening = asyncio.ensure_future(asyncio.to_thread(self._open))
        try:
            self._executor, self._ended = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_end_opened)  # a container that nobody waits for any more
            raise
        folders = [f"{WORKSPACE}/{inner}" for inner in LINKS.values()]
        await self.exec("mkdir -p " + " ".join([*folders, *LOG_FOLDERS]))
        await self._upload_environment_dir_after_start()

    def _open(self) -> tuple[Executor, Callable[[], None]]:
        settings = read_settings()
        engine = find_engine(settings)
        sweep(engine)
        fleet = Fleet(engine, f"harbor-{secrets.token_hex(4)}")
        with contextlib.ExitStack() as stack:
            stack.callback(fleet.remove_rest)
            stack.callback(fleet.stop)
            spec = self._spec(engine, settings)
            sandbox = stack.enter_context(
                fleet.open(spec, "toolserver", role=AGENT_ROLE, cpuset=all_cpus(engine), run="1")
            )
            return Executor(sandbox), stack.pop_all().close

    def _spec(self, engine: Engine, settings: Settings) -> SandboxSpec:
        """That of the task, where it is one of ours; with a layer in which Harbor's folders lead into the workspace."""
        found = _task_below(self.environment_dir.parent)
        if found is not None:
            spec, image = build_spec(engine, found, settings, self.logger.info)
        else:
            config = self.task_env_config
            image = resolve_image(engine, config.docker_image, settings, say=self.logger.info, added=dict(config.env))
            memory = max(MEMORY_MIN_MB, self._effective_memory_mb or MEMORY_DEFAULT_MB) * MIB
            spec = SandboxSpec(
                **image.basis(dict(config.env)), memory_bytes=memory, cpus=float(self._effective_cpus or 1), pids=256,
                workspace_bytes=memory // 4, tmp_bytes=memory // 8, runtime=settings.runtime,
                unenforced=check_engine(engine.facts, settings),
            )  # fmt: skip
        layered = add_layer(engine, "runner-harbor-plugin", image.id, [WORKSPACE], LINKS, None)
        return replace(spec, image_id=find_image(engine, layered).id)

    async def stop(self, delete: bool) -> None:
        """End it, whatever runs in it."""
        ended, self._ended, self._executor = self._ended, None, None
        if ended is not None:
            await asyncio.to_thread(ended)

    async def exec(
        self, command: str, cwd: str | None = None, env: dict[str, str] | None = None, timeout_sec: int | None = None,
        user: str | int | None = None,
    ) -> ExecResult:  # fmt: skip
        """Run a command in bash, as the container's one user; one at a time. One that nobody waits for any more is ended."""
        where = cwd or self.task_env_config.workdir or WORKSPACE
        argv, merged, name = ["bash", "-c", command], self._merge_env(env), new_name()
        try:
            got = await self._do(
                lambda executor: executor.run(argv, None, where, merged, timeout_sec, OUTPUT_BYTES_MAX, name)
            )
        except asyncio.CancelledError:  # the agent's time is up: what is asked for next would wait for this command
            if self._executor is not None:
                with contextlib.suppress(Fault):
                    await asyncio.shield(asyncio.to_thread(self._executor.stop, name))
            raise
        match got.kind:
            case Kind.TIMED_OUT | Kind.STOPPED:
                raise RuntimeError(f"Command timed out after {timeout_sec} seconds")
            case Kind.TOO_LARGE:
                raise RuntimeError(f"the command printed more than {OUTPUT_BYTES_MAX} bytes")
            case Kind.FAILED:
                return ExecResult(stdout="", stderr=_text(got.err), return_code=NOT_FOUND)
        return ExecResult(stdout=_text(got.out), stderr=_text(got.err), return_code=got.number)

    async def upload_file(self, source_path: Path | str, target_path: str) -> None:
        """Write a file, with the folders that it needs."""
        source = Path(source_path)
        content = await asyncio.to_thread(source.read_bytes)
        _raise_failed(await self._do(lambda executor: executor.write(target_path, content)), target_path)
        if source.stat().st_mode & 0o100:
            await self.exec(f"chmod +x {shlex.quote(target_path)}")

    async def upload_dir(self, source_dir: Path | str, target_dir: str) -> None:
        """Write every file below a folder; what a link leads to outside of it is none of it."""
        await self.exec(f"mkdir -p {shlex.quote(target_dir)}")
        for name, path in files_to_upload(Path(source_dir)):
            await self.upload_file(path, f"{target_dir}/{name}")

    async def download_file(self, source_path: str, target_path: Path | str) -> None:
        """The bytes of a regular file."""
        got = await self._do(lambda executor: executor.read(source_path, FILE_BYTES_MAX))
        _raise_failed(got, source_path)
        target = Path(target_path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(got.out)

    async def download_dir(self, source_dir: str, target_dir: Path | str) -> None:
        """Every regular file below a folder, under names that are text and lead nowhere else; links are left out."""
        listed = await self.exec(f"cd -P -- {shlex.quote(source_dir)} && find . -type f -print0")
        if listed.return_code != 0:
            raise RuntimeError(f"{source_dir} cannot be listed: {(listed.stderr or '')[:300]}")
        names = list(_safe_names(listed.stdout or ""))
        if len(names) > FILES_MAX:
            raise RuntimeError(f"{source_dir} holds more than {FILES_MAX} files")
        Path(target_dir).mkdir(parents=True, exist_ok=True)
        for name in names:
            await self.download_file(f"{source_dir}/{name}", Path(target_dir) / name)

    async def _do(self, act: Callable[[Executor], Executed | GuestExit]) -> Executed:
        """What an executor says, in a thread.

        Raises:
            RuntimeError: there is no container, or it has ended.
        """
        executor = self._executor
        if executor is None:
            raise RuntimeError("the sandbox is not started")
        try:
            got = await asyncio.to_thread(act, executor)
        except Fault as fault:
            raise RuntimeError(str(fault)) from fault
        if isinstance(got, GuestExit):
            raise RuntimeError(f"the sandbox has ended: {got.how}, {got.detail}")
        return got


def _end_opened(opening: "asyncio.Future[tuple[Executor, Callable[[], None]]]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        threading.Thread(target=opening.result()[1], name="end", daemon=True).start()


def _safe_names(listed: str) -> Iterator[str]:
    for name in listed.split("\0"):
        pure = PurePosixPath(name)
        is_text = NO_TEXT not in name and "\\" not in name
        if name.strip("./") and is_text and not pure.is_absolute() and ".." not in pure.parts:
            yield str(pure)


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def _raise_failed(got: Executed, path: str) -> None:
    if got.kind is not Kind.DONE:
        reason = _text(got.err) or got.kind.name.lower()
        raise RuntimeError(f"{path}: {reason}")


def _task_below(folder: Path) -> Task | None:
    """The task of ours that an exported folder holds."""
    inner = folder / "tests" / TASK_FOLDER
    return read_task(inner) if (inner / "task.toml").is_file() else None


class RunnerVerifier(BaseVerifier):
    """Grades what was collected, on this host, as `runner grade` does; nothing of it runs in Harbor's own containers."""

    async def verify(self) -> VerifierResult:
        """The rewards: `reward` is 1 for `passed`, else 0; a fault of the host is an error and no reward."""
        task = _task_below(self.task.paths.task_dir)
        if task is None:
            raise FileNotFoundError("RunnerVerifier grades tasks that `runner export --format harbor` wrote")
        about = json.loads((self.task.paths.tests_dir / ABOUT).read_text(encoding="utf-8"))
        left = self.trial_paths.host_artifact_path(MAIN_SERVICE_NAME, submission_path(task))
        graded, submitted = await asyncio.to_thread(_graded, task, str(about["scale"]), left)
        said = {
            "outcome": graded.outcome.kind, "reason": graded.outcome.reason, "submitted": submitted,
            "findings": {finding.name: finding.mark for finding in graded.findings},
        }  # fmt: skip
        self.trial_paths.verifier_dir.mkdir(parents=True, exist_ok=True)
        (self.trial_paths.verifier_dir / ABOUT).write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
        if graded.reward is None:
            raise RuntimeError(
                f"no verdict, by no fault of the agent: {graded.outcome.kind.words}: {graded.outcome.reason}"
            )
        return VerifierResult(rewards=_rewards(graded, submitted))


def _graded(task: Task, scale: str, left: Path) -> tuple[Graded, bool]:
    """(verdict, whether anything was left): where nothing was, the baseline is graded, as it is for our no-op.

    Raises:
        Fault: of the host.
    """
    content = take_left(left, task)
    if isinstance(content, str):
        return Graded(Outcome(OutcomeKind.NO_SUBMISSION, f"what was left cannot be taken: {content}"), 0.0), False
    if content is None and not task.has_baseline:
        return Graded(Outcome(OutcomeKind.NO_SUBMISSION, "nothing was left"), 0.0), False
    graded = grade([task.baseline if content is None else content], str(task.folder), scale=scale)[0]
    return graded, content is not None


def _rewards(graded: Graded, submitted: bool) -> dict[str, float | int]:
    figures: dict[str, Any] = {
        "reward": graded.reward, "submitted": int(submitted), "speedup": graded.speedup, "speedup_low": graded.low,
        "speedup_high": graded.high,
    }  # fmt: skip
    return {name: value for name, value in figures.items() if value is not None and math.isfinite(value)}
