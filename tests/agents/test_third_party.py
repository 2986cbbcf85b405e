"""Agents of others: the document's examples do what it says, and their authors' mistakes are named as such."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from runner.agents.adapter import AgentAdapter, turn_error
from runner.agents.protocol import AgentContext, Observation
from runner.budget.limits import BudgetExceeded
from runner.faults import InfrastructureFault, UsageFault
from runner.records.episode import Limit, Limits, ToolCall, Turn
from runner.tasks.task import Task

SMALL = ("--task", "slow_nbody", "--scale", "small", "--runs", "1", "--name", "job")
Cli = Callable[..., CompletedProcess[str]]


@pytest.fixture
def example(project: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Writes an example of the documents to a file."""
    text = "".join((project / "docs" / "how-to" / page).read_text() for page in ("bring-an-agent.md", "train.md"))
    found = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", text, re.DOTALL))

    def write(name: str) -> Path:
        path = tmp_path / name
        path.write_text(found[name])
        return path

    return write


def play(cli: Cli, tmp_path: Path, agent: str, *flags: str) -> tuple[CompletedProcess[str], dict[str, Any]]:
    """(the command, its only run)."""
    done = cli(*SMALL, "--agent", agent, *flags, "--output", str(tmp_path / "out"))
    assert "Traceback" not in done.stderr + done.stdout
    return done, json.loads((tmp_path / "out" / "job" / "results.json").read_text())["runs"][0]


def test_the_documents_agent_solves_the_task(cli: Cli, tmp_path: Path, example: Callable[[str], Path]) -> None:
    path = example("nbody_agent.py")
    assert len(path.read_text().splitlines()) <= 34
    done, run = play(cli, tmp_path, f"{path}:AllPairs", "--max-rounds", "1")
    assert run["outcome"] == "inconclusive", done.stdout
    assert run["episode"]["turns"] == 2 and run["speedup"]["estimate"] > 3.0


def test_the_documents_meter_is_what_the_limits_and_the_results_see(
    cli_ungraded: Cli, tmp_path: Path, example: Callable[[str], Path]
) -> None:
    _, run = play(cli_ungraded, tmp_path, f"{example('metered_agent.py')}:Metered", "--output-tokens", "600")
    assert run["reason"] == "the limit on output tokens was reached" and run["episode"]["turns"] == 3
    assert run["episode"]["usage"]["output"] == 600 and run["episode"]["dollars"] > 0.003
    transcript = (tmp_path / "out" / "job" / "run_1" / "transcript.jsonl").read_text()
    assert transcript.count("my model wrote 200 tokens") == 3


@pytest.mark.usefixtures("measuring_cpu")
@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("trainer.py", ["the episode: submitted"] * 2 + ["the reward: too_slow 0.0"] * 2),
        ("grading.py", [r"(passed|inconclusive) \S+ \d+\.\d+ .*", "crashed 0.0 None None None"]),
    ],
)
def test_the_documents_trainer_and_grader_get_their_rewards(
    project: Path, example: Callable[[str], Path], nbody_spec: object, name: str, lines: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, str(example(name))], cwd=project, env={"PYTHONPATH": str(project), "PATH": "/usr/bin"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.fullmatch("\n".join(lines) + "\n", done.stdout), done.stdout


def test_the_documents_event_loop_plays_side_by_side(
    project: Path, example: Callable[[str], Path], nbody_spec: object
) -> None:
    done = subprocess.run(
        [sys.executable, str(example("side_by_side.py"))], cwd=project,
        env={"PYTHONPATH": str(project), "PATH": "/usr/bin"}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\['\d+\b.*', '\d+\b.*'\]\n", done.stdout), done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("raise KeyError('no such table')", "cannot be loaded: KeyError: 'no such table'"),
        ("import sys; sys.exit(7)", "cannot be loaded: SystemExit: 7"),
        ("def broken(", "cannot be loaded: SyntaxError"),
        ("class Yours: pass", "cannot be loaded: AttributeError"),
        ("Mine = 7", "is not a class, but int"),
    ],
)
def test_a_file_without_such_an_agent_ends_before_anything_starts(
    in_process: Cli, tmp_path: Path, text: str, cause: str
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    done = in_process(*SMALL, "--agent", f"{path}:Mine", "--output", str(tmp_path / "out"))
    assert done.returncode == 2 and f"{path}:Mine" in done.stderr and cause in done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "out").exists()


def test_an_agent_that_raises_is_infrastructure_that_names_its_file_and_line(cli_ungraded: Cli, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "class Mine:\n    def __init__(self, assignment): pass\n    def act(self, seen):\n        return {}[1]\n"
    )
    done, run = play(cli_ungraded, tmp_path, f"{path}:Mine")
    assert done.returncode == 3 and (run["outcome"], run["reward"]) == ("infrastructure", None)
    assert run["reason"] == f"the agent Mine of {path} raised KeyError in line 4: 1"
    assert "fix the agent" in done.stdout
    notes = [json.loads(line) for line in (tmp_path / "out" / "job" / "run_1" / "transcript.jsonl").open()]
    assert any("return {}[1]" in frame for note in notes for frame in note.get("frames", ()))


