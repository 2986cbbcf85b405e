"""Jobs on an engine that is none, in this process: what a seed brings about, and what must hold whatever it was.

One job plays oracles (the task's solution) at a small scale and grades them with one round. Its guests do what they are
asked, so that no outcome may ever be a failure of the submission's or the agent's.
"""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from runner.agents.oracle import make_oracle
from runner.budget.clock import Clock, SystemClock
from runner.faults import Fault, InfrastructureFault
from runner.job.job import Job
from runner.job.resume import Remains, begun_entry, read_remains
from runner.job.setup import build_context, load_task
from runner.records.episode import Limits
from runner.records.grading import Rules
from runner.records.outcome import OutcomeKind
from runner.records.run import JobConfig, Run
from runner.sandbox.engine import Engine, find_engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.leftovers import is_alive, sweep
from runner.sandbox.spec import HOLDER_LABEL, MIB, SandboxSpec
from runner.settings import Settings
from runner.store.job_folder import JobFolder, open_job_folder, reopen_job_folder
from runner.store.journal import EntryKind, ReadJournal, read_journal
from runner.store.results import run_json
from runner.tasks.task import Task
from tests.fakes.docker_engine import IMAGE_ID, FakeEngine

SPEC = SandboxSpec(
    image_id=IMAGE_ID,
    python="python3",
    environment=(("HOME", "/workspace"),),
    unset=(),
    memory_bytes=512 * MIB,
    cpus=1.0,
    pids=128,
    workspace_bytes=32 * MIB,
    tmp_bytes=32 * MIB,
)
PATIENCE_S = 60.0
TIMEOUT_S = 1.0  # the client's patience: less than the engine's silence
BASELINE_S = 0.02  # how long the baseline takes here, so that the solution is the faster one
KILLED_RUNS = 4  # of a job that is killed: enough for each stage to take some of its time
ROOT = Path(__file__).resolve().parents[2]
# What an engine's fault may be called; whatever else a run ends with would be somebody's failure.
HOSTS = {OutcomeKind.INFRASTRUCTURE, OutcomeKind.INCONCLUSIVE}
# How a correct solution ends where nothing strikes; its times are real, and this machine is busy.
OWN = {OutcomeKind.PASSED, OutcomeKind.TOO_SLOW, OutcomeKind.UNSTABLE, OutcomeKind.INCONCLUSIVE}


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a job.

    Attributes:
        runs: as reported, by number.
        fault: what ended the whole job; None where it came to its end.
        wrong: what does not hold that must, a sentence each.
    """

    runs: Mapping[int, Run]
    fault: Fault | None
    wrong: tuple[str, ...]


def answer_of(task: Task) -> Any:
    """What a sample answers: the solution's answer, later for the baseline."""
    solution: dict[str, Any] = {}
    exec(task.oracle or b"", solution)

    def answer(source: bytes, inputs: Mapping[str, Any], declared: list[Any]) -> bytes:
        arrays, offset = {}, 0
        for name, dtype, shape in inputs["layout"]:
            values = np.frombuffer(inputs["bytes"], dtype=dtype, count=int(np.prod(shape)), offset=offset)
            arrays[name], offset = values.reshape(shape), offset + values.nbytes
        arrays["steps"] = int(arrays["steps"])
        if source == task.baseline:
            time.sleep(BASELINE_S)
        made = solution[task.file.call.entry](**arrays)
        return b"".join(np.ascontiguousarray(made[name], dtype=dtype).tobytes() for name, dtype, _ in declared)

    return answer


def rules_of(task: Task) -> Rules:
    """One round, and a verdict."""
    return Rules(
        target=1.01, confidence=0.95, quality=task.file.quality.name, tolerance=1.0, minimum=None, rounds_max=1,
        seconds_max=60.0, edition=1, data_sets=1,
    )  # fmt: skip


def config_of(task: Task, runs: int, name: str) -> JobConfig:
    return JobConfig(
        task=task.name, task_digest=task.digest, scale="small", agent="oracle", runs=runs, concurrency=2, name=name,
        limits=Limits(turns=5, wall_s=60.0),
    )  # fmt: skip


