"""The same for an event loop: each call runs in a thread of its own, and one that is cancelled ends its sandboxes.

A cancelled call comes back when its thread has: nothing of it goes on in the background.
"""

import asyncio
import functools
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, cast

from runner.agents.protocol import Observation
from runner.job.actions import Action, Vendor
from runner.job.api import grade, run_job
from runner.job.rewards import Graded, RewardName
from runner.job.stop import Stop
from runner.job.training import Env, Host, Step
from runner.records.episode import Limits, Submission
from runner.records.run import GradingConfig
from runner.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(do: Callable[[], T], end: Callable[[], None] = lambda: None) -> T:
    """What a call gives that blocks.

    Args:
        do: called in a thread of its own: the loop's pool is small, and environments wait side by side.
        end: called, also twice, where we are cancelled: makes `do` return soon.
    """
    loop, pool = asyncio.get_running_loop(), ThreadPoolExecutor(2, "async")

    def done() -> T:
        try:
            return do()
        except StopIteration as error:
            # Of a caller's own `say`; no future takes one, and it would be waited for for ever.
            raise RuntimeError("the call raised StopIteration") from error

    try:
        work = loop.run_in_executor(pool, done)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await _done(loop.run_in_executor(pool, end))
            await _done(work)
            await _done(loop.run_in_executor(pool, end))  # what `do` began while it was ended
            raise
    finally:
        pool.shutdown(wait=False)


async def _done(work: asyncio.Future[Any]) -> None:
    """Wait for its end, whatever it comes to, and however often we are cancelled meanwhile."""
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            continue
    if not work.cancelled():
        work.exception()  # seen: nobody else asks for it


def _twin(call: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """The same call for an event loop."""

    @functools.wraps(call)
    async def twin(*args: P.args, **kwargs: P.kwargs) -> T:
        stop = cast(Stop, kwargs.get("stop") or Stop())
        kwargs["stop"] = stop
        return await in_thread(lambda: call(*args, **kwargs), stop.set)

    twin.__name__ = twin.__qualname__ = f"a{call.__name__}"
    twin.__module__ = __name__
    return twin


agrade = _twin(grade)
arun_job = _twin(run_job)


class AsyncHost:
    """`Host` for an event loop; use it with `async with`. Its arguments are the same.

    A grading that is cancelled ends all sandboxes of its host: those that measure, and its environments'.
    """

    def __init__(
        self, engine: str = "", slots: int = 4, *, settings: Settings | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:  # fmt: skip
        self.host = Host(engine, slots, settings=settings, say=say)

    async def __aenter__(self) -> Self:
        await in_thread(self.host.__enter__)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await in_thread(lambda: self.host.__exit__(kind, error, trace))

    async def open_episode(
        self, task: str, scale: str = "full", limits: Limits | None = None, seed: int | None = None,
        *, reward: RewardName | None = None,
    ) -> "AsyncEnv":  # fmt: skip
        """As `Host.open_episode`. What was opened for a call that was cancelled is closed: nobody has it."""
        opened: list[Env] = []

        def open_it() -> Env:
            opened.append(self.host.open_episode(task, scale, limits, seed, reward=reward))
            return opened[0]

        def close_it() -> None:
            for env in opened:
                env.close()

        return AsyncEnv(await in_thread(open_it, close_it))

    async def grade_many(
        self, group: "Sequence[AsyncEnv | bytes | str | Path]", task: str = "", scale: str = "full",
        *, reward: RewardName = "pass", config: GradingConfig | None = None, seeds: Sequence[int] = (),
    ) -> list[Graded]:  # fmt: skip
        """As `Host.grade_many`."""
        plain = [one.env if isinstance(one, AsyncEnv) else one for one in group]
        return await in_thread(
            lambda: self.host.grade_many(plain, task, scale, reward=reward, config=config, seeds=seeds),
            self.host.fleet.stop,
        )


class AsyncEnv:
    """`Env` for an event loop; `AsyncHost.open_episode` makes it. A `reset` or `step` that is cancelled closes it.

    Attributes:
        env: the environment itself.
    """

    def __init__(self, env: Env) -> None:
        self.env = env

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def submission(self) -> Submission | None:
        """What the episode submitted; None before that, and where it did not."""
        return self.env.submission

    @property
    def is_over(self) -> bool:
        """As `Env.is_over`."""
        return self.env.is_over

    def tools(self, vendor: Vendor = "anthropic") -> list[dict[str, Any]]:
        """As `Env.tools`."""
        return self.env.tools(vendor)

    async def reset(self) -> Observation:
        """As `Env.reset`."""
        return await in_thread(self.env.reset, self.env.close)

    async def step(self, action: Action) -> Step:
        """As `Env.step`. Where it grades, by the environment's own `reward`, a cancellation waits for the grading."""
        return await in_thread(lambda: self.env.step(action), self.env.close)

    async def close(self) -> None:
        """As `Env.close`."""
        await in_thread(self.env.close)
