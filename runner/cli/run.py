"""`python -m runner`: the main job."""

import contextlib
import json
import sys
from dataclasses import asdict, dataclass, replace
from typing import TextIO

from structlog.typing import FilteringBoundLogger

from runner.budget.clock import Clock, SystemClock
from runner.budget.estimate import Estimate, estimate
from runner.budget.ledger import Ledger
from runner.budget.limits import BudgetExceeded
from runner.cli.exit_codes import BUDGET, OK
from runner.cli.hosts_flags import check_alone
from runner.cli.job_end import Show, finish
from runner.cli.options import RunOptions
from runner.cli.resolve import resolve, resumed_config
from runner.cli.resume import ResumedJob, open_resumed
from runner.faults import UsageFault
from runner.job.agent_files import with_files
from runner.job.agents import HUMAN, SCRIPTED, AgentSetup, set_up_agent
from runner.job.assembly import Listeners, begin_folder, build_job, concurrency_of
from runner.job.job import Job
from runner.job.setup import load_task
from runner.job.slots import check_room
from runner.records.run import JobConfig, Run
from runner.report.console import Console, estimate_lines
from runner.report.escape import shown_lines
from runner.report.output import main_threads_output
from runner.report.progress import Progress
from runner.sandbox.engine import Engine, find_engine
from runner.sandbox.image import is_built
from runner.settings import Settings
from runner.store.job_folder import JobFolder, check_new_folder, free_name
from runner.store.log import job_log
from runner.tasks.problem import check_repeats, load_problem
from runner.tasks.task import Task

BANNER = (
    "No model credentials found: running the scripted episodes that ship with the task.\n"
    "Real containers, real tools, real measurement; only the model's words are written down beforehand.\n"
    "To use a model, set ANTHROPIC_API_KEY (and --model NAME). Without one: --agent scripted | oracle | noop."
)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """Everything that is known before anything starts.

    Attributes:
        streams: standard output and error, also while an agent's library has put something else in their place.
        resumed: what is there already of the job, and its folder; None for a new one.
    """

    settings: Settings
    options: RunOptions
    task: Task
    config: JobConfig
    agent: AgentSetup
    ledger: Ledger
    engine: Engine
    estimate: Estimate | None
    streams: tuple[TextIO, TextIO]
    resumed: ResumedJob | None = None


def run(settings: Settings, options: RunOptions, clock: Clock | None = None) -> int:
    """Run the episodes and grade them; returns the exit status.

    Raises:
        Fault: before anything started.
    """
    with main_threads_output():  # an agent of the user's own may print
        return _run(settings, options, clock or SystemClock())


def _run(settings: Settings, options: RunOptions, clock: Clock) -> int:
    if options.several.ray:
        from runner.cli.run_on_hosts import run_on_hosts

        return run_on_hosts(settings, options, clock)
    check_alone(options.given)
    if options.resume is None:
        if options.resume_episodes:
            raise UsageFault(cause="--resume-episodes without --resume", hint="name the job: --resume output/latest")
        task = load_task(settings, options.task.task)
        config = resolve(options, settings, task, clock.now())
        if not options.name:
            config = replace(config, name=free_name(settings.output, config.name))
        check_new_folder(settings.output, config.name)
        check_repeats(load_problem(task), task)
        return _start(settings, options, clock, task, config, Ledger(options.limits.job_cost_limit))
    with open_resumed(settings, options) as resumed:
        config = resumed_config(options, resumed.config)
        ledger = Ledger(config.dollars_max, resumed.remains.dollars)
        return _start(resumed.settings, options, clock, resumed.task, config, ledger, resumed)


def _start(
    settings: Settings,
    options: RunOptions,
    clock: Clock,
    task: Task,
    config: JobConfig,
    ledger: Ledger,
    resumed: ResumedJob | None = None,
) -> int:
    """Check what can be checked, and play the job."""
    is_human = config.agent == HUMAN  # a person's terminal shows the conversation only
    with Progress(quiet=options.show.quiet or is_human) as progress:
        streams = sys.stdout, sys.stderr
        recorded = resumed.recorded if resumed is not None else {}
        theirs = with_files(config, resumed.remains.files) if resumed is not None else config
        agent = set_up_agent(theirs, settings, task, ledger, clock, progress.say, recorded)
        try:
            engine = find_engine(settings)
            if config.grading.slots > 1:
                check_room(engine, config.grading.slots)
            if resumed is None or "concurrency" in options.given:
                config = replace(config, concurrency=concurrency_of(config, engine.facts, task.file.limits.memory))
            prepared = _Prepared(
                settings, options, task, config, agent, ledger, engine, _estimate(config, agent), streams, resumed
            )
            if options.dry_run:
                return _dry_run(prepared)
            if not options.show.quiet:
                _announce(prepared)
            if config.preflight:
                agent.preflight()
            return _play(prepared, progress)
        except BudgetExceeded as ended:
            print(
                f"error: {ended.limit} are not enough to ask the model one word\n  hint: raise --job-cost-limit",
                file=sys.stderr,
            )
            return BUDGET
        finally:
            agent.stop()


