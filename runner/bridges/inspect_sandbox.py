"""Our sandbox for Inspect AI: the provider `runner`, found by the entry-point group `inspect_ai`.

Only this module imports inspect_ai, which is an extra, and Inspect alone imports this module. A sample has one container
of the kind in which episodes are played: no network, no root, a read-only root file system, limits. Inspect's tools and
scorers run in it as its one user; who asks for another user is told that there is none.
"""

import contextlib
import errno
import os
import secrets
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from inspect_ai.util import (
    ExecResult,
    OutputLimitExceededError,
    SandboxEnvironment,
    SandboxEnvironmentLimits,
    SandboxUnavailableError,
    SandboxUserUnsupportedError,
    sandboxenv,
)
from pydantic import BaseModel, ConfigDict, Field

from runner.faults import Fault
from runner.sandbox.container import GuestExit
from runner.sandbox.engine import find_engine
from runner.sandbox.execute import Executed, Executor, Kind, new_name
from runner.sandbox.fleet import Fleet
from runner.sandbox.host_checks import check_engine
from runner.sandbox.image import resolve_image
from runner.sandbox.leftovers import sweep
from runner.sandbox.lock import all_cpus
from runner.sandbox.spec import AGENT_ROLE, MIB, SandboxSpec
from runner.settings import read_settings

NOT_FOUND = 127  # a shell's status for a command that is not there
Answer = TypeVar("Answer")


class RunnerSandbox(BaseModel, frozen=True):
    """How a sample's sandbox is made; a text instead of it is the image's name.

    Attributes:
        image: a folder under images/, or a reference of the engine's.
        python: the interpreter in it.
        memory_mb, workspace_mb, tmp_mb: MiB; both file systems are in memory, and count towards its limit.
    """

    model_config = ConfigDict(extra="forbid")

    image: str = "base"
    python: str = "python3"
    env: dict[str, str] = Field(default_factory=dict)
    cpus: float = Field(default=2.0, gt=0)
    pids: int = Field(default=256, ge=16)
    memory_mb: int = Field(default=2048, ge=256)
    workspace_mb: int = Field(default=512, ge=1)
    tmp_mb: int = Field(default=256, ge=1)


@sandboxenv(name="runner")
class RunnerSandboxEnvironment(SandboxEnvironment):
    """One container; made by `sample_init`."""

    def __init__(self, executor: Executor, uid: int, ended: Callable[[], None]) -> None:
        super().__init__()
        self._executor, self._uid, self._ended = executor, uid, ended

    @classmethod
    async def task_init(cls, task_name: str, config: BaseModel | str | None) -> None:
        """Find the engine, and have the image: no sample waits for a build."""
        await anyio.to_thread.run_sync(_spec_of, _config_of(config))

    @classmethod
    async def sample_init(
        cls, task_name: str, config: BaseModel | str | None, metadata: dict[str, str]
    ) -> dict[str, SandboxEnvironment]:
        """A fresh container."""
        return {"default": await anyio.to_thread.run_sync(_open, _config_of(config))}

    @classmethod
    async def sample_cleanup(
        cls, task_name: str, config: BaseModel | str | None, environments: dict[str, SandboxEnvironment],
        interrupted: bool,
    ) -> None:  # fmt: skip
        """End it, whatever runs in it."""
        with anyio.CancelScope(shield=True):
            for environment in environments.values():
                await anyio.to_thread.run_sync(environment.as_type(cls)._ended)

    @classmethod
    def config_deserialize(cls, config: dict[str, Any]) -> BaseModel:
        """A configuration as a log has it."""
        return RunnerSandbox(**config)

    async def exec(
        self, cmd: list[str], input: str | bytes | None = None, cwd: str | None = None,
        env: dict[str, str] | None = None, user: str | None = None, timeout: int | None = None,
        timeout_retry: bool = True, concurrency: bool = True,
    ) -> ExecResult[str]:  # fmt: skip
        """Run a command; one at a time in a sandbox. See the base class."""
        if user is not None and user != str(self._uid):
            raise SandboxUserUnsupportedError(f"a runner sandbox has one user, {self._uid}, and no {user!r}")
        most, name = SandboxEnvironmentLimits.MAX_EXEC_OUTPUT_SIZE, new_name()
        given = input.encode() if isinstance(input, str) else input
        run = partial(self._executor.run, cmd, given, cwd or "", env, timeout, most, name)
        try:
            got = await _in_thread(run)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True), contextlib.suppress(Fault):
                await anyio.to_thread.run_sync(self._executor.stop, name)
            raise
        out, err = (text.decode("utf-8", "replace") for text in (got.out, got.err))
        match got.kind:
            case Kind.TIMED_OUT | Kind.STOPPED:
                raise TimeoutError(f"the command took longer than {timeout} s")
            case Kind.TOO_LARGE:
                limit = SandboxEnvironmentLimits.MAX_EXEC_OUTPUT_SIZE_STR
                raise OutputLimitExceededError(limit, (out if len(got.out) > most else err)[:most])
            case Kind.FAILED if got.number in (errno.EACCES, errno.EPERM):
                raise PermissionError(got.number, err)
            case Kind.FAILED:
                return ExecResult(False, NOT_FOUND, "", err)
        return ExecResult(got.number == 0, got.number, out, err)

    async def write_file(self, file: str, contents: str | bytes) -> None:
        """Write a file, with the folders that it needs."""
        content = contents.encode() if isinstance(contents, str) else contents
        _raise_failed(await _in_thread(partial(self._executor.write, file, content)), file)

    async def read_file(self, file: str, text: bool = True) -> Any:
        """The bytes of a file, or its text with its line ends as they are."""
        most = SandboxEnvironmentLimits.MAX_READ_FILE_SIZE
        got = await _in_thread(partial(self._executor.read, file, most))
        if got.kind is Kind.TOO_LARGE:
            raise OutputLimitExceededError(SandboxEnvironmentLimits.MAX_READ_FILE_SIZE_STR, None)
        _raise_failed(got, file)
        return got.out.decode() if text else got.out


