"""The files that a job's agent is made of, by paths that mean the same from any working directory."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from runner.agents.replay import PREFIX
from runner.job.third_party import file_and_class
from runner.records.run import JobConfig


def files_entry(config: JobConfig) -> dict[str, Any]:
    """Where they lie, for the journal; a link that a replay names is resolved, since it may name another job's later."""
    found: dict[str, Any] = {"agent": _agent(config.agent)}
    if config.system_prompt:
        found["system_prompt"] = str(Path(config.system_prompt).absolute())
    if config.uploads:
        found["uploads"] = [str(Path(path).absolute()) for path in config.uploads]
    return {key: value for key, value in found.items() if value}


def with_files(config: JobConfig, recorded: Mapping[str, Any]) -> JobConfig:
    """A configuration with the recorded paths, where something lies there; else with those that were typed."""
    agent, prompt, uploads = (recorded.get(key) for key in ("agent", "system_prompt", "uploads"))
    if isinstance(agent, str) and _agent(config.agent) and (path := _path_of(agent)) is not None and path.exists():
        config = replace(config, agent=agent)
    if isinstance(prompt, str) and config.system_prompt and Path(prompt).exists():
        config = replace(config, system_prompt=prompt)
    if isinstance(uploads, list) and len(uploads) == len(config.uploads) and all(map(_is_there, uploads)):
        config = replace(config, uploads=tuple(uploads))
    return config


def _agent(name: str) -> str:
    """An agent's name with its path made absolute; empty where it has none."""
    if name.startswith(PREFIX):
        return f"{PREFIX}{Path(name.removeprefix(PREFIX)).resolve()}"
    named = file_and_class(name)
    return f"{named[0].absolute()}:{named[1]}" if named is not None else ""


def _path_of(name: str) -> Path | None:
    if name.startswith(PREFIX):
        return Path(name.removeprefix(PREFIX))
    named = file_and_class(name)
    return named[0] if named is not None else None


def _is_there(path: object) -> bool:
    return isinstance(path, str) and Path(path).exists()
