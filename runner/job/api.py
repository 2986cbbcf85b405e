"""From one's own code, in one call: a grading, and a whole job."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runner.budget.clock import SystemClock
from runner.budget.ledger import Ledger
from runner.budget.limits import JOB_DOLLARS_MAX, BudgetExceeded
from runner.faults import UsageFault
from runner.job.agents import AgentSetup, kind_of, resolve_agent_name, set_up_agent
from runner.job.assembly import Listeners, begin_folder, build_job, concurrency_of
from runner.job.configuration import (
    AGENTS_OF,
    AgentConfig,
    Wanted,
    check_options,
    check_wanted,
    job_config,
    settings_for,
)
from runner.job.rewards import Graded, RewardName
from runner.job.setup import limits_of, load_task
from runner.job.stop import Stop
from runner.job.training import Host
from runner.records.episode import Limits
from runner.records.grading import GradingStep
from runner.records.run import GradingConfig, JobConfig, Run, Totals
from runner.sandbox.engine import find_engine
from runner.settings import Settings, read_settings
from runner.store.job_folder import JobFolder, check_new_folder
from runner.store.log import job_log
from runner.tasks.problem import check_repeats, load_problem
from runner.tasks.task import Task


@dataclass(frozen=True, slots=True)
class JobResult:
    """A job that is over.

    Attributes:
        folder: where its results.json, transcripts, submissions, analysis and report are.
        runs: as they ended, in the order in which they did.
        totals: counts, and the pass rate of the runs that count.
        interrupted: it was stopped before its end; `--resume` goes on with it.
    """

    folder: Path
    runs: tuple[Run, ...]
    totals: Totals
    interrupted: bool


def grade(
    files: Sequence[bytes | str | Path],
    task: str,
    *,
    scale: str = "full",
    reward: RewardName = "pass",
    engine: str = "",
    config: GradingConfig | None = None,
    seeds: Sequence[int] = (),
    say: Callable[[str], None] = lambda text: None,
    stop: Stop | None = None,
) -> list[Graded]:
    """Grade files together, as `python -m runner grade` does; they run in containers only.

    Args:
        files: paths, or contents as bytes.
        task: name, or path of a folder.
        scale: one of the task's.
        reward: the rule of `Graded.reward`: `pass`, `log_speedup` or `margin`.
        engine: URL of the engine; empty: the one that the command line finds.
        config: how it is graded; None: as the command line does.
        seeds: data seeds of the first rounds; fresh ones after these.
        say: called with a sentence about each step.
        stop: ends the grading from another thread.

    Returns:
        One for each file, in their order. A fault of the host while it measures is an outcome, with a reward of None.

    Raises:
        UsageFault: there is no such task, scale, reward or file, or a seed is not one; or an environment variable is wrong.
        InfrastructureFault: no engine answers, or the task's image cannot be built.
        Interrupted: we are stopping.
    """
    with Host(engine, slots=1, say=say) as host:
        (stop or Stop()).calls(host.fleet.stop)
        return host.grade_many(files, task, scale, reward=reward, config=config, seeds=seeds)


def run_job(
    task: str,
    runs: int = 1,
    *,
    scale: str = "full",
    agent: str = "",
    agent_config: AgentConfig | None = None,
    name: str = "",
    limits: Limits | None = None,
    concurrency: int = 0,
    config: GradingConfig | None = None,
    grade_after_s: float | None = None,
    grade_last: bool = False,
    grade_snapshots: bool = False,
    job_cost_limit: float = JOB_DOLLARS_MAX,
    analysis: bool = True,
    report: bool = True,
    engine: str = "",
    settings: Settings | None = None,
    say: Callable[[str], None] = lambda text: None,
    stop: Stop | None = None,
) -> JobResult:
    """Play episodes in containers and grade what they submit: the job that `python -m runner` runs, and the same folder.

    Args:
        task: name, or path of a folder.
        runs: how many, from 1.
        scale: one of the task's.
        agent: as `--agent` takes it; empty: a model where there are credentials, else the scripted episodes.
        agent_config: what only some agents have: a model and how it is asked, a command; None: as the environment says.
        name: of the job's folder; empty: date and time.
        limits: of each episode; None: the task's.
        concurrency: episodes at a time; 0: what the engine can take.
        config: how it is graded; None: as the command line does.
        grade_after_s: a waiting submission is graded after this many seconds even while episodes run; None: as suits the
            agent; infinite: when all episodes are over.
        grade_last: grade the file's last state where nothing was submitted.
        grade_snapshots: grade every state of the file.
        job_cost_limit: most that a model may cost in the whole job, US dollars.
        analysis, report: write analysis.json and analysis.md, and report.html, at the end. What fails there is said.
        engine: URL of the engine; empty: the one that the command line finds.
        settings: what the environment variables say otherwise: output folder and credentials, say.
        say: called with a sentence about each step.
        stop: ends the job from another thread, as Ctrl-C ends the command.

    Raises:
        UsageFault: there is no such task, scale or agent, an option belongs to another agent, a number is not positive, or
            a job of that name exists, or an environment variable is wrong; nothing was started.
        InfrastructureFault: no engine or endpoint answers, or the image cannot be built.
    """
    options, settings = agent_config or AgentConfig(), settings or read_settings()
    settings = settings_for(settings.model_copy(update={"docker_host": engine}) if engine else settings, options)
    loaded, agent = load_task(settings, task), resolve_agent_name(settings, agent, options.api)
    given = {field for field in AGENTS_OF if getattr(options, field) != getattr(AgentConfig(), field)}
    check_options(given, kind_of(agent))
    wanted = Wanted(
        scale=scale,
        runs=runs,
        name=name,
        concurrency=concurrency,
        limits=limits or limits_of(loaded),
        grading=config or GradingConfig(),
        dollars_max=job_cost_limit,
        grade_after_s=grade_after_s,
        grade_last=grade_last,
        grade_snapshots=grade_snapshots,
    )
    check_wanted(wanted)
    job = job_config(settings, loaded, agent, options, wanted, SystemClock().now())
    if name:
        check_new_folder(settings.output, name)
    check_repeats(load_problem(loaded), loaded)
    how = _How(named=bool(name), analysis=analysis, report=report, say=say, stop=stop or Stop())
    return _play(settings, loaded, job, how)


@dataclass(frozen=True, slots=True)
class _How:
    """What concerns no run: whether the user chose the folder's name, what is written at the end, who is told.

    `run_job` says what each is.
    """

    named: bool
    analysis: bool
    report: bool
    say: Callable[[str], None]
    stop: Stop


def _play(settings: Settings, task: Task, config: JobConfig, how: _How) -> JobResult:
    say = how.say

    def report_step(step: GradingStep) -> None:
        say(step.text)

    def report(run: Run) -> None:
        say(f"run {run.number}: {run.outcome.kind.words}")

    ledger = Ledger(config.dollars_max)
    agent = set_up_agent(config, settings, task, ledger, SystemClock(), say)
    with contextlib.ExitStack() as stack:
        stack.callback(agent.stop)
        engine = find_engine(settings)
        config = replace(config, concurrency=concurrency_of(config, engine.facts, task.file.limits.memory))
        if config.preflight:
            _ask_one_word(agent)
        folder, config = begin_folder(settings, config, named=how.named)
        stack.enter_context(contextlib.closing(folder))
        log = stack.enter_context(job_log(folder.path, settings.log_level))
        tell = Listeners(say=say, report_step=report_step, report=report)
        job = build_job(settings, engine, task, config, agent, ledger, folder, log, tell)
        how.stop.calls(agent.stop)  # one at work need not ask its sandbox anything for a while
        how.stop.calls(job.context.fleet.stop)
        interrupted = job.play()
        if job.runs and not interrupted:
            _write_pages(settings, folder, how)
        return JobResult(folder.root, tuple(job.runs), job.totals(), interrupted)


def _ask_one_word(agent: AgentSetup) -> None:
    try:
        agent.preflight()
    except BudgetExceeded as ended:
        raise UsageFault(
            cause=f"{ended.limit} are not enough to ask the model one word", hint="raise job_cost_limit"
        ) from ended


def _write_pages(settings: Settings, folder: JobFolder, how: _How) -> None:
    from runner.job.pages import analyze_ended, report_ended  # they take their time to load

    def problem(cause: str, hint: str) -> None:
        how.say(f"{cause} (hint: {hint})")

    if how.analysis:
        analyze_ended(settings, folder, problem)
    if how.report:
        report_ended(settings, folder, problem)
