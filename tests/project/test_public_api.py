"""What other programs may import from `runner`: every name resolves, has its type in the stub, and costs nothing before."""

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

import runner
import runner.tasks
from runner.tasks.starter import kinds, starters_folder
from tests.documents import documents, python_blocks
from tests.environment import clean_environment


@pytest.mark.parametrize("name", sorted(runner.__all__))
def test_a_public_name_can_be_imported_and_is_ours(name: str) -> None:
    found = getattr(runner, name)
    assert found.__module__.startswith("runner.") and found.__name__ == name


def test_what_a_public_call_takes_and_gives_is_public_too() -> None:
    """Whoever annotates code of his own needs the names of all classes that he is handed."""
    found = {
        f"{name} ({where})"
        for public in CALLS
        for where, hint in _hints(getattr(runner, public))
        for name in _classes(hint)
        if name not in runner.__all__
    }
    assert found == set()


CALLS = ("grade", "run_job", "agrade", "arun_job", "Host", "Env", "AsyncHost", "AsyncEnv", "Step", "Graded", "JobResult",
         "AgentConfig", "Stop")  # fmt: skip


def _hints(public: Any) -> Iterator[tuple[str, Any]]:
    """(where it stands, annotation) of a function; of a class, of its fields and public methods."""
    calls = [public] if inspect.isfunction(public) else [public, *_methods(public)]
    for call in calls:
        for name, hint in get_type_hints(call).items():
            yield f"{call.__qualname__}: {name}", hint


def _methods(public: type) -> Iterator[Any]:
    """Its public methods, and what its public properties give."""
    for name, member in vars(public).items():
        if name == "__init__" or not name.startswith("_"):
            yield from (
                [member.fget] if isinstance(member, property) else [member] if inspect.isfunction(member) else []
            )


def _classes(hint: Any) -> Iterator[str]:
    """Names of the project's classes in an annotation, without what a private name says is handed to nobody."""
    if isinstance(hint, type) and hint.__module__.startswith("runner.") and not hint.__name__.startswith("_"):
        yield hint.__name__
    for inner in hint if isinstance(hint, list) else get_args(hint):
        yield from _classes(inner)


# What documents and examples import. An import-linter contract can say this of packages only, and these are none.

PUBLIC = {"runner": set(runner.__all__), "runner.tasks": set(runner.tasks.__all__)}


def imported_inside(source: str) -> set[str]:
    """What a text of Python takes from the package that is not public: modules, or names of public modules."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found |= {name.name for name in names if _is_ours(name.name) and name.name not in PUBLIC}
            case ast.ImportFrom(module=str(module), names=names) if _is_ours(module):
                public = PUBLIC.get(module, set())
                found |= {f"{module}.{name.name}" for name in names if name.name not in public}
            case ast.Attribute(value=ast.Name(id="runner"), attr=name) if name not in {*runner.__all__, "tasks"}:
                found.add(f"runner.{name}")
            case ast.Call(args=[ast.Constant(value=str(module)), *_]) if re.fullmatch(r"runner(\.\w+)+", module):
                found |= {module} - PUBLIC.keys()
    return found


def _is_ours(module: str) -> bool:
    return module.split(".")[0] == "runner"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import runner\nrunner.grade\nfrom runner import Host\nfrom runner.tasks import Case", set()),
        ("from numpy import array\nx.runner.job", set()),
        ("import runner.job.api as api", {"runner.job.api"}),
        ("from runner.job.api import grade", {"runner.job.api.grade"}),
        ("from runner import job", {"runner.job"}),
        ("from runner.tasks import authoring", {"runner.tasks.authoring"}),
        ("def f():\n    from runner.faults import Fault", {"runner.faults.Fault"}),
        ("runner.job.api.grade()", {"runner.job"}),
        ("importlib.import_module('runner.job')", {"runner.job"}),
    ],
)
def test_what_is_internal_is_found(source: str, found: set[str]) -> None:
    assert imported_inside(source) == found


def test_documents_and_examples_import_nothing_internal(project: Path) -> None:
    """Nor do the tasks that ship, nor those that `init` writes."""
    blocks = [(page, source) for page in documents(project) for source in python_blocks(page)]
    folders = (project / "docs", project / "problem_data", project / "runner" / "tasks" / "starters")
    files = [(path, path.read_text()) for folder in folders for path in folder.rglob("*.py")]
    assert len(blocks) > 8 and len(files) > 8
    assert [(where, found) for where, source in [*blocks, *files] if (found := imported_inside(source))] == []


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Trun"):
        runner.Trun  # type: ignore[attr-defined]  # noqa: B018


def test_importing_the_package_loads_no_other_package(project: Path) -> None:
    code = "import sys, runner; print([m for m in ('numpy', 'docker', 'pydantic', 'typer') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# What a user writes with all of it, in ways that are his own: arrays of one type in a variable, sums with what he is given.
USERS_FILE = """
import asyncio

