"""A case: the data of one round, minted from a seed that did not exist while the agent worked.

A task's `problem.py` is ours: it runs on the host, with numpy alone. It makes the inputs that a container gets, and the
hidden part (the labels) that never leaves the host; and it says how good an answer is, item by item.
"""

import importlib.util
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from runner.faults import TaskFault
from runner.tasks.task import Array, Task

SEED_BITS = 128


class Case(NamedTuple):
    """One data set.

    Attributes:
        inputs: what a container gets, by the names of `[inputs]`; dtypes and shapes as declared there.
        hidden: what stays on the host, such as the labels of the test items.
    """

    inputs: dict[str, NDArray[np.generic]]
    hidden: dict[str, NDArray[np.generic]]


Answer = Mapping[str, NDArray[np.generic]]


class Problem(Protocol):
    """What a problem.py holds."""

    def make(self, seed: int, scale: Mapping[str, int]) -> Case:
        """The data set of a seed (128 bits), for the sizes of a scale."""
        ...

    def score(self, case: Case, answer: Answer) -> NDArray[np.float64]:
        """One quality value per item; higher is better."""
        ...


def load_problem(task: Task) -> Problem:
    """The task's trusted problem.py, as a module of its own name.

    Raises:
        TaskFault: the file cannot be run, or lacks `make` or `score`.
    """
    return cast(Problem, _run_module(task.folder / "problem.py", task.name))


def _run_module(path: Path, task_name: str) -> object:
    spec = importlib.util.spec_from_file_location(f"problem_of_{task_name}", path)
    if spec is None or spec.loader is None:
        raise TaskFault(cause=f"{path} is not a Python file", hint="see ARCHITECTURE.md, «A task folder»")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # boundary: whatever a task author's file raises is the task folder's fault
        raise TaskFault(cause=f"{path} cannot be run: {error!r}", hint="fix the file; it needs numpy alone") from error
    for name in ("make", "score"):
        if not callable(getattr(module, name, None)):
            raise TaskFault(cause=f"{path} has no function {name}", hint=f"define {name}; see ARCHITECTURE.md")
    return module


def fresh_seed() -> int:
    """A seed that nobody can have known: 128 bits from the operating system."""
    return secrets.randbits(SEED_BITS)


def generate(problem: Problem, task: Task, scale: str, seed: int) -> Case:
    """The case of a seed, checked against what task.toml declares.

    Raises:
        TaskFault: problem.py failed, or made other arrays than task.toml declares.
    """
    sizes = task.scale(scale).sizes
    try:
        case = problem.make(seed, sizes)
    except Exception as error:  # boundary: whatever a task author's file raises is the task folder's fault
        raise TaskFault(
            cause=f"make of problem.py of {task.name} failed: {error!r} (seed {seed:#x})", hint="fix the file"
        ) from error
    declared = task.input_arrays(scale)
    if set(case.inputs) != {array.name for array in declared}:
        raise TaskFault(
            cause=f"problem.py of {task.name} makes {sorted(case.inputs)}, [inputs] declares "
            f"{sorted(array.name for array in declared)}",
            hint="let both name the same arrays",
        )
    for array in declared:
        _check_array(task.name, array, case.inputs[array.name])
    return case


def _check_array(task_name: str, declared: Array, made: NDArray[np.generic]) -> None:
    if made.dtype != np.dtype(declared.dtype) or made.shape != declared.shape:
        raise TaskFault(
            cause=f"problem.py of {task_name} makes {declared.name} as {made.dtype}{list(made.shape)}, task.toml "
            f"declares {declared.dtype}{list(declared.shape)}",
            hint="let both agree",
        )


def to_bytes(case: Case, declared: tuple[Array, ...]) -> bytes:
    """The inputs as raw little-endian bytes, one array after the other in the order of task.toml."""
    return b"".join(
        np.ascontiguousarray(case.inputs[array.name], dtype=np.dtype(array.dtype).newbyteorder("<")).tobytes()
        for array in declared
    )
