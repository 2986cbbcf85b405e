"""What a task's data give away before anything runs on them. Pure, but for the task's own problem.py."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from runner.faults import TaskFault
from runner.grading.data import generate_round
from runner.job.task_check.remark import Remark, of_fault
from runner.tasks.authoring import BadAnswer, Case
from runner.tasks.kinds import TEXT, folders_of, of_bytes
from runner.tasks.problem import FAILURES, REPEATABLE, Problem, changed_arrays, generate
from runner.tasks.task import Array, Task

# Share of rows that may be found again elsewhere. chosen: rows of a few small integers meet by chance, and a task on which
# one item in a hundred could be looked up is not decided by it.
SHARED_ROWS_MAX = 0.01
# Constants that an answer may consist of, where they lie in its range. chosen: what an empty attempt returns.
CONSTANTS = (0.0, 1.0)
NUMBERS = "biufO"  # kinds of numpy's types that a quality may have
Arrays = Mapping[str, NDArray[np.generic]]


def make_cases(problem: Problem, task: Task, scale: str, seeds: Sequence[int]) -> tuple[list[Case], list[Remark]]:
    """The data sets of some seeds, and what stands in the way of having them."""
    try:
        cases = [generate(problem, task, scale, seed) for seed in seeds]
        again = generate(problem, task, scale, seeds[0])
        generate_round(problem, task, scale, seeds[0], count=2)  # what rearrange and control make of it
        others = [(name, generate(problem, task, name, seeds[0])) for name in task.file.scales if name != scale]
    except TaskFault as fault:
        return [], [of_fault("data", fault)]
    remarks = [*repeated(cases[0], again), *different(cases)]
    remarks.append(Remark("scales", "ok", f"data are made at {', '.join([scale, *(name for name, _ in others)])}"))
    return cases, remarks


def digest(array: NDArray[np.generic]) -> str:
    """sha256 of an array's form and values."""
    form = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(form + np.ascontiguousarray(array).tobytes()).hexdigest()


def repeated(first: Case, again: Case) -> Iterator[Remark]:
    """Whether one seed gives one data set."""
    changed = changed_arrays(first, again)
    if changed:
        yield Remark("same seed", "fault", f"make gives other data for the same seed: {', '.join(changed)}", REPEATABLE)
    else:
        yield Remark("same seed", "ok", "gives the same data")


def different(cases: Sequence[Case]) -> Iterator[Remark]:
    """Whether other seeds give other data, and other hidden values: what never changes can be stored in a file."""
    inputs = {tuple(digest(array) for _, array in sorted(case.inputs.items())) for case in cases}
    if len(inputs) < len(cases):
        text = f"{len(cases)} seeds give {len(inputs)} different sets of inputs"
        yield Remark("other seeds", "fault", text, "draw the inputs from the seed")
    still = [name for name, array in cases[0].hidden.items() if _stays(digest(array), name, cases)]
    if still:
        text = f"hidden values are the same for every seed: {', '.join(still)}; a submission can store them"
        yield Remark("other seeds", "fault", text, "let what is hidden follow from the seed")
    if not still and len(inputs) == len(cases):
        yield Remark("other seeds", "ok", f"{len(cases)} seeds give {len(cases)} different data sets")


def _stays(first: str, name: str, cases: Sequence[Case]) -> bool:
    """Whether hidden values are the same in all cases; one that some of them have not is not."""
    return all(name in case.hidden and digest(case.hidden[name]) == first for case in cases)


def leaks(cases: Sequence[Case]) -> Iterator[Remark]:
    """Whether hidden values stand among the inputs, rows of one input in another, or rows of one data set in the next."""
    first, second = cases[0], cases[1]
    inputs = {digest(array): name for name, array in first.inputs.items()}  # once each: a program may have many cases
    shown = [
        f"{hidden} is the input {inputs[found]}"
        for hidden, values in first.hidden.items()
        if values.size > 1 and (found := digest(values)) in inputs
    ]
    if shown:
        yield Remark(
            "hidden values", "fault", f"stand among the inputs: {'; '.join(shown)}", "leave them out of inputs"
        )
    else:
        yield Remark("hidden values", "ok", "none stands among the inputs")
    yield from _shared_rows(
        "test rows", _within(first), "draw training and test rows apart: the answers stand beside them"
    )
    yield from _shared_rows(
        "rows of other seeds",
        _across(first, second),
        "draw rows again for each seed: what returns can be stored in a file",
    )


def _within(case: Case) -> Iterator[tuple[str, float]]:
    """Pairs of inputs whose rows have one form, and the share of the shorter one's rows that stand in the other."""
    names = [name for name, array in case.inputs.items() if array.ndim > 1]
    for place, name in enumerate(names):
        for other in names[place + 1 :]:
            one, two = sorted((case.inputs[name], case.inputs[other]), key=len)
            if one.dtype == two.dtype and one.shape[1:] == two.shape[1:]:
                yield f"{name} and {other}", shared_share(one, two)


def _across(first: Case, second: Case) -> Iterator[tuple[str, float]]:
    """Inputs that change with the seed, and the share of their rows that another seed's have, too."""
    for name, array in first.inputs.items():
        other = second.inputs.get(name)  # a file may be called after its seed
        if array.ndim > 1 and other is not None and digest(array) != digest(other):
            yield name, shared_share(other, array)


