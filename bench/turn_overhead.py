"""What does the runner itself cost: time between an answer of the model and the next question, and memory?

    python bench/turn_overhead.py [--runs 4] [--turns 50] [--episodes 32]

A double of the Messages API, in a process of its own, answers every turn with a `bash` call of `true`: real SDK, real
containers. The time of a turn is the server's: from the last byte of an answer to the arrival of the next request, less the
seconds that the tools took. So it holds the SDK, the reading of the stream, the transcript, the look at the submission's
file, the accounts, and the way over loopback. Memory is that of a process that has imported everything, and grows by that of
episodes side by side, which wait for one another before their first answer. Exit status 1 if the median of a turn is over
5 ms, or the growth over 30 MiB and 3 MiB for each episode. `--episodes 8` is a smaller try, 0 leaves memory out.
"""

import argparse
import contextlib
import io
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import project_path  # noqa: F401
from tests.fakes.messages_server import MessagesServer, call, text

PROJECT = Path(__file__).resolve().parent.parent
MIB = 1024**2
TURN_MS_MAX = 5.0
MEMORY_MIB_MAX, EPISODE_MIB_MAX = 30.0, 3.0
MEMORY_TURNS = 10
MEET_S = 300.0


# The server, in a process of its own


class TimedServer(MessagesServer):
    """Notes of each request how many messages it had, when it arrived, and when the last byte of its answer was sent."""

    def answer(self, handler: Any) -> None:
        arrived_s = time.monotonic()
        super().answer(handler)
        said_s = time.monotonic()
        self.times.append((len(self.requests[-1].get("messages", [])), arrived_s, said_s))

    def __enter__(self) -> "TimedServer":
        self.times: list[tuple[int, float, float]] = []
        super().__enter__()
        return self


def serve(turns: int, together: int) -> None:
    """Say the address, serve until stdin closes, say what was seen. So many conversations begin together."""
    meeting = threading.Barrier(together)

    def script(body: Any) -> Any:
        asked = sum(message["role"] == "assistant" for message in body["messages"])
        if asked == 0:
            meeting.wait(MEET_S)
        return [text("again"), call("bash", command="true")] if asked < turns else [text("done")]

    with TimedServer(script) as server:
        print(server.url, flush=True)
        sys.stdin.read()
        print(json.dumps({"times": server.times, "complaints": server.complaints}), flush=True)


class Served:
    """The server's process, as this one sees it."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        self.process, self.url = process, process.stdout.readline().strip()
        assert self.url, "the server did not start"

    def seen(self) -> list[tuple[int, float, float]]:
        """End it; (messages, arrived, answered) of each request."""
        out, _ = self.process.communicate(timeout=30)
        said = json.loads(out)
        assert said["complaints"] == [], said["complaints"][:3]
        return [tuple(each) for each in said["times"]]


@contextlib.contextmanager
def served(turns: int, together: int = 1) -> Iterator[Served]:
    command = [sys.executable, __file__, "--serve", str(turns), "--together", str(together)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Served(process)
        finally:
            if process.poll() is None:
                process.kill()


# A job


def play(url: str, folder: Path, runs: int, jobs: int, turns: int) -> None:
    """So many episodes of a model that the server plays; none submits, so that nothing is graded."""
    from runner.cli.option_groups import AgentOptions, LimitOptions, OutputOptions, TaskOptions
    from runner.cli.options import RunOptions
    from runner.cli.run import run
    from runner.settings import Settings

    options = RunOptions(
        runs=runs,
        task=TaskOptions(task="slow_nbody", scale="small"),
        agent=AgentOptions(agent="model", price="3/15", preflight=False),
        limits=LimitOptions(turns=turns + 1, working_limit=3600.0, job_cost_limit=1e6),
        concurrency=jobs,
        name="bench",
        show=OutputOptions(json=True, quiet=True),
    )
    settings = Settings(output=folder, base_url=url, anthropic_api_key="sk-bench")  # type: ignore[arg-type]
    with contextlib.redirect_stdout(io.StringIO()):
        run(settings, options)


def tool_seconds(folder: Path, run: int) -> list[float]:
    """What the tools of each turn took."""
    lines = (folder / "bench" / f"run_{run}" / "transcript.jsonl").read_text().splitlines()
    return [event["seconds"] for event in map(json.loads, lines) if event["event"] == "answer"]


def turn_ms(runs: int, turns: int) -> np.ndarray[Any, Any]:
    """The runner's own milliseconds of every turn: a row for each run."""
    with tempfile.TemporaryDirectory() as name, served(turns) as server:
        folder = Path(name)
        play(server.url, folder, runs, 1, turns)
        seen = server.seen()
        tools = [tool_seconds(folder, run) for run in range(1, runs + 1)]
    assert len(seen) == runs * (turns + 1), len(seen)
    times = np.array(seen).reshape(runs, turns + 1, 3)
    between_s = times[:, 1:, 1] - times[:, :-1, 2]
    own: np.ndarray[Any, Any] = 1000 * (between_s - np.array(tools))
    return own