def play(
    engine: FakeEngine,
    task: Task,
    output: Path,
    *,
    runs: int = 2,
    graded: bool = True,
    resumed: bool = False,
    clock: Clock | None = None,
    patience_s: float | None = None,
    grade_after_s: float | None = None,
) -> Played:
    """Play a job, or go on with the one that is there, and look at all that it left.

    Args:
        patience_s: with each of the engine's answers; None: less than the silence of its faults, where any strikes.
    """
    before: dict[int, str] = {}
    fault: Fault | None = None
    reported: list[Run] = []
    # Where nothing is to strike, a busy machine must not look like an engine that hangs.
    patience_s = patience_s or (TIMEOUT_S if engine.plan else PATIENCE_S)
    found = find_engine(Settings(docker_host=engine.url, engine_timeout_s=patience_s))
    folder = reopen_job_folder(output / "j") if resumed else open_job_folder(output, "j")
    try:
        remains = read_remains(folder) if resumed else None
        before = {run.number: _text(run) for run in remains.finished} if remains is not None else {}
        job = _job(found, task, folder, runs, remains, reported)
        job.context = replace(job.context, clock=clock or job.context.clock)
        job.config = replace(job.config, grade_after_s=grade_after_s)
        if not graded:
            job.context = replace(job.context, source_checks=False)
            job._grade = lambda episodes: [job._finish(_ungraded(episode.run)) for episode in episodes]  # type: ignore[assignment,func-returns-value,method-assign]
        job.play()
    except InfrastructureFault as error:
        fault = error
    finally:
        folder.close()
    return Played({run.number: run for run in reported}, fault, tuple(_wrong(engine, output / "j", reported, before)))


def _ungraded(run: Run) -> Run:
    return replace(run, outcome=replace(run.outcome, kind=OutcomeKind.INCONCLUSIVE))


def _job(found: Engine, task: Task, folder: JobFolder, runs: int, remains: Remains | None, reported: list[Run]) -> Job:
    config = config_of(task, runs, folder.path.name)
    if remains is None:
        folder.write_json("job.json", json.loads(json.dumps(begun_entry(config, task.folder)["job"])))
        folder.journal.append(EntryKind.BEGUN, begun_entry(config, task.folder), "now")
    context = build_context(
        Fleet(found, config.name), task, "small", SPEC, rules_of(task), SystemClock(), lambda step: None
    )
    return Job(config, context, make_oracle, lambda: None, folder, {}, reported.append, remains=remains)


def _text(run: Run) -> str:
    return json.dumps(run_json(run), sort_keys=True)


def _wrong(engine: FakeEngine, folder: Path, reported: list[Run], before: Mapping[int, str]) -> list[str]:
    """Everything that must hold after any job, and does not."""
    wrong = [_unlike(run, OWN | HOSTS) for run in reported if run.outcome.kind not in OWN | HOSTS]
    faults = [run for run in reported if run.outcome.kind is OutcomeKind.INFRASTRUCTURE]
    wrong += [f"run {run.number}: {run.outcome.reason}" for run in faults if "report it" in run.outcome.hint]
    wrong += [f"run {run.number}: no cause or hint" for run in faults if not (run.outcome.reason and run.outcome.hint)]
    numbers = [run.number for run in reported]
    if len(set(numbers)) != len(numbers):
        wrong.append(f"reported more than once: {numbers}")
    journal = read_journal((folder / "journal.jsonl").read_bytes())
    final = [entry.content["number"] for entry in journal.entries if entry.kind == EntryKind.FINISHED]
    if journal.damage or len(set(final)) != len(final):
        wrong.append(f"the journal: {journal.damage}, final {final}")
    results = {run["number"]: run for run in json.loads((folder / "results.json").read_text())["runs"]}
    now = {number: json.dumps(run, sort_keys=True) for number, run in results.items()}
    wrong += [f"run {number} was altered" for number, text in before.items() if now.get(number) != text]
    wrong += [f"run {number} is final and not in the results" for number in final if number not in results]
    return wrong + _left(engine)


def _unlike(run: Run, kinds: set[OutcomeKind]) -> str:
    return f"run {run.number} ended {run.outcome.kind}, not {sorted(kinds)}: {run.outcome.reason}"


def _left(engine: FakeEngine) -> list[str]:
    """Containers that are still there a little later.

    What was created after the job had ended, by an engine that took its time, is nobody's any more: it names its holder, so
    that the next job's start removes it. Here the holder lives on, and it is removed in its place.
    """
    end_s = time.monotonic() + 5.0
    while any(each.status != "created" for each in list(engine.containers.values())) and time.monotonic() < end_s:
        time.sleep(0.01)
    for each in list(engine.containers.values()):
        if each.status == "created" and is_alive(each.labels.get(HOLDER_LABEL, "")):
            engine.end(each, None)
    return [f"left: {each.name} {each.status} {each.labels.get('runner.role')}" for each in engine.containers.values()]


