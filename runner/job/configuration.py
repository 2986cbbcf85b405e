"""What a job is asked for, resolved alike for the command line and for one's own code."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Literal

from runner.faults import UsageFault
from runner.job.agents import IO_BOUND, WITH_MODEL, kind_of
from runner.records.episode import Limits
from runner.records.run import GradingConfig, JobConfig
from runner.settings import Settings
from runner.tasks.schema import SECONDS_MAX
from runner.tasks.task import Task

GRADE_AFTER_S = 600.0  # chosen: a waiting submission is graded about as soon as a person would look again
# Which agents an option belongs to; one that is not here belongs to all.
AGENTS_OF = {
    "command": ("command",),
    "upload": ("command",),
    "replay_ignore": ("replay",),
    **dict.fromkeys(("model", "api", "base_url", "max_tokens", "price", "price_check", "preflight"), WITH_MODEL),
    **dict.fromkeys(("thinking", "tools", "context_tokens", "system_prompt"), ("model",)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """What only some agents have. Each is left at its default for an agent that it does not belong to.

    Attributes:
        model: its name; empty: as the environment says.
        base_url: the model's endpoint; empty: as the environment says.
        api: what the endpoint speaks.
        tools: how tools are shown: our JSON schemas, or the vendor's types.
        thinking: `off`, `adaptive` or a number of tokens; empty: as the model's vendor has it.
        max_tokens: most tokens of one response; 0: as the environment says.
        context_tokens: the oldest tool outputs are cleared from here on; 0: as the environment says.
        system_prompt: a file that replaces the model's system prompt; None: the task's, else ours.
        price: US dollars for a million tokens sent and received, such as `3/15`; empty: the known one.
        price_check: refuse a model whose price is not known.
        preflight: ask the model one word before anything starts.
        command: the command line that runs in the sandbox.
        upload: files for the workspace of the agent `command`.
        replay_ignore: a regular expression: what may differ between outputs that are replayed.
    """

    model: str = ""
    base_url: str = ""
    api: Literal["anthropic", "openai"] = "anthropic"
    tools: Literal["schema", "native"] = "schema"
    thinking: str = ""
    max_tokens: int = 0
    context_tokens: int = 0
    system_prompt: Path | None = None
    price: str = ""
    price_check: bool = True
    preflight: bool = True
    command: str = ""
    upload: tuple[Path, ...] = ()
    replay_ignore: str = ""


DEFAULTS = AgentConfig()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for of a job besides its task and agent; `JobConfig` says what each is.

    Attributes:
        grade_after_s: None: as suits the agent; infinite: when all episodes are over.
        dollars_max: of the whole job; counts for an agent with a model.
    """

    scale: str
    runs: int
    name: str
    concurrency: int
    limits: Limits
    grading: GradingConfig
    dollars_max: float
    grade_after_s: float | None = None
    grade_last: bool = False
    grade_snapshots: bool = False
    fail_under: float | None = None


def job_config(
    settings: Settings, task: Task, agent: str, options: AgentConfig, wanted: Wanted, now: datetime
) -> JobConfig:
    """The one configuration of a job; its concurrency may still be 0 (`concurrency_of`).

    Args:
        settings: with the agent's options in them (`settings_for`).
        agent: its resolved name.

    Raises:
        UsageFault: the task has no such scale.
    """
    task.scale(wanted.scale)
    with_model = kind_of(agent) in WITH_MODEL
    return JobConfig(
        task=task.name,
        task_digest=task.digest,
        scale=wanted.scale,
        agent=agent,
        runs=wanted.runs,
        concurrency=wanted.concurrency,
        name=wanted.name or now.astimezone().strftime("%Y-%m-%d_%H-%M-%S"),
        grade_after_s=_grade_after_s(wanted.grade_after_s, kind_of(agent)),
        grading=wanted.grading,
        target=task.target(wanted.scale),
        started=now.isoformat(),
        model=settings.model if with_model else "",
        dollars_max=wanted.dollars_max if with_model else None,
        limits=wanted.limits,
        grade_last=wanted.grade_last,
        grade_snapshots=wanted.grade_snapshots,
        api=options.api,
        tools=options.tools,
        thinking=options.thinking,
        max_tokens=settings.max_tokens,
        context_tokens=settings.context_tokens,
        system_prompt=str(options.system_prompt or ""),
        price=options.price,
        price_check=options.price_check,
        preflight=options.preflight,
        command=options.command,
        uploads=tuple(map(str, options.upload)),
        replay_ignore=options.replay_ignore,
        fail_under=wanted.fail_under,
        runtime=settings.runtime,
    )


