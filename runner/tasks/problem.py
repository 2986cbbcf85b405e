"""A task's problem.py, loaded once and checked; and a case: the data of one round, made from a fresh seed.

A task's `problem.py` is trusted: it runs on the host, with numpy alone. It makes the inputs that a container gets, and the
hidden part (the labels) that never leaves the host; and it says how good an answer is, item by item. What it may define is
what `Problem` holds; another public name is an error, since a misspelt check would be a check that is silently off.
"""

import difflib
import hashlib
import importlib.util
import inspect
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NewType, get_origin

import numpy as np
from numpy.typing import NDArray

from runner.faults import TaskFault
from runner.tasks.authoring import Answer as Answer
from runner.tasks.authoring import Case as Case
from runner.tasks.authoring import Order as Order
from runner.tasks.authors_code import of_author, prints_aside, undisturbed
from runner.tasks.kinds import FUNCTIONS, adapt, required_functions
from runner.tasks.task import REFERENCE, Array, Task

# What an author's file may raise. With SystemExit, whose status would be taken for the runner's own: 0 says that all is
# well. Not KeyboardInterrupt, which is the user's.
FAILURES = (Exception, SystemExit)
NAME_DIGITS = 16  # of its path's digest: two tasks of one name are two modules
SEED_BITS = 128  # nobody can guess or enumerate them
# Share of its items that an answer must keep in another order, unless problem.py says otherwise. The flagship's baseline,
# trained in float32, keeps 99.3 %; an answer that depends on the order, and not on the item, keeps about 1 / classes.
AGREEMENT_MIN_DEFAULT = 0.97
# A name this similar to a known one (difflib's ratio) is taken for a misspelling of it. For a function, which is an error
# in any case, difflib's usual bound; for a value, which may be the author's own, a strict one (chosen: a name of six
# letters with one more, one less or two swapped has 0.83 and over).
FUNCTION_RATIO, VALUE_RATIO = 0.6, 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What a problem.py defines; `None` where it leaves an optional check out.

    Attributes:
        make: (seed, sizes) -> the data set of a seed (128 bits), for the sizes of a scale.
        score: (case, answer) -> (n_items,), one quality value per item; higher is better.
        rearrange: (case, order) -> the same case, whose item i is item order[i]; order is (n_items,). Needs `agreement`.
        agreement: (answer, rearranged, order) -> share of the items, 0 to 1, that have the same answer in both.
        control: (case, rng) -> a case of the same form in which there is nothing to learn. Needs `judge_control`.
        judge_control: (case, answer, control, control_answer) -> why these are not honest answers, or None.
        witness: (case, answer) -> why the answer does not follow from its own evidence, or None.
        degenerate: (case, answer) -> what makes the answer no attempt at all, or None.
        agreement_min: the share that `agreement` must reach; `AGREEMENT_MIN` in the file.
        calls: how many a sample has. With more than one, every array has an axis for them in front.
    """

    make: Callable[[int, Mapping[str, int]], Case]
    score: Callable[[Case, Answer], NDArray[np.float64]]
    rearrange: Callable[[Case, Order], Case] | None = None
    agreement: Callable[[Answer, Answer, Order], float] | None = None
    control: Callable[[Case, np.random.Generator], Case] | None = None
    judge_control: Callable[[Case, Answer, Case, Answer], str | None] | None = None
    witness: Callable[[Case, Answer], str | None] | None = None
    degenerate: Callable[[Case, Answer], str | None] | None = None
    agreement_min: float = AGREEMENT_MIN_DEFAULT
    calls: int = 1


# The parameters of each function, by the names that the documentation gives them.
PARAMETERS = {
    "make": ("seed", "sizes"),
    "score": ("case", "answer"),
    "rearrange": ("case", "order"),
    "agreement": ("answer", "rearranged", "order"),
    "control": ("case", "rng"),
    "judge_control": ("case", "answer", "control", "control_answer"),
    "witness": ("case", "answer"),
    "degenerate": ("case", "answer"),
}
# With those of tasks of other kinds.
ALL_PARAMETERS = {**PARAMETERS, "judge": ("cases", "outputs")}
REQUIRED = ("make", "score")
CONSTANTS = ("AGREEMENT_MIN",)
# The one is of no use without the other.
NEEDS = {
    "rearrange": "agreement",
    "agreement": "rearrange",
    "control": "judge_control",
    "judge_control": "control",
    "AGREEMENT_MIN": "agreement",
}


def load_problem(task: Task) -> Problem:
    """The task's trusted problem.py, its functions resolved once.

    Raises:
        TaskFault: the file cannot be run, lacks `make` or `score`, defines a public name that is not known, a function
            with other parameters, or one of two functions that need each other.
    """
    if task.kind == "tests":  # there is no data, and a script says how good the work is
        return Problem(make=lambda seed, sizes: Case({}, {}), score=lambda case, answer: np.zeros(0))
    path = task.folder / "problem.py"
    module = _run_module(path, task.name)
    _check_names(path, module)
    kind = task.file.call.kind
    allowed = FUNCTIONS.get(kind, (*PARAMETERS, *CONSTANTS))
    for name in (*ALL_PARAMETERS, *CONSTANTS):
        if hasattr(module, name) and name not in allowed:
            raise TaskFault(
                cause=f"{path} defines {name}, which a task of kind {kind} has no use for",
                hint=f"remove it; such a task may define {', '.join(allowed)}",
            )
    defined = {name: getattr(module, name) for name in allowed if hasattr(module, name)}
    for name in required_functions(task.file.call):
        if name not in defined:
            raise TaskFault(cause=f"{path} has no function {name}", hint=f"define {_call(name)}; see {REFERENCE}")
    for name, needed in NEEDS.items():
        if name in defined and needed not in defined:
            raise TaskFault(
                cause=f"{path} defines {name} without {needed}", hint=f"define {_call(needed)}, or remove {name}"
            )
    for name, value in defined.items():
        _check_value(path, name, value)
    defined = {name: of_author(value) if callable(value) else value for name, value in defined.items()}
    agreement_min = float(defined.pop("AGREEMENT_MIN", AGREEMENT_MIN_DEFAULT))
    return Problem(**adapt(task.file.call, defined), agreement_min=agreement_min, calls=task.file.call.repeat)


class _Uncached(SourceFileLoader):
    """Compiles a file each time: Python's cache sees no change within a second, and would lie in the task's folder."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _run_module(path: Path, task_name: str) -> ModuleType:
    name = f"problem_of_{task_name}_{hashlib.sha256(os.fsencode(path)).hexdigest()[:NAME_DIGITS]}"
    loader = _Uncached(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    # Registered: dataclasses and pickle look there.
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        with prints_aside(), undisturbed():
            loader.exec_module(module)
    except FAILURES as error:  # boundary: whatever a task author's file raises is the task folder's fault
        sys.modules.pop(name, None)
        raise TaskFault(cause=f"{path} cannot be run: {error!r}", hint="fix the file; it needs numpy alone") from error
    return module


def _check_names(path: Path, module: ModuleType) -> None:
    """Refuse public names that nothing would ever read.

    A function that the file itself defines must be a known one, or private. Anything else, such as an import, a class, an
    alias or a constant, is the author's own, unless its name is nearly a known one.
    """
    for name, value in vars(module).items():
        if name.startswith("_") or name in ALL_PARAMETERS or name in CONSTANTS:
            continue
        is_own = _is_function_of(module, value)
        near = _nearest(name, value, FUNCTION_RATIO if is_own else VALUE_RATIO)
        if not is_own and (
            near is None or inspect.isroutine(value) or _is_type(value) or isinstance(value, ModuleType)
        ):
            continue
        guess = f"known are {', '.join((*ALL_PARAMETERS, *CONSTANTS))}" if near is None else f"did you mean {near!r}?"
        raise TaskFault(
            cause=f"{path} defines {name!r}, which is not a name that a problem.py may define",
            hint=f"{guess} (the name of a helper begins with an underscore: _{name})",
        )


def _is_type(value: object) -> bool:
    """Whether it is a class, or stands for types: an alias such as `dict[str, float]`, or a NewType."""
    return isinstance(value, type | NewType) or get_origin(value) is not None


def _nearest(name: str, value: object, ratio: float) -> str | None:
    """The known name that this one is probably meant to be."""
    known = list(ALL_PARAMETERS) if callable(value) else list(CONSTANTS)
    near = difflib.get_close_matches(name if callable(value) else name.upper(), known, n=1, cutoff=ratio)
    return near[0] if near else None


def _is_function_of(module: ModuleType, value: object) -> bool:
    """Whether the file itself defines it, bare or decorated."""
    function = inspect.unwrap(value) if callable(value) else value
    return inspect.isfunction(function) and function.__module__ == module.__name__


def _check_value(path: Path, name: str, value: Any) -> None:
    if name in CONSTANTS:
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 1:
            raise TaskFault(cause=f"{path}: {name} = {value!r}", hint="give a share over 0 and up to 1")
        return
    if not callable(value):
        raise TaskFault(cause=f"{path}: {name} is not a function", hint=f"define {_call(name)}; see {REFERENCE}")
    try:
        inspect.signature(value).bind(*ALL_PARAMETERS[name])
    except TypeError as error:
        raise TaskFault(
            cause=f"{path}: {name}{inspect.signature(value)} cannot be called as {_call(name)}: {error}",
            hint=f"let it take {len(ALL_PARAMETERS[name])} arguments; see {REFERENCE}",
        ) from error
    except ValueError:  # a builtin without a signature
        return


def _call(name: str) -> str:
    return f"{name}({', '.join(ALL_PARAMETERS[name])})"


def fresh_seed() -> int:
    """A seed that nobody can have known: 128 bits from the operating system."""
    return secrets.randbits(SEED_BITS)


def generate(problem: Problem, task: Task, scale: str, seed: int) -> Case:
    """The case of a seed at a scale, checked against what task.toml declares.

    Raises:
        TaskFault: problem.py failed, or made other arrays than task.toml declares.
    """
    sizes = dict(task.scale(scale).sizes)  # a copy: an author's function may change what it gets
    return made_case(task, scale, "make", seed, lambda: problem.make(seed, sizes))


def made_case(task: Task, scale: str, function: str, seed: int, make: Callable[[], Case]) -> Case:
    """The case that a function of problem.py makes, checked as `generate` does.

    Args:
        function: its name.
        seed: of the data that it makes or changes.

    Raises:
        TaskFault: it failed, or made something other than a case, or other arrays than task.toml declares.
    """
    try:
        case = make()
    except FAILURES as error:  # boundary: whatever a task author's file raises is the task folder's fault
        raise TaskFault(
            cause=f"{function} of problem.py of {task.name} failed: {error!r} (seed {seed:#x})", hint="fix the file"
        ) from error
    if (wrong := _misfit(case)) is not None:
        raise TaskFault(
            cause=f"{function} of problem.py of {task.name} gives {wrong} (seed {seed:#x})",
            hint=f"give what runner.tasks has for it, with arrays of numpy by name; see {REFERENCE}",
        )
    if task.kind == "python":
        _check_inputs(task, scale, case)
    return case


def _misfit(case: object) -> str | None:
    """Why something is no case; None: it is one."""
    if not isinstance(case, Case):
        return f"a {type(case).__name__} where a Case is asked for"
    for part, arrays in case._asdict().items():
        if not isinstance(arrays, Mapping):
            return f"{part} as a {type(arrays).__name__}, a dict is asked for"
        for name, array in arrays.items():
            if not isinstance(name, str):
                return f"{part} with the key {name!r}, a name is asked for"
            if not isinstance(array, np.ndarray | np.generic) or array.dtype.hasobject:
                found = "an array of Python objects" if hasattr(array, "dtype") else f"a {type(array).__name__}"
                return f"{part}[{name!r}] as {found}, an array of plain values is asked for"
    return None


def _check_inputs(task: Task, scale: str, case: Case) -> None:
    declared = task.input_arrays(scale)
    if set(case.inputs) != {array.name for array in declared}:
        raise TaskFault(
            cause=f"problem.py of {task.name} makes {sorted(case.inputs)}, [inputs] declares "
            f"{sorted(array.name for array in declared)}",
            hint="name the same arrays in both",
        )
    for array in declared:
        _check_array(task.name, array, case.inputs[array.name])


def changed_arrays(first: Case, again: Case) -> list[str]:
    """Names of the arrays, inputs before hidden ones, that differ between two cases in form or values."""
    return [
        name
        for one, other in zip(first, again, strict=True)
        for name in sorted(one.keys() | other.keys())
        if name not in one or name not in other or not _is_same(one[name], other[name])
    ]


def _is_same(one: NDArray[np.generic], other: NDArray[np.generic]) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


REPEATABLE = "draw everything from generators(seed, count) of runner.tasks, nothing from the clock or a global one"


def check_repeats(problem: Problem, task: Task) -> None:
    """Check, at the smallest scale, that one seed gives one data set: a grading could not be replayed otherwise.

    Raises:
        TaskFault: it does not, or problem.py failed.
    """
    scale = min(task.file.scales, key=lambda name: sum(array.nbytes for array in task.input_arrays(name)))
    seed = fresh_seed()
    changed = changed_arrays(generate(problem, task, scale, seed), generate(problem, task, scale, seed))
    if changed:
        path = task.folder / "problem.py"
        raise TaskFault(cause=f"{path}: make gives other data for the same seed: {', '.join(changed)}", hint=REPEATABLE)


def _check_array(task_name: str, declared: Array, array: NDArray[np.generic]) -> None:
    if array.dtype != np.dtype(declared.dtype) or array.shape != declared.shape:
        raise TaskFault(
            cause=f"problem.py of {task_name} makes {declared.name} as {array.dtype}{list(array.shape)}, task.toml "
            f"declares {declared.dtype}{list(declared.shape)}",
            hint="change one of them",
        )


def to_bytes(case: Case, declared: tuple[Array, ...]) -> bytes:
    """The inputs as raw little-endian bytes, one array after the other in the order of task.toml."""
    return b"".join(
        np.ascontiguousarray(case.inputs[array.name], dtype=np.dtype(array.dtype).newbyteorder("<")).tobytes()
        for array in declared
    )
