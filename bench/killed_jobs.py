"""Jobs that are killed at random moments, and go on: is every final run as it was, and is nothing left?

    python bench/killed_jobs.py --kills 50
    python bench/killed_jobs.py --kills 50 --engine
    python bench/killed_jobs.py --kills 50 --engine --ungraded

Each job runs in a process of its own, and is ended by SIGKILL: on an engine that is none (`tests/fakes/docker_engine.py`),
or with --engine on the real one, where each plays three scripted episodes of slow_nbody and grades them with one round; with
--ungraded, an agent that submits nothing, so that nothing is measured. A whole job is timed first, and the moments are drawn
from as long as it took; a kill that met no living job is none, and is made again.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import project_path  # noqa: F401
from runner.sandbox.engine import Engine, find_engine
from runner.sandbox.leftovers import Left, leftovers
from runner.settings import Settings
from tests.fakes.faulty_jobs import final_runs, load, try_kill

RUNS = 3
GONE_S = 5.0
GRADED = (0, 5)  # exit statuses of a job that came to its end: one round may decide nothing
FLAGS = ("--task", "slow_nbody", "--scale", "small", "--max-rounds", "1", "--concurrency", "2")
QUIET = ("--no-analysis", "--no-report", "--quiet")
WITHIN_S = 1.5  # the latest moment after a job's first entry, on the engine that is none
# Kills a job in a new folder so many seconds after its start: which promises are broken; None: the job was over.
Kill = Callable[[Path, float], list[str] | None]
IDLE = """
from runner.records.episode import ToolCall, Turn

class Idle:
    def __init__(self, context):
        self.turns = 0
    def act(self, observation):
        self.turns += 1
        return Turn("", (ToolCall("1", "bash", {"command": "sleep 0.5"}),)) if self.turns < 4 else Turn("done")
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="how many jobs")
    parser.add_argument("--within-s", type=float, help="the latest moment (default: about as long as a job takes)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--engine", action="store_true", help="on the real engine")
    parser.add_argument("--ungraded", action="store_true", help="nothing is submitted, nor measured")
    options = parser.parse_args()
    drawn, broken, start_s, stages = random.Random(options.seed), 0, time.monotonic(), Counter[str]()
    kill, within_s = fake_kill(), options.within_s or WITHIN_S
    if options.engine:
        kill = real_kill(find_engine(Settings()), stages, graded=not options.ungraded)
        within_s = options.within_s or whole_job_s(graded=not options.ungraded)
        print(f"moments from 0 to {within_s:.1f} s after the start of a job", flush=True)
    number = 0
    while number < options.kills:
        after_s = drawn.uniform(0.0, within_s)
        with tempfile.TemporaryDirectory() as folder:
            wrong = kill(Path(folder) / "job", after_s)
        number += wrong is not None
        broken += bool(wrong)
        for words in wrong or ():
            print(f"kill {number}, after {after_s:.3f} s: {words}", flush=True)
    found = ", ".join(f"{words} {count}" for words, count in stages.most_common())
    print(f"{options.kills} kills and as many resumes in {time.monotonic() - start_s:.0f} s; promises broken: {broken}")
    print(f"what the kills met: {found}" if found else "", end="\n" if found else "")
    return 1 if broken else 0


def fake_kill() -> Kill:
    """Kills a job on the engine that is none."""
    task = load()
    return lambda folder, after_s: try_kill(task, folder, after_s)


def whole_job_s(*, graded: bool) -> float:
    """Seconds that a job takes which nobody kills."""
    with tempfile.TemporaryDirectory() as folder:
        started_s = time.monotonic()
        _start(Path(folder) / "job", graded=graded).communicate()
        return time.monotonic() - started_s


def real_kill(engine: Engine, stages: Counter[str], *, graded: bool) -> Kill:
    """Kills a job on a real engine, and counts in `stages` how far it was."""

    def kill(folder: Path, after_s: float) -> list[str] | None:
        first, job = _start(folder, graded=graded), _name(folder)
        root = folder / job
        try:
            first.wait(after_s)
        except subprocess.TimeoutExpired:
            first.kill()
        if first.wait() != -signal.SIGKILL:
            return None
        wrong = [f"left by the kill: {words}" for words in _left(engine, job, started=True)]
        journal = root / "journal.jsonl"
        before = final_runs(journal)
        stages[_stage(journal, before)] += 1
        if not journal.exists():  # it had not begun: nothing to go on with
            return wrong
        again = _runner("--resume", str(root))
        _, said = again.communicate()
        if again.returncode not in GRADED:
            wrong.append(f"going on ended with {again.returncode}: {said.strip()}")
        wrong += [f"left at the end: {words}" for words in _left(engine, job, started=False)]
        results = {run["number"]: run for run in json.loads((root / "results.json").read_text())["runs"]}
        if sorted(results) != list(range(1, RUNS + 1)) or sorted(final_runs(journal)) != sorted(results):
            wrong.append(f"not all runs are there: {sorted(results)}, final {sorted(final_runs(journal))}")
        return wrong + [f"run {number} was altered" for number, run in before.items() if results.get(number) != run]

    return kill


def _name(folder: Path) -> str:
    """A job's; the folder's parent has a name that no other job has."""
    return f"killed-{folder.parent.name}"


def _start(folder: Path, *, graded: bool) -> subprocess.Popen[str]:
    """A job that begins in a new folder."""
    folder.mkdir()
    (folder / "idle.py").write_text(IDLE)
    agent = "scripted" if graded else f"{folder / 'idle.py'}:Idle"
    return _runner("--runs", str(RUNS), "--agent", agent, *FLAGS, "--name", _name(folder), "--output", str(folder))


def _runner(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "runner", *arguments, *QUIET]
    return subprocess.Popen(
        command, cwd=Path(__file__).resolve().parents[1], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def _stage(journal: Path, final: dict[int, object]) -> str:
    if not journal.exists():
        return "no job yet"
    return f"{len(final)} final" if final else "waiting" if '"submitted"' in journal.read_text() else "playing"


def _left(engine: Engine, job: str, *, started: bool) -> list[str]:
    """Containers of a dead runner that are there after GONE_S, the measuring slot's too.

    Args:
        started: only those that were started; what was not is found by the next runner, which must call it an orphan.
    """
    end_s = time.monotonic() + GONE_S
    while True:
        slots = (each for each in leftovers(engine) if each.role == "slot" and each.left is Left.ORPHANED)
        mine = [*(each for each in leftovers(engine) if each.job == job), *slots]
        running = [each for each in mine if not started or each.status != "created" or each.left is not Left.ORPHANED]
        if not running or time.monotonic() > end_s:
            return [f"{each.role} {each.status} {each.left}" for each in running]
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
