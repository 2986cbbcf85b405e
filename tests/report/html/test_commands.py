"""The command line that a page gives makes the same job again."""

import shlex
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import pytest
import typer

from runner.cli import options as flags
from runner.cli.app import app
from runner.cli.declaring import takes
from runner.cli.resolve import resolve
from runner.records.episode import Limits
from runner.records.grading import Equivalence
from runner.records.run import GradingConfig, JobConfig
from runner.report.html.commands import again_commands, job_command
from runner.settings import Settings
from runner.tasks.task import Task

STARTED = datetime(2026, 1, 1, tzinfo=UTC)


def config_of(command: str, task: Task) -> JobConfig:
    """What a command line asks for."""
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "runner"]
    seen: list[flags.RunOptions] = []
    program = typer.Typer()
    program.command()(takes(flags.RunOptions)(seen.append))
    typer.main.get_command(program).main(words[3:], standalone_mode=False)
    (options,) = seen
    agent = options.agent
    chosen = {
        "model": agent.model, "max_tokens": agent.max_tokens, "context_tokens": agent.context_tokens,
        "runtime": options.runtime.runtime,
    }  # fmt: skip
    settings = Settings(**{key: value for key, value in chosen.items() if value is not None})  # type: ignore[arg-type]
    return replace(resolve(options, settings, task, STARTED), name="j")


def base(task: Task, **changed: Any) -> JobConfig:
    """What the command line without any flag asks for, changed."""
    return replace(config_of("python -m runner --task slow_nbody --agent scripted", task), **changed)


CHANGES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "runs and scale": {"runs": 3, "scale": "small", "concurrency": 2, "target": 3.0},
    "limits": {
        "limits": Limits(turns=7, output_tokens=1000, tokens=9999, dollars=0.25, wall_s=12.5, working_s=9.0)
    },
    "grading": {
        "grading": GradingConfig(rounds_max=4, equivalence=Equivalence.REQUIRED, strict=True, max_noise=2.5),
        "grade_last": True, "grade_snapshots": True, "grade_after_s": 30.0, "fail_under": 0.4, "runtime": "runsc",
    },
    "a replay": {"agent": "replay:some folder/it's", "replay_ignore": "a|b c"},
    "a program": {
        "agent": "command", "command": "python3 'my agent.py' --x $Y", "uploads": ("a b.py", "c.py"), "model": "m-1",
        "dollars_max": 3.5, "grade_after_s": 600.0, "max_tokens": 100, "price": "3/15", "price_check": False,
    },
    "a model": {
        "agent": "model", "model": "m-1", "dollars_max": 10.0, "api": "openai", "tools": "native", "thinking": "2000",
        "max_tokens": 4000, "context_tokens": 70000, "system_prompt": "p.md", "preflight": False, "grade_after_s": 600.0,
    },
}  # fmt: skip


@pytest.mark.parametrize("change", list(CHANGES))
def test_the_command_of_a_job_asks_for_the_same_again(nbody: Task, change: str) -> None:
    config = base(nbody, **CHANGES[change])
    assert config_of(job_command(config), nbody) == config


def test_every_key_of_a_configuration_is_tried_here() -> None:
    untried = {field.name for field in fields(JobConfig)} - {key for change in CHANGES.values() for key in change}
    assert untried == {"task", "task_digest", "name", "started"}


@pytest.mark.parametrize("folder", ["output/latest", "a folder/it's"])
def test_the_other_commands_are_understood(folder: str) -> None:
    root: Any = typer.main.get_command(app)
    for _, command in again_commands(folder):
        words = shlex.split(command)[3:]
        name, found, rest = root.resolve_command(typer.Context(root), words)
        found.make_context(name, rest, parent=typer.Context(root))
        assert folder in words
