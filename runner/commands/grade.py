"""`python -m runner grade FILE`: grade any file, without an agent."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from runner.clock import SystemClock
from runner.commands.assemble import DEFAULT_TASK, read_submission, the_spec, the_task
from runner.commands.run import terminated_like_interrupted
from runner.faults import InfrastructureFault, Interrupted, UsageFault
from runner.grading.case import load_problem
from runner.grading.rounds import Bench, Candidate, Graded, grade
from runner.job import measuring
from runner.plan import INTERRUPTED, exit_status
from runner.records.job import total
from runner.records.outcome import Infrastructure
from runner.records.run import Run
from runner.records.submission import Submission
from runner.report.console import Console
from runner.report.progress import Progress
from runner.sandbox.container import Fleet, sweep
from runner.sandbox.engine import Engine, find_engine
from runner.sandbox.slot import all_cpus
from runner.sandbox.spec import SandboxSpec
from runner.settings import Settings
from runner.store.results import run_json
from runner.task import Task


@dataclass(frozen=True, slots=True)
class GradeOptions:
    """The flags of `grade`.

    Attributes:
        seed: replays a grading's data; None draws fresh seeds.
    """

    file: Path
    task: str = DEFAULT_TASK
    scale: str = "full"
    rounds_max: int = 12
    seed: int | None = None
    json: bool = False
    quiet: bool = False


def grade_file(settings: Settings, options: GradeOptions) -> int:
    """Grade one file; returns the exit status.

    Raises:
        Fault: before anything started.
    """
    task = the_task(settings, options.task)
    task.scale(options.scale)
    if options.rounds_max < 1:
        raise UsageFault(cause=f"--max-rounds {options.rounds_max}", mend="allow at least one round; 12 is the default")
    content = read_submission(options.file, task.file.submission.max_bytes)
    clock = SystemClock()
    started_s = clock.monotonic()
    with Progress(quiet=options.quiet) as progress:
        engine = find_engine(settings)
        sweep(engine)
        spec, _ = the_spec(engine, task, settings.runtime, progress.say)
        try:
            with terminated_like_interrupted():
                graded = _grade(_bench(engine, spec, task, options, progress), content)
        except (KeyboardInterrupt, Interrupted):
            print("interrupted", file=sys.stderr)
            return INTERRUPTED
    run = _as_run(graded, Submission(str(options.file), content), str(options.file))
    if options.json:
        print(json.dumps(run_json(run), ensure_ascii=True))
    else:
        Console(sys.stdout, task.target(options.scale), task.file.quality.name).run(run)
    return exit_status([run], total([run], clock.monotonic() - started_s), interrupted=False, fail_under=None)


def _bench(engine: Engine, spec: SandboxSpec, task: Task, options: GradeOptions, progress: Progress) -> Bench:
    return Bench(
        fleet=Fleet(engine, "grade"),
        task=task,
        problem=load_problem(task),
        scale=options.scale,
        spec=spec,
        measuring="",
        warming=all_cpus(engine),
        memory_bytes=engine.facts.memory_bytes,
        rounds_max=options.rounds_max,
        clock=SystemClock(),
        say=progress.say,
        seed=options.seed,
    )


def _grade(bench: Bench, content: bytes) -> Graded:
    try:
        with measuring(bench.fleet, bench.spec, bench.say) as cpuset:
            return next(grade(bench.on(cpuset), [Candidate(1, content)]))
    except InfrastructureFault as fault:
        return Graded(1, Infrastructure(fault.cause, fault.mend))


def _as_run(graded: Graded, submission: Submission, path: str) -> Run:
    return Run(
        number=1,
        outcome=graded.verdict,
        submission=submission,
        findings=graded.findings,
        measurement=graded.measurement,
        correctness=graded.correctness,
        enforced=graded.enforced,
        stored_at=path,
    )
