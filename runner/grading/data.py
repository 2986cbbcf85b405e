"""The data of one round, in the permutations in which containers get them.

The samples of a round share one data set. Where the task can say how (`rearrange`), each sample of a candidate gets its
items in another order, so that what one sample has seen is of no use to the next, and answers can be compared with each
other. A control is the same data with what there is to learn taken out of it (`control`): a submission that still knows
the answers has them from elsewhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from runner.faults import TaskFault
from runner.tasks.kinds import call_of
from runner.tasks.problem import Case, Problem, generate, made_case, to_bytes
from runner.tasks.task import Task

REARRANGE, CONTROL, CONTROL_POSITION = 1, 2, 3  # what random numbers derived from a round's seed are for


@dataclass(frozen=True, slots=True)
class Permutation:
    """A round's data with its items in one order.

    Attributes:
        order: (n_items,); item i is item order[i] of the identity. None for the identity itself.
        inputs: as a container gets them: raw bytes, array after array.
    """

    case: Case
    order: NDArray[np.int64] | None
    inputs: bytes

    def in_identity_order(self, per_item: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values of this permutation's items, (n_items,), in the order of the identity."""
        if self.order is None:
            return per_item
        values = np.empty_like(per_item)
        values[self.order] = per_item
        return values


@dataclass(frozen=True, slots=True)
class RoundData:
    """All data of one round.

    Attributes:
        seed: 128 bits; everything here follows from it.
        permutations: the identity first; sample k of a candidate gets permutations[k].
        control: the identity's order with nothing to learn; None where the task has no control.
    """

    seed: int
    permutations: tuple[Permutation, ...]
    control: Permutation | None

    @property
    def identity(self) -> Permutation:
        """The data in the order in which the task made them; what baseline and sentinel get."""
        return self.permutations[0]


def derived_rng(seed: int, purpose: int) -> np.random.Generator:
    """Random numbers that follow from a round's seed, for one purpose (REARRANGE, CONTROL, CONTROL_POSITION)."""
    return np.random.default_rng(np.random.SeedSequence([seed, purpose]))


def generate_round(problem: Problem, task: Task, scale: str, seed: int, count: int) -> RoundData:
    """The data of a round in `count` permutations; without `rearrange` all of them are the identity.

    Raises:
        TaskFault: problem.py failed, or made other arrays than task.toml declares.
    """
    declared = task.input_arrays(scale)
    case = generate(problem, task, scale, seed)

    def pack(case: Case, order: NDArray[np.int64] | None) -> Permutation:
        return Permutation(case, order, to_bytes(case, declared))

    def made(function: str, make: Callable[[], Case]) -> Case:
        return made_case(task, scale, function, seed, make)

    permutations = [pack(case, None)]
    rng, items = derived_rng(seed, REARRANGE), _item_count(case if problem.calls == 1 else call_of(case, 0))
    if problem.rearrange is not None and not items:
        raise TaskFault(
            cause=f"problem.py of {task.name} defines rearrange, and what make hides has no items to put in an order",
            hint="give `hidden` an array whose first axis is the items, or remove rearrange and agreement",
        )
    for _ in range(1, count):
        if problem.rearrange is None:
            permutations.append(permutations[0])
            continue
        order = rng.permutation(items)
        permutations.append(pack(made("rearrange", partial(problem.rearrange, case, order)), order))
    control = None
    if problem.control is not None:
        control = pack(made("control", partial(problem.control, case, derived_rng(seed, CONTROL))), None)
    return RoundData(seed, tuple(permutations), control)


def _item_count(case: Case) -> int:
    return max(len(np.atleast_1d(array)) for array in case.hidden.values()) if case.hidden else 0