def try_schedule(
    task: Task, folder: Path, seed: int, *, faults: int = 2, span: int = 60, graded: bool = True
) -> tuple[list[str], list[str]]:
    """(what does not hold, what struck) of one seed: a job under its faults, and the same resumed without any."""
    folder.mkdir()
    engine = FakeEngine(folder / "docker.sock", answer_of(task), seed, faults, span)
    with engine:
        try:
            first = play(engine, task, folder, graded=graded)
        except Fault as fault:  # before anything was there
            return ([] if fault.cause and fault.hint else ["a fault without cause or hint"]), engine.struck
        except Exception as error:  # a mistake of ours; told with its seed
            return [f"the job died of {error!r}"], engine.struck
        engine.plan = {}
        again = play(engine, task, folder, graded=graded, resumed=True)
    wrong = [*first.wrong, *again.wrong]
    if again.fault is not None or sorted(again.runs) != [1, 2]:
        wrong.append(f"it did not come to its end when it went on: {again.fault}, runs {sorted(again.runs)}")
    wrong += [_unlike(run, OWN) for run in again.runs.values() if run.outcome.kind not in OWN]
    return wrong, engine.struck


def play_apart(url: str, output: Path, *, resumed: bool) -> None:
    """One job on an engine elsewhere, in a process that may be killed."""
    task = load()
    found = find_engine(Settings(docker_host=url, engine_timeout_s=10.0))
    sweep(found)  # as at every job's start
    folder = reopen_job_folder(output / "j") if resumed else open_job_folder(output, "j")
    try:
        remains = read_remains(folder) if resumed else None
        _job(found, task, folder, KILLED_RUNS, remains, []).play()
    finally:
        folder.close()


def try_kill(task: Task, folder: Path, after_s: float) -> list[str]:
    """What does not hold when a job is killed so long after its folder is there, and goes on."""
    folder.mkdir()
    with FakeEngine(folder / "docker.sock", answer_of(task)) as engine:
        first = _start_apart(engine, folder, "new")
        journal = folder / "j" / "journal.jsonl"
        while not journal.exists() and first.poll() is None:
            time.sleep(0.01)
        time.sleep(after_s)
        first.kill()
        first.wait()
        wrong = [f"a process of the first job remains: {words}" for words in _running(engine)]
        before = final_runs(journal)
        again = _start_apart(engine, folder, "resumed")
        if again.wait(120) != 0:
            wrong.append(f"going on ended with {again.returncode}")
        wrong += _left(engine)
    results = {run["number"]: run for run in json.loads((folder / "j" / "results.json").read_text())["runs"]}
    if sorted(results) != list(range(1, KILLED_RUNS + 1)):
        wrong.append(f"not all runs are there: {sorted(results)}")
    wrong += [f"run {number} was altered" for number, run in before.items() if results.get(number) != run]
    if len(final_runs(journal)) != KILLED_RUNS or read_journal(journal.read_bytes()).damage:
        wrong.append(f"the journal: {read_journal(journal.read_bytes()).damage}")
    return wrong


def _start_apart(engine: FakeEngine, folder: Path, how: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.fakes.faulty_jobs", engine.url, str(folder), how], cwd=ROOT)


def final_runs(journal: Path) -> dict[int, Any]:
    """The runs that a journal calls final, by number."""
    found = read_journal(journal.read_bytes()) if journal.exists() else ReadJournal()
    return {entry.content["number"]: entry.content for entry in found.entries if entry.kind == EntryKind.FINISHED}


def _running(engine: FakeEngine) -> list[str]:
    """Containers that still run five seconds after their runner's end."""
    end_s = time.monotonic() + 5.0
    while time.monotonic() < end_s:
        found = [each.name for each in list(engine.containers.values()) if each.guest is not None]
        if not found:
            return []
        time.sleep(0.01)
    return found


def load() -> Task:
    """The task of these jobs."""
    return load_task(Settings(), "slow_nbody")


if __name__ == "__main__":
    play_apart(sys.argv[1], Path(sys.argv[2]), resumed=sys.argv[3] == "resumed")