# Memory, in a process of its own


@dataclass
class Memory:
    """Of a process; MiB.

    Attributes:
        imported: resident once everything was imported.
        most: the most while the job ran.
    """

    imported: float
    most: float


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / MIB


def measure_memory(episodes: int, url: str) -> Memory:
    """Import everything that a job needs, then play it."""
    import_all()
    memory, over = Memory(resident_mib(), 0.0), threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            memory.most = max(memory.most, resident_mib())

    watching = threading.Thread(target=watch)
    watching.start()
    with tempfile.TemporaryDirectory() as name:
        play(url, Path(name), episodes, episodes, MEMORY_TURNS)
    over.set()
    watching.join()
    return memory


def import_all() -> None:
    """What a job imports sooner or later, the SDK's own late imports included."""
    import anthropic
    import scipy.stats
    import sklearn.metrics

    import runner.cli.app
    import runner.cli.run
    import runner.llm.client

    assert anthropic.Anthropic(api_key="none").messages
    assert scipy.stats and sklearn.metrics and runner.cli.app and runner.cli.run and runner.llm.client


def memory_of(episodes: int) -> Memory:
    with served(MEMORY_TURNS, episodes) as server:
        command = [sys.executable, __file__, "--memory-of", str(episodes), "--url", server.url]
        out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        server.seen()
    return Memory(**json.loads(out))


# What is printed


def report_turns(runs: int, turns: int) -> bool:
    taken = turn_ms(runs, turns)
    print(f"{'milliseconds':26} {'p50':>8} {'p90':>8} {'p99':>8} {'n':>6}")
    tenth = max(1, turns // 10)
    for name, part in (("all turns", taken), ("the first tenth", taken[:, :tenth]), ("the last", taken[:, -tenth:])):
        p50, p90, p99 = np.percentile(part, [50, 90, 99])
        print(f"{name:26} {p50:8.2f} {p90:8.2f} {p99:8.2f} {part.size:6}")
    fine = bool(np.median(taken) <= TURN_MS_MAX)
    print(f"{'PASS' if fine else 'FAIL'}  the runner's own part of a turn: p50 at most {TURN_MS_MAX:g} ms", flush=True)
    return fine


def report_memory(episodes: int) -> bool:
    memory = memory_of(episodes)
    grown, bound = memory.most - memory.imported, MEMORY_MIB_MAX + EPISODE_MIB_MAX * episodes
    print(f"{episodes:3} episodes: {memory.imported:.1f} MiB imported, {memory.most:.1f} at the most, {grown:.1f} more")
    print(f"{'PASS' if grown <= bound else 'FAIL'}  at most {bound:g} MiB more", flush=True)
    return grown <= bound


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--turns", type=int, default=50)
    parser.add_argument("--episodes", type=int, default=32, help="side by side, for memory; 0: not measured")
    for name, kind in (("--serve", int), ("--together", int), ("--memory-of", int), ("--url", str)):
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve is not None:
        serve(given.serve, given.together)
        return 0
    if given.memory_of is not None:
        print(json.dumps(vars(measure_memory(given.memory_of, given.url))))
        return 0
    fine = report_turns(given.runs, given.turns)
    for episodes in sorted({1, given.episodes}) if given.episodes else ():
        fine = report_memory(episodes) and fine
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
