"""From flags, settings and the task to the one configuration of a job."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from runner.cli.declaring import expand_home
from runner.cli.option_groups import AgentOptions, GradingOptions, LimitOptions
from runner.cli.options import RunOptions, flag_of
from runner.faults import UsageFault
from runner.job.agents import HUMAN, WITH_MODEL, kind_of, resolve_agent_name
from runner.job.configuration import AgentConfig, Wanted, check_options, job_config
from runner.records.episode import Limits
from runner.records.run import GradingConfig, JobConfig
from runner.settings import Settings
from runner.tasks.schema import SECONDS_MAX
from runner.tasks.task import Task

# Flags that go with --resume, by the field's name: those that say how a job is played and not what its runs are, which hold
# for the rest of the job; and those that change nothing that is recorded of it.
PLAYED_OTHERWISE = ("concurrency", "fail_under", "job_cost_limit", "preflight")
WITH_RESUME = (
    *PLAYED_OTHERWISE,
    "resume",
    "resume_episodes",
    "allow_unenforced",
    "task",
    "base_url",
    "output",
    "dry_run",
    "ray",
    "share",
    "hosts",
    "analysis",
    "page",
    "junit",
    "verbose",
    "json",
    "quiet",
)


def resolve(options: RunOptions, settings: Settings, task: Task, now: datetime) -> JobConfig:
    """What is asked for: flags over the environment over the task. Its concurrency may still be 0 (`concurrency_of`).

    Raises:
        UsageFault: a flag is wrong, or belongs to another agent.
    """
    task.scale(options.task.scale)
    name = resolve_agent_name(settings, _expanded_agent(options.agent.agent), options.agent.api)
    kind = kind_of(name)
    check_options(options.given, kind, flag_of)
    _positive("--job-cost-limit", options.limits.job_cost_limit)
    _check_one_terminal(options, kind)
    wanted = Wanted(
        scale=options.task.scale,
        runs=options.runs,
        name=options.name,
        concurrency=1 if kind == HUMAN else options.concurrency,
        limits=resolve_limits(options.limits, task),
        grading=grading_config(options.grading),
        dollars_max=options.limits.job_cost_limit,
        grade_after_s=options.grade_after,
        grade_last=options.grade_last,
        grade_snapshots=options.grade_snapshots,
        fail_under=options.fail_under,
    )
    return job_config(settings, task, name, _agent_config(options.agent), wanted, now)


def _agent_config(agent: AgentOptions) -> AgentConfig:
    return AgentConfig(
        api=agent.api.value,
        tools=agent.tools.value,
        thinking=agent.thinking,
        system_prompt=agent.system_prompt,
        price=agent.price,
        price_check=agent.price_check,
        preflight=agent.preflight,
        command=agent.command,
        upload=tuple(agent.upload or ()),
        replay_ignore=agent.replay_ignore,
    )


def check_resume_flags(given: frozenset[str]) -> None:
    """Refuse a flag that would change the runs of a job that is resumed: these are what its job.json says.

    Raises:
        UsageFault: one was given.
    """
    for name in sorted(given.difference(WITH_RESUME)):
        raise UsageFault(
            cause=f"{flag_of(name)} cannot be given with --resume: a job's runs are all asked for alike",
            hint="leave it out (its job.json holds), or start a new job",
        )


def resumed_config(options: RunOptions, config: JobConfig) -> JobConfig:
    """What a job asked for, its rest played as the flags beside --resume say.

    Raises:
        UsageFault: a flag is wrong, or belongs to another agent.
    """
    kind = kind_of(config.agent)
    check_options(options.given, kind, flag_of)
    _check_one_terminal(options, kind)
    given: dict[str, Any] = {
        "concurrency": 1 if kind == HUMAN else options.concurrency,
        "fail_under": options.fail_under,
        "job_cost_limit": _positive("--job-cost-limit", options.limits.job_cost_limit),
        "preflight": options.agent.preflight,
    }
    names = {"job_cost_limit": "dollars_max"}
    changed = {names.get(name, name): value for name, value in given.items() if name in options.given}
    if kind not in WITH_MODEL:
        changed.pop("dollars_max", None)
    return replace(config, **changed)


def resumed_settings(settings: Settings, config: JobConfig) -> Settings:
    """The settings with what a job's configuration says of them."""
    of_model = {
        "model": config.model or settings.model,
        "max_tokens": config.max_tokens or settings.max_tokens,
        "context_tokens": config.context_tokens or settings.context_tokens,
    }
    return settings.model_copy(update={**of_model, "runtime": config.runtime})


def grading_config(options: GradingOptions) -> GradingConfig:
    """The flags about grading."""
    return GradingConfig(
        rounds_max=options.max_rounds,
        equivalence=options.equivalence,
        strict=options.strict,
        max_noise=options.max_noise,
        calibrate=not options.no_calibrate,
        slots=options.slots,
    )


def resolve_limits(options: LimitOptions, task: Task) -> Limits:
    """What each episode may use: the flags over the task's limits.

    Raises:
        UsageFault: a limit is not a positive number, or more seconds than a month has.
    """
    section = task.file.episode
    return Limits(
        turns=options.turns or section.turns,
        output_tokens=options.output_tokens or section.output_tokens,
        tokens=options.tokens or section.tokens,
        dollars=_positive("--cost-limit", options.cost_limit) or section.dollars,
        wall_s=_seconds("--time-limit", options.time_limit) or section.wall_s,
        working_s=_seconds("--working-limit", options.working_limit) or section.working_s,
    )


def _positive(flag: str, value: float | None) -> float | None:
    if value is not None and not 0 < value < float("inf"):
        raise UsageFault(
            cause=f"{flag} {value:g}: must be greater than 0 and finite", hint="leave it out for the default"
        )
    return value


def _seconds(flag: str, value: float | None) -> float | None:
    value = _positive(flag, value)
    if value is not None and value > SECONDS_MAX:
        days = SECONDS_MAX / 86_400
        raise UsageFault(
            cause=f"{flag} {value:g}: must be at most {SECONDS_MAX:.0f} ({days:.0f} days)", hint="write seconds"
        )
    return value


def _expanded_agent(name: str) -> str:
    """The name with `~` in its path as the user's home."""
    prefix, colon, path = name.partition("replay:")
    return f"replay:{expand_home(path)}" if colon and not prefix else expand_home(name)


def _check_one_terminal(options: RunOptions, kind: str) -> None:
    """Refuse, for a person, what several of them would need, and what only a sandbox bears.

    Raises:
        UsageFault: it was asked for.
    """
    if kind != HUMAN:
        return
    if options.concurrency > 1:
        raise UsageFault(
            cause=f"--agent {HUMAN} with --concurrency {options.concurrency}",
            hint="leave --concurrency out: there is one terminal",
        )
    if options.grade_after not in (None, float("inf")):
        raise UsageFault(
            cause=f"--agent {HUMAN} with --grade-after {options.grade_after:g}",
            hint="leave --grade-after out: a sandbox can be frozen, a person's clock cannot",
        )
