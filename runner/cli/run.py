"""`python -m runner`: the main job."""

import contextlib
import json
import sys
from dataclasses import asdict, dataclass, field

from structlog.typing import FilteringBoundLogger

from runner.budget.estimate import estimate
from runner.budget.ledger import Ledger
from runner.budget.limits import BudgetExceeded
from runner.cli.exit_codes import BUDGET, OK, exit_status
from runner.cli.signals import interrupt_on_sigterm
from runner.clock import Clock, SystemClock
from runner.faults import UsageFault
from runner.job.agents import (
    HUMAN,
    AgentOptions,
    AgentSetup,
    prompts_json,
    resolve_agent_name,
    resolve_limits,
    set_up_agent,
)
from runner.job.job import Job
from runner.job.policy import jobs_at_a_time
from runner.job.setup import (
    DEFAULT_TASK,
    GradingOptions,
    build_context,
    build_rules,
    build_spec,
    check_grading,
    load_task,
    lock_record,
)
from runner.records.episode import Limits
from runner.records.events import Event, ResponseEvent, StartEvent, event_to_json
from runner.records.run import JobConfig, Run
from runner.report.console import Console, estimate_lines
from runner.report.progress import Progress
from runner.sandbox.engine import Engine, find_engine
from runner.sandbox.fleet import Fleet, sweep
from runner.settings import Settings
from runner.store.job_folder import JobFolder, open_job_folder
from runner.store.log import job_log
from runner.store.results import results_json
from runner.tasks.task import Task

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
        jobs: episodes at a time; 0: by the engine's CPUs and memory.
        grade_after: seconds, `end`, or empty for the agent's default.
        fail_under: pass rate (0 to 1) under which the exit status is 1.
        dry_run: say what would happen and what it can cost, and end.
    """

    runs: int = 10
    task: str = DEFAULT_TASK
    scale: str = "full"
    agent: AgentOptions = field(default_factory=AgentOptions)
    jobs: int = 0
    name: str = ""
    grade_after: str = ""
    grading: GradingOptions = field(default_factory=GradingOptions)
    fail_under: float | None = None
    dry_run: bool = False
    verbose: bool = False
    json: bool = False
    quiet: bool = False


def run(settings: Settings, options: RunOptions, clock: Clock | None = None) -> int:
    """Play and grade; returns the exit status.

    Raises:
        Fault: before anything started.
    """
    clock = clock or SystemClock()
    task = load_task(settings, options.task)
    _check(options, task)
    budget = resolve_limits(task, options.agent)
    ledger = Ledger(options.agent.job_dollars)
    alone = resolve_agent_name(settings, options.agent) == HUMAN  # a person's terminal shows the conversation only
    with Progress(quiet=options.quiet or alone) as progress:
        cast = set_up_agent(settings, options.agent, task, options.runs, ledger, clock, progress.say)
        _check_alone(options, cast)
        try:
            engine = find_engine(settings)
            request = _request(options, task, cast, budget, engine, clock)
            if not options.quiet or options.dry_run:
                _tell(options, cast, request)
            if options.dry_run:
                return OK
            if options.agent.preflight:
                cast.preflight()
            with contextlib.ExitStack() as stack:
                folder = stack.enter_context(contextlib.closing(open_job_folder(settings.output, request.name)))
                log = stack.enter_context(job_log(folder.path, settings.log_level))
                job, console = _job(settings, options, task, cast, ledger, engine, request, folder, progress, log)
                return _play(job, console, options, folder)
        except BudgetExceeded as ended:
            print(f"error: {ended.limit} are not enough for one word\n  hint: raise --job-dollars", file=sys.stderr)
            return BUDGET
        finally:
            cast.stop()


def _job(
    settings: Settings, options: RunOptions, task: Task, cast: AgentSetup, ledger: Ledger, engine: Engine,
    request: JobConfig,
    folder: JobFolder, progress: Progress, log: FilteringBoundLogger,
) -> tuple[Job, Console]:  # fmt: skip
    def say(step: str) -> None:
        progress.say(step)
        log.info("step", text=step)

    def measuring(step: str) -> None:
        progress.measuring(step)
        log.info("step", text=step)

    spec, image = build_spec(engine, task, settings.runtime, say)
    rules = build_rules(engine, task, options.scale, image, options.grading)
    fleet = Fleet(engine, request.name)
    sweep(engine)
    context = build_context(fleet, task, options.scale, spec, rules, SystemClock(), measuring)
    prompts = prompts_json(cast, task, options.scale)
    lock = {**lock_record(engine, task, image), "agent": {"name": cast.name, **prompts}}
    console = Console(
        sys.stderr if options.json else sys.stdout, task.file.quality.name, target=request.target,
        verbose=options.verbose,
        snapshots=request.grade_snapshots,
    )  # fmt: skip
    start_event = StartEvent(
        run=0,
        agent=request.agent,
        task=request.task,
        image=image.id,
        model=str(cast.about.get("model", "")),
        limits=request.limits,
        instruction_sha256=prompts["instruction_sha256"],
        more={key: value for key, value in cast.about.items() if key != "model"},
    )

    def on_event(number: int, event: Event) -> None:
        progress.event(number, event)
        attempts = event_to_json(event)["tries"] if isinstance(event, ResponseEvent) else None
        log.debug("episode", run=number, kind=event.kind, **({"tries": attempts} if attempts else {}))

    def report(run: Run) -> None:
        progress.finished(run)
        log.info("outcome", run=run.number, outcome=run.outcome.kind, reason=run.outcome.reason)
        if not options.json:
            console.run(run)

    progress.job(request)
    return Job(request, context, cast.make, cast.stop, folder, lock, report, on_event, ledger, start_event), console


def _tell(options: RunOptions, cast: AgentSetup, request: JobConfig) -> None:
    """What is going to happen, and the most that it can cost, before the first call."""
    if cast.name == "scripted" and not options.agent.agent:
        print(BANNER, file=sys.stderr)
    if cast.config is None or cast.prices is None:
        print(
            f"{request.runs} runs of {request.task}, {request.jobs} at a time: no model, nothing to pay",
            file=sys.stderr,
        )
        return
    dearest = cast.prices.cost_max(cast.config.context_tokens + cast.config.max_tokens, cast.config.max_tokens)
    found = estimate(request.limits, request.runs, request.jobs, options.agent.job_dollars, dearest)
    print("\n".join(estimate_lines(found, request, known=not cast.prices.unknown)), file=sys.stderr)


def _play(job: Job, console: Console, options: RunOptions, folder: JobFolder) -> int:
    folder.write_json("job.json", asdict(job.request))
    folder.write_json("lock.json", job.lock)
    if not options.json:
        console.header(job.request, job.context.task.file.task.title)
    with interrupt_on_sigterm():
        interrupted = job.play()
    totals = job.totals()
    if options.json:
        print(json.dumps(results_json(job.request, job.runs, totals, job.lock), ensure_ascii=True))
    else:
        console.end(job.runs, totals, job.request.runs, folder.path / "results.json")
    for leak in job.context.fleet.leaks:
        print(f"container {leak[:12]} may be left over: `docker rm -f {leak[:12]}`", file=sys.stderr)
    return exit_status(
        job.runs,
        totals,
        interrupted=interrupted,
        fail_under=options.fail_under,
        budget_ended=job.ledger.exhausted,
    )


def _check(options: RunOptions, task: Task) -> None:
    """Everything that can be told before an engine is needed."""
    if options.runs < 1:
        raise UsageFault(cause=f"--runs {options.runs}", hint="ask for at least one run")
    if options.jobs < 0:
        raise UsageFault(cause=f"--jobs {options.jobs}", hint="ask for one or more at a time, or 0 for the default")
    if options.fail_under is not None and not 0.0 <= options.fail_under <= 1.0:
        raise UsageFault(cause=f"--fail-under {options.fail_under}", hint="give a pass rate between 0 and 1")
    task.scale(options.scale)
    check_grading(options.grading)
    _grade_after(options.grade_after, waits=False)


def _check_alone(options: RunOptions, cast: AgentSetup) -> None:
    """Whether the flags suit agents that share one terminal."""
    if cast.alone and options.jobs > 1:
        raise UsageFault(
            cause=f"--agent {cast.name} with --jobs {options.jobs}", hint="leave --jobs out: one at a time"
        )
    if cast.alone and options.grade_after not in ("", "end"):
        raise UsageFault(
            cause=f"--agent {cast.name} with --grade-after {options.grade_after}",
            hint="leave --grade-after out: a sandbox can stand frozen, a person's clock cannot",
        )


def _grade_after(text: str, *, waits: bool) -> float | None:
    """Seconds that a submission may wait while episodes go on; None: until all are over."""
    if text == "end" or (not text and not waits):
        return None
    try:
        seconds = float(text or GRADE_AFTER_S)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise UsageFault(cause=f"--grade-after {text}", hint="give seconds, or `end`")
    return seconds


def _request(
    options: RunOptions, task: Task, cast: AgentSetup, budget: Limits, engine: Engine, clock: Clock
) -> JobConfig:
    now, facts = clock.now(), engine.facts
    jobs = jobs_at_a_time(options.runs, facts.ncpu, facts.memory_bytes, task.file.limits.memory, waits=cast.waits)
    return JobConfig(
        task=task.name,
        task_digest=task.digest,
        scale=options.scale,
        agent=cast.name,
        runs=options.runs,
        jobs=1 if cast.alone else options.jobs or jobs,
        name=options.name or now.astimezone().strftime("%Y-%m-%d_%H-%M-%S"),
        grade_after_s=_grade_after(options.grade_after, waits=cast.waits),
        rounds_max=options.grading.rounds_max or task.file.grading.rounds,
        target=task.target(options.scale),
        started=now.isoformat(),
        model=cast.model,
        dollars_max=options.agent.job_dollars if cast.model else None,
        limits=budget,
        take_last=options.agent.take_last,
        grade_snapshots=options.agent.grade_snapshots,
    )