@pytest.mark.parametrize(
    ("text", "status", "words"), [("class Mine: ...", 0, "nothing to pay"), ("1 / 0", 2, "ZeroDiv")]
)
def test_a_package_offers_its_agent_by_name(
    cli_ungraded: Cli, tmp_path: Path, text: str, status: int, words: str
) -> None:
    (tmp_path / "their_package.py").write_text(text)
    (tmp_path / "theirs-1.dist-info").mkdir()
    (tmp_path / "theirs-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1\n")
    (tmp_path / "theirs-1.dist-info" / "entry_points.txt").write_text("[runner.agents]\nmine = their_package:Mine\n")
    done = cli_ungraded(*SMALL, "--agent", "mine", "--dry-run", env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == status and words in done.stderr and "Traceback" not in done.stderr


# The boundary itself


class Acts:
    def __init__(self, what: Callable[[], Any]) -> None:
        self.what = what

    def act(self, observation: Observation) -> Any:
        return self.what()


SEEN = Observation("", (), Limits())


def nested(levels: int) -> dict[str, Any]:
    """So deep; 0: it holds itself."""
    whole: dict[str, Any] = {}
    inner = whole
    for _ in range(levels):
        inner["in"] = inner = {}
    if not levels:
        whole["in"] = [whole]
    return whole


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "it returned NoneType"),
        ("ls", "it returned str"),
        (Turn(b"x"), "its say and its ending must be text"),  # type: ignore[arg-type]
        (Turn("", ["x"]), "its calls must be a tuple, not list"),  # type: ignore[arg-type]
        (Turn("", ("x",)), "its calls hold str where a ToolCall must be"),  # type: ignore[arg-type]
        (Turn("", (ToolCall("1", "bash", "ls"),)), "its input a dict"),  # type: ignore[arg-type]
        (Turn("", (ToolCall("1", [], {}),)), "id and tool must be text"),  # type: ignore[arg-type]
        (Turn("", (ToolCall("1", "bash", {}, None),)), "broken must be text"),  # type: ignore[arg-type]
        (Turn("", (ToolCall("1", "bash", {"n": float("inf")}),)), "what JSON can hold"),
        (Turn("", (ToolCall("1", "bash", {"n": [float("nan")]}),)), "what JSON can hold"),
        (Turn("", (ToolCall("1", "bash", {"f": Path("x")}),)), "what JSON can hold"),
        (Turn("", (ToolCall("1", "bash", {"f": b"x"}),)), "what JSON can hold"),
        (Turn("", (ToolCall("1", "bash", {1: "x"}),)), "what JSON can hold"),  # type: ignore[dict-item]
        (Turn("", (ToolCall("1", "bash", {"f": {(1, 2): "x"}}),)), "what JSON can hold"),
        (Turn("", (ToolCall("1", "bash", nested(5000)),)), "what JSON can hold"),
        (Turn("", (ToolCall("1", "bash", nested(0)),)), "what JSON can hold"),
    ],
)
def test_what_is_no_turn_is_a_fault_that_says_why(nbody: Task, given: Any, words: str) -> None:
    assert words in turn_error(given)
    agent = AgentAdapter(lambda assignment: Acts(lambda: given), AgentContext(nbody, 1))
    with pytest.raises(InfrastructureFault, match="act must return a Turn") as fault:
        agent.act(SEEN)
    assert words in fault.value.cause and __file__ in fault.value.cause


def raises(error: BaseException) -> Any:
    raise error


@pytest.mark.parametrize("error", [ValueError("a\nb"), SystemExit(3), RecursionError(), UnicodeError("x" * 1000)])
def test_whatever_an_agent_raises_is_one_bounded_line(nbody: Task, error: BaseException) -> None:
    agent = AgentAdapter(lambda assignment: Acts(lambda: raises(error)), AgentContext(nbody, 1))
    with pytest.raises(InfrastructureFault) as fault:
        agent.act(SEEN)
    assert type(error).__name__ in fault.value.cause and "\n" not in fault.value.cause
    assert len(fault.value.cause) < 500


@pytest.mark.parametrize(
    "error", [BudgetExceeded(Limit.DOLLARS), InfrastructureFault(cause="no model", hint="start it")]
)
def test_what_the_protocol_lets_an_agent_raise_goes_through(nbody: Task, error: Exception) -> None:
    agent = AgentAdapter(lambda assignment: Acts(lambda: raises(error)), AgentContext(nbody, 1))
    with pytest.raises(type(error)) as raised:
        agent.act(SEEN)
    assert raised.value is error


def test_a_call_that_json_can_hold_is_no_mistake() -> None:
    given_ = {"text": "ü\ud800", "n": [1, 2.5, None, True], "deep": {"a": ({"b": []},)}}
    assert turn_error(Turn("", (ToolCall("1", "bash", given_, "why"),))) == ""


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (UsageFault(cause="no such table", hint="name one"), "no such table"),
        (BudgetExceeded(Limit.DOLLARS), r"ended its episode (dollars) before it began"),
    ],
)
def test_whatever_an_agent_raises_while_it_is_made_in_a_job_is_infrastructure(
    nbody: Task, error: Exception, cause: str
) -> None:
    with pytest.raises(InfrastructureFault) as fault:
        AgentAdapter(lambda assignment: raises(error), AgentContext(nbody, 1))
    assert cause in fault.value.cause and fault.value.exit_status == 3


def test_a_class_that_cannot_be_made_is_a_fault(nbody: Task) -> None:
    class Mine:
        pass

    with pytest.raises(InfrastructureFault, match=r"Mine of .* raised TypeError: "):
        AgentAdapter(Mine, AgentContext(nbody, 1))  # type: ignore[arg-type]


def test_a_class_without_act_is_a_fault(nbody: Task) -> None:
    class Mine:
        def __init__(self, assignment: AgentContext) -> None: ...

    with pytest.raises(InfrastructureFault, match=r"Mine of .* raised AttributeError: .*'act'"):
        AgentAdapter(Mine, AgentContext(nbody, 1)).act(SEEN)  # type: ignore[arg-type]
