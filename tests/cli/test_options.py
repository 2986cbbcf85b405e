"""Flags: declared once, resolved into one configuration; old names are understood, and nothing is ignored."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import typer

from runner.cli.app import EXAMPLES, app
from runner.cli.called import as_called
from runner.cli.declaring import OLD_NAMES, OLD_VALUES, takes
from runner.cli.default_command import with_command
from runner.cli.option_groups import AgentOptions, LimitOptions, TaskOptions
from runner.cli.options import RunOptions
from runner.cli.resolve import resolve
from runner.cli.selftest import TASKS
from runner.faults import UsageFault
from runner.job.assembly import concurrency_of
from runner.job.configuration import AGENTS_OF
from runner.job.setup import load_task
from runner.records.grading import Equivalence
from runner.records.run import JobConfig
from runner.sandbox.engine import EngineFacts
from runner.selftest.corpus import read_corpus
from runner.settings import Settings
from runner.store.results import read_config

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NBODY = TaskOptions(task="slow_nbody", scale="small")
Cli = Callable[..., CompletedProcess[str]]
ROOT: Any = typer.main.get_command(app)
COMMANDS = ROOT.commands


def parse(*arguments: str) -> RunOptions:
    """What the main job gets for a command line."""
    made: list[RunOptions] = []
    program = typer.Typer(context_settings=app.info.context_settings)
    program.command()(takes(RunOptions)(made.append))
    program(list(arguments), standalone_mode=False)
    return made[0]


def config(*arguments: str, settings: Settings | None = None) -> JobConfig:
    """The configuration of a command line, without an environment."""
    settings = settings or Settings()
    return resolve(parse("--task", "slow_nbody", *arguments), settings, load_task(settings, "slow_nbody"), NOW)


def test_no_flag_means_the_defaults_of_the_declaration() -> None:
    assert parse() == RunOptions()


@pytest.mark.parametrize(("old", "new"), OLD_VALUES.items())
def test_a_values_old_name_means_the_same(old: str, new: str) -> None:
    assert parse("--equivalence", old) == parse("--equivalence", new) != RunOptions()
    assert config("--equivalence", old).grading.equivalence is Equivalence(new)


@pytest.mark.parametrize(("old", "new"), OLD_NAMES.items())
def test_a_flags_old_name_means_the_same(old: str, new: str, tmp_path: Path) -> None:
    values = {"upload": [str(tmp_path)], "grade-last": []}.get(new, ["3"])
    assert parse(f"--{old}", *values) == parse(f"--{new}", *values) != RunOptions()


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("", "run"),
        ("--runs 10", "run --runs 10"),
        ("--task grade", "run --task grade"),
        ("run --runs 10", "run --runs 10"),
        ("grade x.py", "grade x.py"),
        ("--help", "--help"),
        ("-h", "-h"),
        ("--version", "--version"),
        ("--versions", "run --versions"),
        ("rnu", "rnu"),
    ],
)
def test_a_command_line_without_a_command_is_the_main_jobs(line: str, named: str) -> None:
    assert with_command(line.split()) == named.split()


def test_a_flag_in_front_of_another_command_is_refused_and_not_ignored(in_process: Cli) -> None:
    done = in_process("--runs", "3", "grade", "x.py")
    assert done.returncode == 2 and "unexpected extra argument(s) (grade x.py)" in done.stderr


def test_a_misspelt_command_is_told_the_nearest_one(in_process: Cli) -> None:
    done = in_process("analyse", "output/latest")
    assert done.returncode == 2 and "Did you mean 'analyze'?" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_help_of_a_command_ends_with_examples_that_are_understood(name: str, in_process: Cli) -> None:
    said = in_process(name, "--help").stdout
    assert said.index("Examples:") > said.index("--help") and len(EXAMPLES[name]) > 0
    for example in EXAMPLES[name]:
        program, found, *arguments = example.removeprefix("python -m ").split()
        assert (program, found) == ("runner", name)
        COMMANDS[name].make_context(name, arguments)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_the_usage_of_a_command_names_each_argument_in_one_pair_of_brackets(name: str, in_process: Cli) -> None:
    usage = in_process(name, "--help").stdout.partition("Usage: ")[2].partition("\n\n")[0]
    assert not [odd for odd in ("[[", "]]", "...]", "...}", "} {{") if odd in usage], usage


def test_the_cases_that_an_example_names_are_there() -> None:
    examples = [line.split() for lines in EXAMPLES.values() for line in lines if "selftest --only" in line]
    corpus = {case.id for case in read_corpus({name: load_task(Settings(), name) for name in TASKS})}
    assert examples and {words[words.index("--only") + 1] for words in examples} <= corpus


def test_every_command_has_examples() -> None:
    assert EXAMPLES.keys() == COMMANDS.keys()


def test_old_names_are_not_listed(plain_cli: Cli) -> None:
    said = plain_cli("run", "--help").stdout
    assert not [name for name in OLD_NAMES if f"--{name} " in said] and all(
        f"--{n}" in said for n in OLD_NAMES.values()
    )


def test_flags_go_over_the_task_and_the_task_over_nothing() -> None:
    task = load_task(Settings(), "slow_nbody").file.episode
    plain, asked = (
        config("--agent", "noop").limits,
        config("--agent", "noop", "--turns", "3", "--time-limit", "9").limits,
    )
    assert (plain.turns, plain.wall_s) == (task.turns, task.wall_s)
    assert (asked.turns, asked.wall_s, asked.working_s) == (3, 9.0, task.working_s)


def test_a_configuration_is_read_back_from_its_file() -> None:
    from dataclasses import asdict

    made = config("--agent", "noop", "--strict", "--grade-after", "30", "--fail-under", "0.5")
    assert read_config(json.loads(json.dumps(asdict(made)))) == made
    assert made.grading.strict and (made.grade_after_s, made.fail_under) == (30.0, 0.5)


def test_the_configuration_of_an_old_job_is_read(project: Path) -> None:
    raw = json.loads((project / "tests" / "old_jobs" / "schema_1" / "job.json").read_text())
    assert read_config(raw).concurrency == raw["jobs"] > 0 and read_config(raw).task == "slow_nbody"


def test_no_secret_is_in_the_configuration() -> None:
    settings = Settings(ANTHROPIC_API_KEY="sk-canary", base_url="http://user:canary@localhost")  # type: ignore[call-arg]
    assert "canary" not in repr(config("--agent", "model", settings=settings))


@pytest.mark.parametrize(("agent", "seconds"), [("noop", None), ("scripted", None), ("command", 600.0)])
def test_submissions_wait_for_the_end_unless_the_agents_wait_for_a_model(agent: str, seconds: float | None) -> None:
    assert config("--agent", agent).grade_after_s == seconds
    assert config("--agent", agent, "--grade-after", "end").grade_after_s is None


VALUES = {"upload": "x", "api": "openai", "tools": "native", "max_tokens": "9", "context_tokens": "9"}


@pytest.mark.slow
@pytest.mark.parametrize("name", AGENTS_OF)
@pytest.mark.parametrize("agent", ["noop", "human", "replay:output/latest", "mine.py:Agent"])
def test_a_flag_of_another_agent_is_refused(name: str, agent: str) -> None:
    if agent.startswith(AGENTS_OF[name]):
        return
    flag = "--" + name.replace("_", "-")
    switch = name in ("price_check", "preflight")
    arguments = (flag,) if switch else (flag, VALUES.get(name, "x"))
    with pytest.raises(UsageFault) as refused:
        config("--agent", agent, *arguments)
    assert flag in refused.value.cause and AGENTS_OF[name][0] in refused.value.hint


def test_what_the_environment_says_is_no_flag_of_another_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNNER_MODEL", "m-1")
    assert config("--agent", "noop").model == ""


@pytest.mark.parametrize("agent", ["~/mine.py:Agent", "replay:~/job"])
def test_a_tilde_is_the_users_home(agent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert config("--agent", agent).agent == agent.replace("~", "/home/somebody")
    assert parse("--output", "~/out").output == Path("/home/somebody/out")
    assert parse("--agent", "command", "--upload", "~/a").agent.upload == [Path("/home/somebody/a")]


@pytest.mark.parametrize("limit", ["time_limit", "working_limit"])
def test_no_limit_is_longer_than_a_wait_can_be(limit: str) -> None:
    options = RunOptions(task=NBODY, limits=LimitOptions(**{limit: 1e30}))
    with pytest.raises(UsageFault, match=r"must be at most 2592000 \(30 days\)"):
        resolve(options, Settings(), load_task(Settings(), "slow_nbody"), NOW)


@pytest.mark.parametrize("limit", ["cost_limit", "time_limit", "working_limit", "job_cost_limit"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_a_limit_must_be_a_positive_number(limit: str, value: float) -> None:
    options = RunOptions(task=NBODY, agent=AgentOptions(agent="model"), limits=LimitOptions(**{limit: value}))
    with pytest.raises(UsageFault, match="must be greater than 0"):
        resolve(options, Settings(), load_task(Settings(), "slow_nbody"), NOW)


def facts(ncpu: int) -> EngineFacts:
    given: dict[str, Any] = dict.fromkeys(EngineFacts.__slots__, "")
    return EngineFacts(**{**given, "ncpu": ncpu, "memory_bytes": 64 * 2**30, "runtimes": (), "security": ()})


def test_concurrency_is_as_asked_for_or_by_the_engine() -> None:
    scripted = config("--agent", "scripted")
    assert concurrency_of(scripted, facts(2), 2**30) == 2
    assert concurrency_of(replace(scripted, agent="model"), facts(2), 2**30) == 8
    assert concurrency_of(replace(scripted, concurrency=3), facts(2), 2**30) == 3


def test_a_person_has_one_terminal() -> None:
    assert config("--agent", "human").concurrency == 1
    for flags in (("--concurrency", "2"), ("--grade-after", "5")):
        with pytest.raises(UsageFault, match="--agent human"):
            config("--agent", "human", *flags)


def test_the_version_is_told(plain_cli: Cli) -> None:
    import runner

    assert plain_cli("--version").stdout == f"runner {runner.__version__}\n"


def test_a_dry_run_checks_everything_starts_nothing_and_answers_in_json(
    cli_ungraded: Cli, tmp_path: Path, nbody_spec: object
) -> None:
    command = ("--task", "slow_nbody", "--agent", "noop", "--dry-run", "--output", str(tmp_path / "out"))
    done = cli_ungraded(*command, "--json")
    said = json.loads(done.stdout)
    assert said["config"]["runs"] == 10 and said["config"]["concurrency"] >= 1 and said["estimate"] is None
    assert set(said["checks"]) == {"task", "agent", "engine", "image", "output"}
    plain = cli_ungraded(*command)
    assert plain.returncode == done.returncode == 0 and "✓ engine: " in plain.stderr and plain.stdout == ""
    assert not (tmp_path / "out").exists()


def test_a_dry_run_fails_where_the_job_would(cli_ungraded: Cli, tmp_path: Path, nbody_spec: object) -> None:
    (tmp_path / "out" / "there").mkdir(parents=True)
    dry = ("--task", "slow_nbody", "--agent", "noop", "--dry-run", "--output", str(tmp_path / "out"))
    assert cli_ungraded(*dry, "--name", "there").returncode == 2
    assert cli_ungraded(*dry, env={"DOCKER_HOST": "unix:///nowhere.sock"}).returncode == 3


@pytest.mark.parametrize(
    ("started", "said"),
    [
        ("/venv/bin/runner", "see `runner doctor`"),
        ("/src/runner/__main__.py", "see `python -m runner doctor`"),
        ("-c", "see `python -m runner doctor`"),
    ],
)
def test_a_command_is_named_as_the_program_was_started(
    monkeypatch: pytest.MonkeyPatch, started: str, said: str
) -> None:
    monkeypatch.setattr("sys.argv", [started])
    assert as_called("see `python -m runner doctor`") == said
