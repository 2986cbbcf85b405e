"""The data of one round in the forms in which containers get them.

The samples of a round share one data set. Where the task can say how (`rearrange`), each gets its items in an order of its
own, so that what one sample has seen is of no use to the next, and answers can be held against each other. A control is
the same data with what there is to learn taken out of it (`control`): whoever still knows the answers has them from
elsewhere.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runner.tasks.problem import Case, Problem, generate, to_bytes
from runner.tasks.task import Task

REARRANGE, CONTROL, PLACES = 1, 2, 3  # what a child of a round's seed is for


@dataclass(frozen=True, slots=True)
class Permutation:
    """One form of a round's data.

    Attributes:
        order: item i of this form is item order[i] of the plain one; None where the order is the plain one.
        inputs: as a container gets them.
    """

    case: Case
    order: NDArray[np.int64] | None
    inputs: bytes

    def plain(self, per_item: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values of this form's items in the plain order."""
        if self.order is None:
            return per_item
        found = np.empty_like(per_item)
        found[self.order] = per_item
        return found


@dataclass(frozen=True, slots=True)
class RoundData:
    """All forms of one round.

    Attributes:
        forms: the plain one first; sample k of a candidate gets forms[k].
        control: None where the task has none.
    """

    seed: int
    forms: tuple[Permutation, ...]
    control: Permutation | None

    @property
    def plain(self) -> Permutation:
        """What baseline and sentinel get."""
        return self.forms[0]


def child(seed: int, purpose: int) -> np.random.Generator:
    """Random numbers that follow from a round's seed, for one purpose."""
    return np.random.default_rng(np.random.SeedSequence([seed, purpose]))


def generate_round(problem: Problem, task: Task, scale: str, seed: int, count: int) -> RoundData:
    """The data of a round with `count` forms.

    Raises:
        TaskFault: problem.py made other arrays than task.toml declares.
    """
    declared = task.input_arrays(scale)
    case = generate(problem, task, scale, seed)

    def form(made: Case, order: NDArray[np.int64] | None) -> Permutation:
        return Permutation(made, order, to_bytes(made, declared))

    forms = [form(case, None)]
    rearrange, control = getattr(problem, "rearrange", None), getattr(problem, "control", None)
    draw, items = child(seed, REARRANGE), _items(problem, case)
    for _ in range(1, count):
        if rearrange is None:
            forms.append(forms[0])
            continue
        order = draw.permutation(items)
        forms.append(form(rearrange(case, order), order))
    twin = None if control is None else form(control(case, child(seed, CONTROL)), None)
    return RoundData(seed, tuple(forms), twin)


def _items(problem: Problem, case: Case) -> int:
    return max(len(np.atleast_1d(array)) for array in case.hidden.values()) if case.hidden else 0
