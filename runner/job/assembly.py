"""The parts of a job, put together alike for the command line and for one's own code."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from structlog.typing import FilteringBoundLogger

from runner.budget.clock import SystemClock
from runner.budget.ledger import Ledger
from runner.faults import UsageFault
from runner.grading.context import GradingContext
from runner.job.agents import IO_BOUND, AgentSetup, kind_of, prompts_json
from runner.job.job import Job
from runner.job.policy import episodes_at_a_time
from runner.job.resume import Remains, begun_entry
from runner.job.setup import build_context, build_rules, build_spec, lock_record
from runner.job.slots import on_host
from runner.records.events import Event, ResponseEvent, StartEvent, event_to_json
from runner.records.grading import GradingStep
from runner.records.run import JobConfig, Run
from runner.sandbox.bill import bill_of_materials
from runner.sandbox.engine import Engine, EngineFacts
from runner.sandbox.fleet import Fleet
from runner.sandbox.image import Image
from runner.sandbox.leftovers import sweep
from runner.settings import Settings
from runner.store.job_folder import JobFolder, open_job_folder, open_next_job_folder
from runner.store.journal import EntryKind
from runner.tasks.task import Task

# Parts of an agent as lock.json names them, in words; one that is not here is a flag's or the task's, and says itself.
PARTS = {
    "system_sha256": "its system prompt",
    "uploads": "a file of --upload",
    "file_sha256": "its file",
    "package": "the version of its package",
    "transcripts_sha256": "the transcripts that are replayed",
    "instruction_sha256": "the instruction",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """Who is told of a job's steps, beside its log.

    Attributes:
        say: with each step until the first run.
        report_step: with each step of a grading.
        report: with each run as soon as its outcome is final.
        on_event: with each event of an episode, and the number of its run.
    """

    say: Callable[[str], None]
    report_step: Callable[[GradingStep], None]
    report: Callable[[Run], None]
    on_event: Callable[[int, Event], None] = lambda number, event: None


@dataclass(frozen=True, slots=True)
class Assembly:
    """What a job is played with.

    Attributes:
        lock: what it runs with, so that another can run with the same.
        started: the first event of every run; its number is the run's own.
    """

    context: GradingContext
    lock: dict[str, Any]
    started: StartEvent


def concurrency_of(config: JobConfig, facts: EngineFacts, sandbox_bytes: int) -> int:
    """How many episodes run at a time: as asked for, or by the engine's CPUs and memory.

    Args:
        sandbox_bytes: memory limit of one sandbox.
    """
    io_bound = kind_of(config.agent) in IO_BOUND
    return config.concurrency or episodes_at_a_time(
        config.runs, facts.ncpu, facts.memory_bytes, sandbox_bytes, io_bound=io_bound
    )


def begin_folder(settings: Settings, config: JobConfig, *, named: bool) -> tuple[JobFolder, JobConfig]:
    """A new job's folder, and its configuration with the name that it has got.

    Args:
        named: the user chose the name; another job's is then refused.

    Raises:
        UsageFault: it exists already, or the output cannot be written.
    """
    make = open_job_folder if named else open_next_job_folder
    folder = make(settings.output, config.name)
    config = replace(config, name=folder.path.name)
    try:
        folder.write_json("job.json", asdict(config))
    except BaseException:
        folder.close()
        raise
    return folder, config


def build_job(
    settings: Settings,
    engine: Engine,
    task: Task,
    config: JobConfig,
    agent: AgentSetup,
    ledger: Ledger,
    folder: JobFolder,
    log: FilteringBoundLogger,
    tell: Listeners,
    remains: Remains | None = None,
) -> Job:
    """A job that can be played; builds its image where it has to be.

    Args:
        remains: of a job that is gone on with; its lock is kept.

    Raises:
        UsageFault: the image or the agent is another one than the job began with.
        InfrastructureFault: the engine does not do it, or lacks a wall.
    """

    def say(step: str) -> None:
        tell.say(step)
        log.info("step", text=step)

    def report_step(step: GradingStep) -> None:
        tell.report_step(step)
        log.info("step", text=step.text)

    def on_event(number: int, event: Event) -> None:
        tell.on_event(number, event)
        attempts = event_to_json(event)["tries"] if isinstance(event, ResponseEvent) else None
        log.debug("episode", run=number, kind=event.kind, **({"tries": attempts} if attempts else {}))

    def report(run: Run) -> None:
        log.info("outcome", run=run.number, outcome=run.outcome.kind, reason=run.outcome.reason)
        tell.report(run)

    note_begun(folder, config, task.folder)
    parts = assemble(settings, engine, task, config, agent, say, report_step, remains)
    folder.write_json("lock.json", parts.lock)
    return Job(
        config, parts.context, agent.make, agent.stop, folder, parts.lock, report, on_event, ledger, parts.started,
        remains=remains,
    )  # fmt: skip


def assemble(
    settings: Settings,
    engine: Engine,
    task: Task,
    config: JobConfig,
    agent: AgentSetup,
    say: Callable[[str], None],
    report_step: Callable[[GradingStep], None],
    remains: Remains | None = None,
) -> Assembly:
    """Build the image where it has to be, and what runs in it.

    Args:
        say: called with each step until the first run.
        report_step: called with each step of a grading.
        remains: of a job that is gone on with; its lock is kept.

    Raises:
        UsageFault: the image or the agent is another one than the job began with, or there are not so many slots.
        InfrastructureFault: the engine does not do it, or lacks a wall.
    """
    spec, image = build_spec(engine, task, settings, say)
    rules = build_rules(engine, task, config.scale, image, config.grading)
    fleet = Fleet(engine, config.name)
    sweep(engine)
    context = build_context(fleet, task, config.scale, spec, rules, SystemClock(), report_step)
    context = on_host(context, image, config.grading)
    prompts = prompts_json(agent, task, config.scale)
    lock = {
        **lock_record(engine, task, image, bill_of_materials(fleet, spec, image)),
        "agent": {"name": agent.name, **prompts},
    }
    if remains is not None and remains.lock:
        _check_same_image(remains, image)
        _check_same_agent(remains, lock["agent"])
        lock = dict(remains.lock)
    started = StartEvent(
        run=0,
        agent=config.agent,
        task=config.task,
        image=image.id,
        model=config.model,
        limits=config.limits,
        instruction_sha256=prompts["instruction_sha256"],
        more={key: value for key, value in agent.about.items() if key != "model"},
    )
    return Assembly(context, lock, started)


def note_begun(folder: JobFolder, config: JobConfig, task_folder: Path) -> None:
    """Write into the journal that a runner begins with a job.

    Raises:
        StoreFault: it cannot be written.
    """
    folder.journal.append(EntryKind.BEGUN, begun_entry(config, task_folder), SystemClock().now().isoformat())


def _check_same_image(remains: Remains, image: Image) -> None:
    """Refuse to go on in another image than the one that the job began in.

    Raises:
        UsageFault: it is another.
    """
    was = remains.lock.get("image")
    before = str(was.get("id", "")) if isinstance(was, dict) else ""
    if before and before != image.id:
        raise UsageFault(
            cause=f"image {image.reference} has changed since the job began: {before[:19]}, now {image.id[:19]}",
            hint="bring the old image back, or start a new job",
        )


def _check_same_agent(remains: Remains, now: Mapping[str, Any]) -> None:
    """Refuse to go on with another agent, prompt or program; what an older job's lock does not say is not compared.

    Raises:
        UsageFault: a part is another.
    """
    was = remains.lock.get("agent")
    if not isinstance(was, dict):
        return
    now = json.loads(json.dumps(now, default=str))  # as it was read
    # By whichever path it was found again, what it is says its content.
    changed = sorted(key for key in was.keys() & now.keys() - {"name"} if was[key] != now[key])
    if changed:
        words = ", ".join(PARTS.get(key, key) for key in changed)
        raise UsageFault(
            cause=f"what the job's agent is made of has changed since the job began: {words}",
            hint="put back what was there, or start a new job",
        )
