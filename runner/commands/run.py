"""`python -m runner`: the main job."""

import contextlib
import json
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from types import FrameType

from runner.clock import Clock, SystemClock
from runner.commands.assemble import (
    DEFAULT_TASK,
    GradingOptions,
    check_agent,
    check_grading,
    the_agents,
    the_agents_name,
    the_bench,
    the_lock,
    the_rules,
    the_spec,
    the_task,
)
from runner.faults import UsageFault
from runner.job import Job
from runner.plan import exit_status
from runner.records.job import Request
from runner.records.run import Run
from runner.report.console import Console
from runner.report.progress import Progress
from runner.sandbox.container import Fleet, sweep
from runner.sandbox.engine import find_engine
from runner.settings import Settings
from runner.store.folder import JobFolder, open_job_folder
from runner.store.results import results_json
from runner.task import Task

GRADE_AFTER_S = 600.0
BANNER = (
    "No model credentials found: playing the scripted episodes that ship with the task.\n"
    "Real containers, real tools, real measurement; only the model's words are written down beforehand.\n"
    "To let a model play, set ANTHROPIC_API_KEY (and --model NAME). Without one: --agent scripted | oracle | noop."
)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The flags of the main job.

    Attributes:
        agent: empty: chosen by what credentials there are.
        jobs: episodes at a time; 0: one per CPU of the engine, four at most.
        grade_after: seconds, `end`, or empty for the agent's default.
        fail_under: pass rate (0 to 1) under which the exit status is 1.
    """

    runs: int = 10
    task: str = DEFAULT_TASK
    scale: str = "full"
    agent: str = ""
    jobs: int = 0
    name: str = ""
    grade_after: str = ""
    grading: GradingOptions = field(default_factory=GradingOptions)
    fail_under: float | None = None
    json: bool = False
    quiet: bool = False


def run(settings: Settings, options: RunOptions, clock: Clock | None = None) -> int:
    """Play and grade; returns the exit status.

    Raises:
        Fault: before anything started.
    """
    clock = clock or SystemClock()
    task = the_task(settings, options.task)
    agent = the_agents_name(settings, options.agent)
    _check(options, task, agent)
    check_agent(settings, agent, task, options.runs)
    with Progress(quiet=options.quiet) as progress:
        engine = find_engine(settings)
        request = _request(options, task, agent, engine.facts.ncpu, clock)
        with contextlib.closing(open_job_folder(settings.output, request.name)) as folder:
            if agent == "scripted" and not options.agent and not options.quiet:
                print(BANNER, file=sys.stderr)
            spec, image = the_spec(engine, task, settings.runtime, progress.say)
            lock = the_lock(engine, task, image)
            rules = the_rules(engine, task, options.scale, image, options.grading)
            fleet = Fleet(engine, request.name)
            sweep(engine)
            bench = the_bench(fleet, task, options.scale, spec, rules, clock, progress.say)
            make_agent, stop_agents = the_agents(settings, agent, progress.say)
            console = Console(sys.stderr if options.json else sys.stdout, request.target, task.file.quality.name)
            report = _ignore if options.json else console.run
            job = Job(request, bench, make_agent, stop_agents, folder, lock, report)
            return _play(job, console, options, folder)


def _play(job: Job, console: Console, options: RunOptions, folder: JobFolder) -> int:
    folder.write_json("job.json", asdict(job.request))
    folder.write_json("lock.json", job.lock)
    if not options.json:
        console.header(job.request, job.bench.task.file.task.title)
    with terminated_like_interrupted():
        interrupted = job.play()
    totals = job.totals()
    if options.json:
        print(json.dumps(results_json(job.request, job.runs, totals, job.lock), ensure_ascii=True))
    else:
        console.totals(totals, job.request.runs)
        print(f"Results: {folder.path}/results.json", file=sys.stderr)
    for leak in job.bench.fleet.leaks:
        print(f"container {leak[:12]} may be left over: `docker rm -f {leak[:12]}`", file=sys.stderr)
    return exit_status(job.runs, totals, interrupted=interrupted, fail_under=options.fail_under)


def _check(options: RunOptions, task: Task, agent: str) -> None:
    """Everything that can be told before an engine is needed."""
    if options.runs < 1:
        raise UsageFault(cause=f"--runs {options.runs}", mend="ask for at least one run")
    if options.jobs < 0:
        raise UsageFault(cause=f"--jobs {options.jobs}", mend="ask for one or more at a time, or 0 for the default")
    if options.fail_under is not None and not 0.0 <= options.fail_under <= 1.0:
        raise UsageFault(cause=f"--fail-under {options.fail_under}", mend="give a pass rate between 0 and 1")
    task.scale(options.scale)
    check_grading(options.grading)
    _grade_after(options.grade_after, agent)


def _grade_after(text: str, agent: str) -> float | None:
    """Seconds that a submission may wait while episodes go on; None: until all are over."""
    if text == "end" or (not text and agent in ("scripted", "oracle", "noop")):
        return None
    try:
        seconds = float(text or GRADE_AFTER_S)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise UsageFault(cause=f"--grade-after {text}", mend="give seconds, or `end`")
    return seconds


def _request(options: RunOptions, task: Task, agent: str, cpus: int, clock: Clock) -> Request:
    now = clock.now()
    return Request(
        task=task.name,
        task_digest=task.digest,
        scale=options.scale,
        agent=agent,
        runs=options.runs,
        jobs=options.jobs or min(4, cpus, options.runs),
        name=options.name or now.astimezone().strftime("%Y-%m-%d_%H-%M-%S"),
        grade_after_s=_grade_after(options.grade_after, agent),
        rounds_max=options.grading.rounds_max or task.file.grading.rounds,
        target=task.target(options.scale),
        started=now.isoformat(),
    )


def _ignore(run: Run) -> None:
    return None


@contextlib.contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM and SIGHUP end a job as Ctrl-C does; a second one ends the process at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    try:
        for number in before:
            signal.signal(number, stop)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
