"""A task's problem.py on what a guest answered: whatever its functions do there is one run's outcome, and no other's. Pure.

A problem.py is trusted, and can be wrong: it may raise on an answer that its author did not think of, or say something that
is no verdict. Each function that gets an answer is called through here, so that there are two ways for it to fail, and no
third: `BadAnswer`, by which it takes the answer for none, and `NotJudged`, which is the task's fault. Numbers so large that
what is computed from them overflows, or infinitely bad ones, are the answer's doing: whoever answers chooses them.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.faults import InfrastructureFault
from runner.tasks.authoring import BadAnswer
from runner.tasks.authors_code import usual_warnings
from runner.tasks.problem import FAILURES, Problem

# Past it a quality is taken for this: what is made of such numbers, a mean or a variance, is finite, too. chosen.
QUALITY_MAX = 1e100
# Power of the largest value of its type past which a number is too large where what is computed from it is no number.
# numpy does not say of every overflow that there was one: `einsum` does not. chosen: a product of four such numbers
# overflows, and so may a long sum of smaller products.
LARGE_POWER = 0.25
TEXT_MAX = 2000  # characters of what an author's exception says; chosen, as of a guest's words


class NotFinite(ValueError):
    """What a function gave is no number.

    Attributes:
        is_worst: it is minus infinity: no answer could be worse, and nothing is wrong with the function.
    """

    def __init__(self, said: str, *, is_worst: bool = False) -> None:
        super().__init__(said)
        self.is_worst = is_worst


class NotJudged(Exception):
    """A function of problem.py failed on an answer, or gave something that it may not give.

    Attributes:
        function: its name in `Problem`.
        said: what it raised or gave.
    """

    def __init__(self, function: str, said: str) -> None:
        super().__init__(f"{function} of problem.py failed on an answer: {said}"[:TEXT_MAX])
        self.function, self.said = function, said

    def fault(self, task: str) -> InfrastructureFault:
        """As a fault, which names the task."""
        return InfrastructureFault(
            cause=f"{self.function} of problem.py of {task} failed on an answer: {self.said}"[:TEXT_MAX],
            hint="fix problem.py; for an answer that does not have the form it reads, let it raise BadAnswer",
        )


def guarded(problem: Problem) -> Problem:
    """The same functions; those that get an answer give what they must, or raise BadAnswer or NotJudged."""
    name = "judge" if getattr(problem.score, "__name__", "") == "judge" else "score"  # a program's
    return replace(
        problem,
        score=_guard(name, problem.score, _qualities),
        agreement=problem.agreement and _guard("agreement", problem.agreement, _share),
        judge_control=problem.judge_control and _guard("judge_control", problem.judge_control, _reason),
        witness=problem.witness and _guard("witness", problem.witness, _reason),
        degenerate=problem.degenerate and _guard("degenerate", problem.degenerate, _reason),
    )


def _guard(name: str, function: Callable[..., Any], check: Callable[[Any], Any]) -> Callable[..., Any]:
    def called(*arguments: Any) -> Any:
        overflows: list[str] = []
        try:
            with np.errstate(over="call", call=lambda kind, _: overflows.append(kind)), usual_warnings():
                return check(function(*arguments))
        except (BadAnswer, NotJudged):
            raise
        except OverflowError as error:
            raise BadAnswer(f"its values are too large for {name} of problem.py: {error}") from error
        except NotFinite as error:
            if overflows or error.is_worst or _are_large(arguments):
                raise BadAnswer(f"its values are too large, or too bad, for {name} of problem.py: {error}") from error
            raise NotJudged(name, repr(error)) from error
        except (ArithmeticError, ValueError) as error:
            if overflows:  # what came of it is infinite, or no number, and cannot be computed with
                raise BadAnswer(f"its values are too large for {name} of problem.py: {error}") from error
            raise NotJudged(name, repr(error)) from error
        except FAILURES as error:  # boundary: a task author's file, on what a guest answered
            raise NotJudged(name, repr(error)) from error

    return called


def _are_large(arguments: tuple[Any, ...]) -> bool:
    """Whether an answer among a function's arguments holds numbers whose products overflow."""
    arrays = [array for answer in arguments if isinstance(answer, Mapping) for array in answer.values()]
    return any(
        float(np.abs(array).max(initial=0.0)) > float(np.finfo(array.dtype).max) ** LARGE_POWER
        for array in arrays
        if array.dtype.kind == "f"
    )


def _qualities(value: Any) -> NDArray[np.float64]:
    items = np.asarray(value, dtype=np.float64)
    said = f"it gave {items.dtype}{list(items.shape)}, one finite value an item is asked for"
    if items.ndim != 1 or not len(items):
        raise ValueError(said)
    if not np.isfinite(items).all():
        raise NotFinite(said, is_worst=not np.isnan(items).any() and not np.isposinf(items).any())
    return np.clip(items, -QUALITY_MAX, QUALITY_MAX)


def _share(value: Any) -> float:
    share = float(value)
    if not math.isfinite(share):
        raise NotFinite(f"it gave {share}, a share from 0 to 1 is asked for")
    return share


def _reason(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"it gave a {type(value).__name__}, a text or None is asked for")
    return value