async def _in_thread(act: Callable[[], Executed | GuestExit]) -> Executed:
    """What an executor says, in a thread that is left behind where nobody waits any more.

    Raises:
        SandboxUnavailableError: the sandbox has ended, by whoever's doing.
    """
    try:
        got = await anyio.to_thread.run_sync(act, abandon_on_cancel=True)
    except Fault as fault:
        raise SandboxUnavailableError(str(fault)) from fault
    if isinstance(got, GuestExit):
        raise SandboxUnavailableError(f"the sandbox has ended: {got.how}, {got.detail}")
    return got


def _raise_failed(got: Executed, file: str) -> None:
    """Raise the kernel's refusal as the exception that Python has for it."""
    if got.kind is not Kind.DONE:
        raise OSError(got.number, got.err.decode("utf-8", "replace") or os.strerror(got.number), file)


def _config_of(config: BaseModel | str | None) -> RunnerSandbox:
    if isinstance(config, RunnerSandbox):
        return config
    if config is None or isinstance(config, str):
        return RunnerSandbox(image=config) if config else RunnerSandbox()
    raise TypeError(f"sandbox `runner` takes an image's name or a RunnerSandbox, not a {type(config).__name__}")


def _spec_of(config: RunnerSandbox) -> tuple[Fleet, SandboxSpec]:
    settings = read_settings()
    engine = find_engine(settings)
    sweep(engine)
    unenforced = check_engine(engine.facts, settings)
    image = resolve_image(engine, config.image, settings, config.python, lambda text: None, config.env)
    spec = SandboxSpec(
        **image.basis(config.env),
        memory_bytes=config.memory_mb * MIB,
        cpus=config.cpus,
        pids=config.pids,
        workspace_bytes=config.workspace_mb * MIB,
        tmp_bytes=config.tmp_mb * MIB,
        runtime=settings.runtime,
        unenforced=unenforced,
    )
    return Fleet(engine, f"inspect-{secrets.token_hex(4)}"), spec


def _open(config: RunnerSandbox) -> RunnerSandboxEnvironment:
    fleet, spec = _spec_of(config)
    with contextlib.ExitStack() as stack:
        stack.callback(fleet.remove_rest)
        stack.callback(fleet.stop)
        sandbox = stack.enter_context(
            fleet.open(spec, "toolserver", role=AGENT_ROLE, cpuset=all_cpus(fleet.engine), run="1")
        )
        return RunnerSandboxEnvironment(Executor(sandbox), sandbox.place.uid, stack.pop_all().close)