def shared_share(rows: NDArray[np.generic], among: NDArray[np.generic]) -> float:
    """Share of the rows, 0 to 1, that stand among others, byte for byte."""
    known = {row.tobytes() for row in np.ascontiguousarray(among)}
    return sum(row.tobytes() in known for row in np.ascontiguousarray(rows)) / max(1, len(rows))


def _shared_rows(check: str, pairs: Iterator[tuple[str, float]], fix: str) -> Iterator[Remark]:
    found = [(name, share) for name, share in pairs if share > SHARED_ROWS_MAX]
    if found:
        yield Remark(
            check, "fault", "; ".join(f"{100 * share:.0f} % of the rows of {name} return" for name, share in found), fix
        )
    else:
        yield Remark(check, "ok", "no rows return")


def fits(task: Task, scale: str, sample_bytes: int) -> Iterator[Remark]:
    """Whether a data set fits into what a container has.

    Args:
        sample_bytes: of the sample file, as the agent finds it.
    """
    limits = task.file.limits
    arrays = sum(array.nbytes for array in (*task.input_arrays(scale), *task.answer_arrays(scale)))
    # chosen: raw bytes, the arrays made of them, the answer, and as much again for the work.
    if 4 * arrays > limits.memory:
        text = f"inputs and answer have {arrays} bytes, limits.memory is {limits.memory}"
        yield Remark("limits", "fault", text, "raise limits.memory to four times their size, or make the scale smaller")
    if sample_bytes > limits.workspace:
        text = f"the workspace's files have {sample_bytes} bytes, limits.workspace is {limits.workspace}"
        yield Remark("limits", "fault", text, "raise limits.workspace, or take the sample data at a smaller scale")


def furnishes(task: Task, files: Sequence[tuple[str, bytes]]) -> Iterator[Remark]:
    """Whether one workspace can hold all files that an agent finds.

    Args:
        files: (path in the workspace, content) of each.
    """
    names = [name for name, _ in files]
    known = set(names)
    twice = sorted({name for name in names if names.count(name) > 1} if len(known) < len(names) else ())
    if twice:
        text = f"{', '.join(twice)} is put there twice"
        yield Remark("workspace", "fault", text, "give the starter, the sample data and each file a name of its own")
    if both := sorted({folder for name in known for folder in folders_of(name)} & known):
        text = f"{', '.join(both)} would be a file and a folder"
        yield Remark("workspace", "fault", text, "give the starter, the sample data and each file a name of its own")
    size, most = sum(len(content) for _, content in files), task.file.limits.workspace
    if size > most and task.kind != "python":  # of these a container says so, with what else does not fit
        text = f"the workspace's files have {size} bytes, limits.workspace is {most}"
        yield Remark("workspace", "fault", text, "raise limits.workspace, or let the agent find less")


# Answers that nobody worked for


def answers_without_work(task: Task, scale: str, case: Case) -> Iterator[tuple[str, Arrays]]:
    """(what it is, answer) for each answer that nobody worked for, by the kind of call."""
    if task.kind == "program":
        yield "no output", {name: of_bytes(b"") for name in case.inputs}
        yield "its own input", case.inputs
    elif task.kind == "answer" and task.file.call.form == "text":
        yield "an empty text", {TEXT: of_bytes(b"")}
    else:
        yield from constant_answers(task.answer_arrays(scale))


def constant_answers(declared: Sequence[Array]) -> Iterator[tuple[str, dict[str, NDArray[np.generic]]]]:
    """(what it is, answer) for each constant that lies in the range of all arrays; a bound where neither 0 nor 1 does."""
    for value in CONSTANTS:
        yield (
            f"all {value:g}",
            {array.name: np.full(array.shape, _within_range(array, value), array.dtype) for array in declared},
        )


def _within_range(array: Array, value: float) -> float:
    low = -np.inf if array.low is None else array.low
    high = np.inf if array.high is None else array.high
    return float(min(max(value, low), high))


def qualities_of_constants(
    problem: Problem, task: Task, scale: str, case: Case
) -> tuple[dict[str, float], list[Remark]]:
    """The mean quality of each constant answer, and what is wrong with `score`."""
    found: dict[str, float] = {}
    for name, answer in answers_without_work(task, scale, case):
        try:
            items = np.asarray(problem.score(case, answer))
            values = items.astype(np.float64) if items.dtype.kind in NUMBERS else np.full(1, np.nan)
        except BadAnswer:
            found[name] = 0.0
            continue
        except FAILURES as error:  # boundary: whatever a task author's file raises is the task folder's fault
            return {}, [
                Remark(
                    "score", "fault", f"score of problem.py failed on an answer of {name}: {error!r}", "fix the file"
                )
            ]
        if items.ndim != 1 or not len(items) or not np.isfinite(values).all():
            text = f"score gives {items.dtype}{list(items.shape)} for an answer of {name}"
            return {}, [Remark("score", "fault", text, "return one finite value an item, as a vector")]
        found[name] = float(values.mean())
    return found, [Remark("score", "ok", "gives one finite value an item")]
