"""The command lines that make a job, or its verdicts, again."""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from runner.records.run import JobConfig

PROGRAM = "python -m runner"
DEFAULTS = JobConfig()
MODEL_AGENTS = ("model", "command")


def job_command(config: JobConfig) -> str:
    """The command line of a job, with every limit written out.

    What a job's configuration does not hold, since it may be a secret (credentials, an endpoint's address), comes from the
    environment, as it did the first time.
    """
    words = [word for flag, value in _flags(config) for word in _words(flag, value)]
    return f"{PROGRAM} {shlex.join(words)}"


def again_commands(folder: str) -> tuple[tuple[str, str], ...]:
    """(what it does, command line) for a job that is kept in a folder."""
    quoted = shlex.quote(folder)
    return (
        ("Compute the verdicts again from the record", f"{PROGRAM} regrade {quoted} --offline"),
        ("Measure the submissions again", f"{PROGRAM} regrade {quoted}"),
        ("Compare the submissions again", f"{PROGRAM} analyze {quoted}"),
        ("Write this page again", f"{PROGRAM} report {quoted}"),
    )


def _words(flag: str, value: Any) -> list[str]:
    if value is None or value == "" or value is False:
        return []
    if value is True:
        return [flag]
    return [flag, f"{value:.12g}" if isinstance(value, float) else str(value)]


def _flags(config: JobConfig) -> Iterator[tuple[str, Any]]:
    """(flag, value) of all that a configuration says; an empty value leaves its flag out."""
    limits, grading = config.limits, config.grading
    yield from {
        "--runs": config.runs,
        "--task": config.task,
        "--scale": config.scale,
        "--agent": config.agent,
        "--concurrency": config.concurrency or None,
        "--turns": limits.turns,
        "--tokens": limits.tokens,
        "--output-tokens": limits.output_tokens,
        "--cost-limit": limits.dollars,
        "--time-limit": limits.wall_s,
        "--working-limit": limits.working_s,
        "--job-cost-limit": config.dollars_max,
        "--grade-after": "end" if config.grade_after_s is None else config.grade_after_s,
        "--grade-last": config.grade_last,
        "--grade-snapshots": config.grade_snapshots,
        "--max-rounds": grading.rounds_max,
        "--equivalence": grading.equivalence,
        "--strict": grading.strict,
        "--max-noise": grading.max_noise,
        "--no-calibrate": not grading.calibrate,
        "--slots": {0: "auto", 1: None}.get(grading.slots, grading.slots),
        "--fail-under": config.fail_under,
        "--runtime": config.runtime,
        "--command": config.command,
        "--replay-ignore": config.replay_ignore,
    }.items()
    yield from (("--upload", path) for path in config.uploads)
    if config.agent in MODEL_AGENTS:
        yield from _model_flags(config).items()


def _model_flags(config: JobConfig) -> Mapping[str, Any]:
    """How a model is asked; what only the agent `model` has stands where it is not as it comes."""
    return {
        "--model": config.model,
        "--api": _changed(config, "api"),
        "--max-tokens": config.max_tokens or None,
        "--context-tokens": (config.context_tokens or None) if config.agent == "model" else None,
        "--thinking": config.thinking,
        "--tools": _changed(config, "tools"),
        "--system-prompt": config.system_prompt,
        "--price": config.price,
        "--no-price-check": not config.price_check,
        "--no-preflight": not config.preflight,
    }


def _changed(config: JobConfig, name: str) -> Any:
    value = getattr(config, name)
    return None if value == getattr(DEFAULTS, name) else value
