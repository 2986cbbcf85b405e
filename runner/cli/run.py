"""`python -m runner`: the main job."""

import contextlib
import json
import sys
from dataclasses import asdict, dataclass, replace
from typing import TextIO

from structlog.typing import FilteringBoundLogger

from runner.budget.estimate import Estimate, estimate
from runner.budget.ledger import Ledger
from runner.budget.limits import BudgetExceeded
from runner.cli.exit_codes import BUDGET, OK, exit_status
from runner.cli.options import RunOptions
from runner.cli.resolve import for_engine, resolve
from runner.cli.signals import interrupt_on_sigterm
from runner.clock import Clock, SystemClock
from runner.faults import Fault
from runner.job.agents import HUMAN, SCRIPTED, AgentSetup, prompts_json, set_up_agent
from runner.job.job import Job
from runner.job.setup import build_context, build_rules, build_spec, load_task, lock_record
from runner.records.events import Event, ResponseEvent, StartEvent, event_to_json
from runner.records.grading import GradingStep
from runner.records.run import JobConfig, Run
from runner.report.analysis import WANTED_RATES
from runner.report.console import Console, estimate_lines
from runner.report.output import main_threads_output
from runner.report.progress import Progress
from runner.sandbox.engine import Engine, find_engine
from runner.sandbox.fleet import Fleet, sweep
from runner.sandbox.image import is_built
from runner.settings import Settings
from runner.store.job_folder import JobFolder, check_new_folder, free_name, open_job_folder, open_next_job_folder
from runner.store.jobs import read_job
from runner.store.log import job_log
from runner.store.results import results_json
from runner.tasks.problem import load_problem
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


def run(settings: Settings, options: RunOptions, clock: Clock | None = None) -> int:
    """Run the episodes and grade them; returns the exit status.

    Raises:
        Fault: before anything started.
    """
    with main_threads_output():  # an agent of the user's own may print
        return _run(settings, options, clock or SystemClock())


def _run(settings: Settings, options: RunOptions, clock: Clock) -> int:
    task = load_task(settings, options.task.task)
    config = resolve(options, settings, task, clock.now())
    if not options.name:
        config = replace(config, name=free_name(settings.output, config.name))
    check_new_folder(settings.output, config.name)
    ledger = Ledger(options.limits.job_cost_limit)
    is_human = config.agent == HUMAN  # a person's terminal shows the conversation only
    with Progress(quiet=options.show.quiet or is_human) as progress:
        streams = sys.stdout, sys.stderr
        agent = set_up_agent(config, settings, task, ledger, clock, progress.say)
        try:
            engine = find_engine(settings)
            config = replace(config, concurrency=for_engine(config, engine.facts, task.file.limits.memory))
            prepared = _Prepared(
                settings, options, task, config, agent, ledger, engine, _estimate(config, agent), streams
            )
            if options.dry_run:
                return _dry_run(prepared)
            if not options.show.quiet:
                _announce(prepared)
            if config.preflight:
                agent.preflight()
            return _play(prepared, progress)
        except BudgetExceeded as ended:
            print(f"error: {ended.limit} are not enough for one word\n  hint: raise --job-cost-limit", file=sys.stderr)
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
    folder = check_new_folder(settings.output, prepared.config.name)
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
    make = open_job_folder if prepared.options.name else open_next_job_folder
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(contextlib.closing(make(settings.output, config.name)))
        prepared = replace(prepared, config=replace(config, name=folder.path.name))
        log = stack.enter_context(job_log(folder.path, settings.log_level))
        job, console = _job(prepared, folder, progress, log)
        return _finish(job, console, prepared, folder)


def _job(prepared: _Prepared, folder: JobFolder, progress: Progress, log: FilteringBoundLogger) -> tuple[Job, Console]:
    config, options, task, engine = prepared.config, prepared.options, prepared.task, prepared.engine

    def say(step: str) -> None:
        progress.say(step)
        log.info("step", text=step)

    def report_step(step: GradingStep) -> None:
        progress.grading(step)
        log.info("step", text=step.text)

    spec, image = build_spec(engine, task, prepared.settings, say)
    rules = build_rules(engine, task, config.scale, image, config.grading)
    fleet = Fleet(engine, config.name)
    sweep(engine)
    context = build_context(fleet, task, config.scale, spec, rules, SystemClock(), report_step)
    prompts = prompts_json(prepared.agent, task, config.scale)
    lock = {**lock_record(engine, task, image), "agent": {"name": prepared.agent.name, **prompts}}
    console = Console(
        prepared.streams[1 if options.show.json else 0],
        task.file.quality.name,
        target=config.target,
        verbose=options.report.verbose,
        snapshots=config.grade_snapshots,
    )
    about = prepared.agent.about
    start_event = StartEvent(
        run=0,
        agent=config.agent,
        task=config.task,
        image=image.id,
        model=config.model,
        limits=config.limits,
        instruction_sha256=prompts["instruction_sha256"],
        more={key: value for key, value in about.items() if key != "model"},
    )

    def on_event(number: int, event: Event) -> None:
        progress.event(number, event)
        attempts = event_to_json(event)["tries"] if isinstance(event, ResponseEvent) else None
        log.debug("episode", run=number, kind=event.kind, **({"tries": attempts} if attempts else {}))

    def report(run: Run) -> None:
        progress.finished(run)
        log.info("outcome", run=run.number, outcome=run.outcome.kind, reason=run.outcome.reason)
        if not options.show.json:
            console.run(run)

    progress.job(config)
    agent = prepared.agent
    return Job(
        config, context, agent.make, agent.stop, folder, lock, report, on_event, prepared.ledger, start_event
    ), console


def _analyze(prepared: _Prepared, folder: JobFolder) -> None:
    """What the runs say together, as files and, unless JSON was asked for, in a summary; a fault of it ends nothing."""
    from runner.cli.analyze import analysis_of, print_summary, write_analysis

    try:
        analysis = analysis_of(prepared.settings, read_job(folder.root), lambda step: None, wanted=WANTED_RATES)
        write_analysis(folder.root, analysis)
    except Fault as fault:
        print(f"no analysis: {fault.cause}\n  hint: {fault.hint}", file=sys.stderr)
        return
    if not prepared.options.show.json:
        print_summary(folder.path, analysis)


def _finish(job: Job, console: Console, prepared: _Prepared, folder: JobFolder) -> int:
    folder.write_json("job.json", asdict(job.config))
    folder.write_json("lock.json", job.lock)
    if not prepared.options.show.json:
        console.header(job.config, prepared.task.file.task.title)
    with interrupt_on_sigterm():
        interrupted = job.play()
    sys.stdout, sys.stderr = prepared.streams  # an agent may have put others there
    totals = job.totals()
    if prepared.options.show.json:
        print(
            json.dumps(results_json(job.config, job.runs, totals, job.lock), ensure_ascii=True),
            file=prepared.streams[0],
        )
    else:
        console.end(job.runs, totals, job.config.runs, folder.path / "results.json")
    if prepared.options.analysis and job.runs and not interrupted:
        _analyze(prepared, folder)
    for leak in job.context.fleet.leaks:
        print(f"container {leak[:12]} may be left over: `docker rm -f {leak[:12]}`", file=sys.stderr)
    return exit_status(
        job.runs,
        totals,
        interrupted=interrupted,
        fail_under=job.config.fail_under,
        budget_ended=job.ledger.exhausted,
    )
