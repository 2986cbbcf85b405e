"""From flags, settings and the task to the one configuration of a job."""

from datetime import datetime

from runner.cli.options import GradingOptions, LimitOptions, RunOptions, expand_home
from runner.faults import UsageFault
from runner.job.agents import HUMAN, IO_BOUND, WITH_MODEL, kind_of, resolve_agent_name
from runner.job.policy import episodes_at_a_time
from runner.records.episode import Limits
from runner.records.run import GradingConfig, JobConfig
from runner.sandbox.engine import EngineFacts
from runner.settings import Settings
from runner.tasks.task import Task

GRADE_AFTER_S = 600.0  # chosen: a waiting submission is graded about as soon as a person would look again
# Which agents a flag belongs to, by the field's name; a flag that is not here belongs to all.
AGENTS_OF = {
    "command": ("command",),
    "upload": ("command",),
    "replay_ignore": ("replay",),
    **dict.fromkeys(("model", "api", "base_url", "max_tokens", "price", "price_check", "preflight"), WITH_MODEL),
    **dict.fromkeys(("thinking", "tools", "context_tokens", "system_prompt"), ("model",)),
}


def resolve(options: RunOptions, settings: Settings, task: Task, now: datetime) -> JobConfig:
    """What is asked for: flags over the environment over the task. Its concurrency may still be 0 (`for_engine`).

    Raises:
        UsageFault: a flag is wrong, or belongs to another agent.
    """
    task.scale(options.task.scale)
    agent = options.agent
    name = resolve_agent_name(settings, _expanded_agent(agent.agent), agent.api)
    kind = kind_of(name)
    _check_flags(options.given, kind)
    with_model = kind in WITH_MODEL
    return JobConfig(
        task=task.name,
        task_digest=task.digest,
        scale=options.task.scale,
        agent=name,
        runs=options.runs,
        concurrency=_concurrency(options, kind),
        name=options.name or now.astimezone().strftime("%Y-%m-%d_%H-%M-%S"),
        grade_after_s=_grade_after_s(options.grade_after, kind),
        grading=grading_config(options.grading),
        target=task.target(options.task.scale),
        started=now.isoformat(),
        model=settings.model if with_model else "",
        dollars_max=_positive("--job-cost-limit", options.limits.job_cost_limit) if with_model else None,
        limits=resolve_limits(options.limits, task),
        grade_last=options.grade_last,
        grade_snapshots=options.grade_snapshots,
        api=agent.api,
        tools=agent.tools,
        thinking=agent.thinking,
        max_tokens=settings.max_tokens,
        context_tokens=settings.context_tokens,
        system_prompt=str(agent.system_prompt or ""),
        price=agent.price,
        price_check=agent.price_check,
        preflight=agent.preflight,
        command=agent.command,
        uploads=tuple(map(str, agent.upload or ())),
        replay_ignore=agent.replay_ignore,
        fail_under=options.fail_under,
        runtime=settings.runtime,
    )


def for_engine(config: JobConfig, facts: EngineFacts, sandbox_bytes: int) -> int:
    """How many episodes run at a time: as asked for, or by the engine's CPUs and memory.

    Args:
        sandbox_bytes: memory limit of one sandbox.
    """
    io_bound = kind_of(config.agent) in IO_BOUND
    return config.concurrency or episodes_at_a_time(
        config.runs, facts.ncpu, facts.memory_bytes, sandbox_bytes, io_bound=io_bound
    )


def grading_config(options: GradingOptions) -> GradingConfig:
    """The flags about grading."""
    return GradingConfig(
        rounds_max=options.max_rounds,
        equivalence=options.equivalence,
        strict=options.strict,
        max_noise=options.max_noise,
    )


def resolve_limits(options: LimitOptions, task: Task) -> Limits:
    """What each episode may use: the flags over the task's limits.

    Raises:
        UsageFault: a limit is not a positive number.
    """
    section = task.file.episode
    return Limits(
        turns=options.turns or section.turns,
        output_tokens=options.output_tokens or section.output_tokens,
        tokens=options.tokens or section.tokens,
        dollars=_positive("--cost-limit", options.cost_limit) or section.dollars,
        wall_s=_positive("--time-limit", options.time_limit) or section.wall_s,
        working_s=_positive("--working-limit", options.working_limit) or section.working_s,
    )


def _positive(flag: str, value: float | None) -> float | None:
    if value is not None and not 0 < value < float("inf"):
        raise UsageFault(
            cause=f"{flag} {value:g}: must be greater than 0 and finite", hint="leave it out for the default"
        )
    return value


def _expanded_agent(name: str) -> str:
    """The name with `~` in its path as the user's home."""
    prefix, colon, path = name.partition("replay:")
    return f"replay:{expand_home(path)}" if colon and not prefix else expand_home(name)


def _check_flags(given: frozenset[str], kind: str) -> None:
    """Refuse a flag that another agent's job would need.

    Raises:
        UsageFault: one was given.
    """
    for name in sorted(given & AGENTS_OF.keys()):
        agents = AGENTS_OF[name]
        if kind not in agents:
            flag = "--" + name.replace("_", "-")
            raise UsageFault(
                cause=f"{flag} has no meaning for --agent {kind}",
                hint=f"leave it out, or choose the agent that it belongs to: {' or '.join(agents)}",
            )


def _concurrency(options: RunOptions, kind: str) -> int:
    if kind != HUMAN:
        return options.concurrency
    if options.concurrency > 1:
        raise UsageFault(
            cause=f"--agent {HUMAN} with --concurrency {options.concurrency}",
            hint="leave --concurrency out: there is one terminal",
        )
    return 1


def _grade_after_s(seconds: float | None, kind: str) -> float | None:
    """Seconds that a submission may wait while episodes run; None: until all are over."""
    if kind == HUMAN and seconds not in (None, float("inf")):
        raise UsageFault(
            cause=f"--agent {HUMAN} with --grade-after {seconds:g}",
            hint="leave --grade-after out: a sandbox can be frozen, a person's clock cannot",
        )
    if seconds is None:
        return GRADE_AFTER_S if kind in IO_BOUND else None
    return None if seconds == float("inf") else seconds