def _estimate(config: JobConfig, agent: AgentSetup) -> Estimate | None:
    """What the job can cost; None for an agent without a model."""
    if agent.model_config is None or agent.prices is None or config.dollars_max is None:
        return None
    most = agent.model_config.max_tokens
    turn_cost_max = agent.prices.cost_max(agent.model_config.context_tokens + most, most)
    return estimate(config.limits, config.runs, config.concurrency, config.dollars_max, turn_cost_max)


def _announce(prepared: _Prepared) -> None:
    """What is going to happen, and the most that it can cost, before the first call."""
    config, agent = prepared.config, prepared.agent
    if prepared.resumed is not None:
        for words in (*prepared.resumed.remains.damage, prepared.resumed.remains.words):
            print("\n    ".join(shown_lines(words)), file=sys.stderr)
        return
    if agent.name == SCRIPTED and not prepared.options.agent.agent:
        print(BANNER, file=sys.stderr)
    if prepared.estimate is None or agent.prices is None:
        print(
            f"{config.runs} runs of {config.task}, {config.concurrency} at a time: no model, nothing to pay",
            file=sys.stderr,
        )
        return
    lines = estimate_lines(prepared.estimate, config, known=not agent.prices.unknown)
    print("\n".join(lines), file=sys.stderr)


def _dry_run(prepared: _Prepared) -> int:
    """Check what can be checked without starting anything, and say what would happen.

    Raises:
        Fault: a check failed, as it would when the job starts.
    """
    settings, task, engine = prepared.settings, prepared.task, prepared.engine
    load_problem(task)
    resumed = prepared.resumed
    folder = check_new_folder(settings.output, prepared.config.name) if resumed is None else resumed.folder.path
    built = is_built(engine, task.file.image.name, settings)
    checks = {
        "task": str(task.folder),
        "agent": prepared.agent.name,
        "engine": f"{engine.url}, version {engine.facts.version}",
        "image": f"{task.file.image.name}: {'built' if built else 'is built when the job starts'}",
        "output": str(folder),
    }
    if prepared.options.show.json:
        found = asdict(prepared.estimate) if prepared.estimate is not None else None
        print(
            json.dumps({"config": asdict(prepared.config), "checks": checks, "estimate": found}, ensure_ascii=True),
            file=prepared.streams[0],
        )
        return OK
    _announce(prepared)
    for name, words in checks.items():
        print(f"  ✓ {name}: {words}", file=sys.stderr)
    return OK


def _play(prepared: _Prepared, progress: Progress) -> int:
    settings, config = prepared.settings, prepared.config
    with contextlib.ExitStack() as stack:
        if prepared.resumed is None:
            folder, config = begin_folder(settings, config, named=bool(prepared.options.name))
            stack.enter_context(contextlib.closing(folder))
            prepared = replace(prepared, config=config)
        else:
            folder = prepared.resumed.folder
        log = stack.enter_context(job_log(folder.path, settings.log_level))
        job, console = _job(prepared, folder, progress, log)
        show = Show(settings, prepared.options, prepared.task, prepared.streams)
        return finish(job, console, show, folder)


def _job(prepared: _Prepared, folder: JobFolder, progress: Progress, log: FilteringBoundLogger) -> tuple[Job, Console]:
    config, options, task = prepared.config, prepared.options, prepared.task
    console = Console(
        prepared.streams[1 if options.show.json else 0],
        task.file.quality.name,
        target=config.target,
        verbose=options.report.verbose,
        snapshots=config.grade_snapshots,
    )

    def report(run: Run) -> None:
        progress.finished(run)
        if not options.show.json:
            console.run(run)

    job = build_job(
        prepared.settings, prepared.engine, task, config, prepared.agent, prepared.ledger, folder, log,
        Listeners(say=progress.say, report_step=progress.grading, report=report, on_event=progress.event),
        prepared.resumed.remains if prepared.resumed is not None else None,
    )  # fmt: skip
    progress.job(config)
    return job, console