def check_limits(limits: Limits) -> None:
    """Refuse limits of an episode that no flag could set.

    Raises:
        UsageFault: one is not a positive number, or is more seconds than a month has.
    """
    for field in fields(limits):
        value = getattr(limits, field.name)
        if value is not None:
            most = SECONDS_MAX if field.name.endswith("_s") else math.inf
            whole = field.name not in ("dollars", "wall_s", "working_s")
            _check_number(f"limits.{field.name}", value, whole=whole, most=most)


def check_grading(config: GradingConfig) -> None:
    """Refuse a way of grading that no flag could ask for.

    Raises:
        UsageFault: a number is not positive.
    """
    if config.rounds_max is not None:
        _check_number("config.rounds_max", config.rounds_max, whole=True)
    if config.max_noise is not None:
        _check_number("config.max_noise", config.max_noise, zero=True)
    _check_number("config.slots", config.slots, whole=True, zero=True)


def check_wanted(wanted: Wanted) -> None:
    """Refuse numbers of a job that no flag could give.

    Raises:
        UsageFault: one is not positive, or no number.
    """
    _check_number("runs", wanted.runs, whole=True)
    _check_number("concurrency", wanted.concurrency, whole=True, zero=True)
    _check_number("job_cost_limit", wanted.dollars_max)
    if wanted.grade_after_s not in (None, math.inf):
        _check_number("grade_after_s", wanted.grade_after_s, zero=True)
    check_limits(wanted.limits)
    check_grading(wanted.grading)


def _check_number(name: str, value: object, *, whole: bool = False, zero: bool = False, most: float = math.inf) -> None:
    is_number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if is_number and (0 < value <= most or (zero and value == 0)) and value < math.inf:  # type: ignore[operator]
        return
    least = "at least 0" if zero else "greater than 0"
    kind = "a whole number" if whole else "finite" if most == math.inf else f"at most {most:.0f}"
    raise UsageFault(cause=f"{name} is {value!r}: it must be {least} and {kind}", hint="correct it, or leave it out")


def settings_for(settings: Settings, options: AgentConfig) -> Settings:
    """The settings with an agent's options over them."""
    asked = {name: getattr(options, name) for name in ("model", "base_url", "max_tokens", "context_tokens")}
    return settings.model_copy(update={name: value for name, value in asked.items() if value})


def check_options(given: Collection[str], kind: str, shown: Callable[[str], str] = str) -> None:
    """Refuse an option that another agent's job would need.

    Args:
        given: names of the options that were given.
        kind: of the agent.
        shown: how the user knows it by its name.

    Raises:
        UsageFault: one was given.
    """
    for name in sorted(AGENTS_OF.keys() & set(given)):
        agents = AGENTS_OF[name]
        if kind not in agents:
            raise UsageFault(
                cause=f"{shown(name)} has no meaning for --agent {kind}",
                hint=f"leave it out, or choose the agent that it belongs to: {' or '.join(agents)}",
            )


def _grade_after_s(seconds: float | None, kind: str) -> float | None:
    """Seconds that a submission may wait while episodes run; None: until all are over."""
    if seconds is None:
        return GRADE_AFTER_S if kind in IO_BOUND else None
    return None if seconds == float("inf") else seconds