import numpy as np
from numpy.typing import NDArray

from runner import (
    AgentConfig, AsyncHost, Graded, GradingConfig, Host, JobResult, Limits, Observation, Step, Stop, ToolCall, UsageFault,
    agrade, arun_job, grade, run_job,
)
from runner.tasks import Answer, BadAnswer, Case, Cases, Order, Qualities, Question, Sizes, generators, items_close


def make(seed: int, sizes: Sizes) -> Case:
    (draw,) = generators(seed, 1)
    inputs = {"points": draw.random((sizes["points"], 2))}
    hidden: dict[str, NDArray[np.int64]] = {"sums": np.arange(sizes["points"])}
    return Case(inputs, hidden)


def score(case: Case, answer: Answer) -> Qualities:
    if (answer["sums"] - case.hidden["sums"]).min() < 0:
        raise BadAnswer("a sum is too small")
    return items_close(answer["sums"], case.hidden["sums"], 1e-6)


def rearrange(case: Case, order: Order) -> Case:
    return Case({**case.inputs, "points": case.inputs["points"][order]}, {"sums": case.hidden["sums"][order]})


def make_cases(seed: int, sizes: Sizes) -> Cases:
    return Cases([b"%d" % seed], [b"1"])


def make_question(seed: int, sizes: Sizes) -> Question:
    return Question({"a.csv": b"1"}, {"label": np.zeros(3, np.int64)})


def train() -> list[float | None]:
    rewards: list[float | None] = []
    with Host(slots=2) as host, host.open_episode("t", "small", Limits(turns=5), 3, reward="log_speedup") as env:
        seen: Observation = env.reset()
        step: Step = env.step({"name": "bash", "input": {"command": seen.instruction}})
        step = env.step([ToolCall("1", "submit", {"path": step.text})])
        graded: list[Graded] = host.grade_many([env, b"x", "x.py"], "t", reward="margin")
        rewards += [step.reward, *(one.reward for one in graded)]
    rewards += [one.low for one in grade(["x.py"], "t", reward="pass")]
    return rewards


async def wait() -> float | None:
    try:
        done: JobResult = await arun_job("t", 3, agent="noop", stop=Stop())
    except UsageFault as fault:
        print(fault.cause, fault.hint)
        done = run_job("t", agent_config=AgentConfig(model="m"), say=print)
    (one,) = await agrade([b"x"], "t", config=GradingConfig(rounds_max=3))
    async with AsyncHost() as host, await host.open_episode("t") as env:
        await env.reset()
        (again,) = await host.grade_many([env])
    return done.totals.pass_rate if again.reward is None else one.reward


asyncio.run(wait())
"""


@pytest.mark.slow
def test_a_users_file_and_a_new_tasks_pass_the_strictest_check_of_types(project: Path, tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(USERS_FILE)
    for kind in kinds():
        (tmp_path / f"{kind}.py").write_bytes((starters_folder() / kind / "problem.py").read_bytes())
    flags = ("--strict", "--follow-imports=silent", "--config-file=", "--cache-dir", "cache")
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", *flags, *sorted(path.name for path in tmp_path.glob("*.py"))],
        cwd=tmp_path,
        env=clean_environment(str(tmp_path), MYPYPATH=str(project)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
