"""The calls for an event loop: they do not block it, and one that is cancelled leaves nothing behind."""

import asyncio
import inspect
import threading
from pathlib import Path

import pytest

from runner.faults import EngineUnreachable, UsageFault
from runner.job.async_api import AsyncEnv, AsyncHost, agrade, arun_job, in_thread
from runner.job.training import Env, Host
from runner.records.episode import Limits
from runner.sandbox.engine import Engine
from runner.sandbox.spec import SandboxSpec
from runner.settings import Settings
from tests.conftest import containers_of

CANCELLED_S = 30.0  # generous: to end a container takes a second


def test_an_environment_that_was_opened_for_a_call_that_was_cancelled_gives_its_slot_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host, begun, go = AsyncHost(), threading.Event(), threading.Event()
    closed: list[str] = []

    class Opened:
        def close(self) -> None:
            closed.append("closed")

    def slow(*_: object, **__: object) -> Opened:
        begun.set()
        go.wait(CANCELLED_S)
        return Opened()

    async def cancelled() -> None:
        work = asyncio.create_task(host.open_episode("slow_nbody"))
        await asyncio.to_thread(begun.wait, CANCELLED_S)
        work.cancel()
        await asyncio.sleep(0)
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert closed

    monkeypatch.setattr(host.host, "open_episode", slow)
    asyncio.run(cancelled())


def test_a_call_that_ends_by_a_callers_stop_iteration_comes_back() -> None:
    async def call() -> None:
        work = asyncio.ensure_future(in_thread(lambda: next(iter(()))))
        await asyncio.wait([work], timeout=CANCELLED_S)
        assert work.done()
        with pytest.raises(RuntimeError, match="StopIteration"):
            work.result()

    asyncio.run(call())


def bash(command: str) -> dict[str, object]:
    return {"name": "bash", "input": {"command": command}}


def test_each_call_has_its_twin() -> None:
    for plain, twin in ((Host, AsyncHost), (Env, AsyncEnv)):
        missing = {name for name in vars(plain) if not name.startswith("_")} - vars(twin).keys()
        assert missing <= {"fleet", "left", "result", "submission"}, missing
    for method in ("open_episode", "grade_many"):
        mine, theirs = (inspect.signature(getattr(cls, method)).parameters for cls in (Host, AsyncHost))
        assert list(mine) == list(theirs) and [p.default for p in mine.values()] == [p.default for p in theirs.values()]


def test_environments_are_stepped_side_by_side_in_one_loop(engine: Engine, nbody_spec: SandboxSpec) -> None:
    async def play(host: AsyncHost, number: int) -> str:
        async with await host.open_episode("slow_nbody", "small", Limits(turns=3)) as env:
            await env.reset()
            step = await env.step(bash(f"sleep 0.3; echo {number}"))
            return step.observation.answers[0].text.splitlines()[0]

    async def both() -> list[str]:
        ticks = asyncio.create_task(_tick())
        async with AsyncHost(engine.url, slots=2) as host:
            seen = await asyncio.gather(play(host, 1), play(host, 2))
            job = host.host.fleet.job
        ticks.cancel()
        assert containers_of(engine, job) == []
        assert ticked[0] > 10, "the loop stood still"
        return seen

    ticked = [0]

    async def _tick() -> None:
        while True:
            await asyncio.sleep(0.01)
            ticked[0] += 1

    assert asyncio.run(both()) == ["1", "2"]


@pytest.mark.parametrize("call", ["reset", "step"])
def test_a_cancelled_step_or_reset_ends_its_sandbox_and_closes_it(
    engine: Engine, nbody_spec: SandboxSpec, call: str
) -> None:
    async def cancelled() -> None:
        async with AsyncHost(engine.url, slots=1) as host:
            env = await host.open_episode("slow_nbody", "small")
            if call == "step":
                await env.reset()
            work = asyncio.create_task(env.step(bash("sleep 300")) if call == "step" else env.reset())  # type: ignore[arg-type]
            await asyncio.sleep(0.3 if call == "step" else 0.1)
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(work, CANCELLED_S)
            assert host.host.fleet.live() == []
            with pytest.raises(UsageFault, match="closed"):
                await env.reset()

    asyncio.run(cancelled())


def test_a_cancelled_job_ends_its_sandboxes(
    engine: Engine, nbody_spec: SandboxSpec, tmp_path: Path, broken_task: Path
) -> None:
    episode = broken_task / "episodes" / "01.toml"
    episode.write_text(episode.read_text().replace("echo x = 1 >", "sleep 300; echo x = 1 >"))

    async def cancelled() -> None:
        settings = Settings(output=tmp_path / "out")
        work = asyncio.create_task(
            arun_job(str(broken_task), scale="small", agent="scripted", engine=engine.url, settings=settings)
        )
        while not list(tmp_path.glob("out/*/run_1/transcript.jsonl")):
            await asyncio.sleep(0.02)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(work, CANCELLED_S)
        (folder,) = tmp_path.glob("out/2*")
        assert containers_of(engine, folder.name) == [] and (folder / "results.json").is_file()

    asyncio.run(cancelled())


def test_a_fault_is_raised_where_it_is_awaited(tmp_path: Path) -> None:
    with pytest.raises(EngineUnreachable):
        asyncio.run(agrade([tmp_path / "a.py"], "slow_nbody", engine=f"unix://{tmp_path}/no.sock"))


def test_what_is_cancelled_comes_back_when_its_thread_has_and_ends_what_it_began_late() -> None:
    said: list[str] = []
    ended = threading.Event()

    def do() -> None:
        ended.wait(CANCELLED_S)
        said.append("did")

    def end() -> None:
        said.append("end")
        ended.set()

    async def cancelled() -> None:
        work = asyncio.create_task(in_thread(do, end))
        await asyncio.sleep(0.01)
        work.cancel()
        await asyncio.sleep(0)
        work.cancel()  # also a second time
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(cancelled())
    assert said == ["end", "did", "end"]
