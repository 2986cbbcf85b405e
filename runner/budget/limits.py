"""What may still be spent, by an episode and by a job. Pure.

An episode's limits are looked at before each turn. A job's dollars are reserved: before a turn is sent, the most that it
can cost is set aside, so that episodes side by side cannot spend the same dollar; what it did not cost comes back.
"""

from dataclasses import dataclass, replace
from typing import TypeVar

from runner.records.episode import Limits, Spent

Number = TypeVar("Number", int, float)

# The names of an episode's limits, as they are recorded where they end it; and the job's.
LIMITS = ("turns", "output tokens", "tokens", "dollars", "wall clock", "working time")
JOB_DOLLARS = "the job's dollars"


class BudgetExceeded(Exception):
    """A limit ended the episode before its next turn; no fault, and none of the agent's answers.

    Attributes:
        limit: its name, as it is recorded.
    """

    def __init__(self, limit: str) -> None:
        super().__init__(limit)
        self.limit = limit


def left(limits: Limits, spent: Spent) -> Limits:
    """What remains of each limit, never below nothing."""
    return Limits(
        turns=_less(limits.turns, spent.turns),
        output_tokens=_less(limits.output_tokens, spent.usage.output),
        tokens=_less(limits.tokens, spent.usage.total),
        dollars=_less(limits.dollars, spent.dollars),
        wall_s=_less(limits.wall_s, spent.wall_s),
        working_s=_less(limits.working_s, spent.working_s),
    )


def _less(limit: Number | None, used: Number) -> Number | None:
    return None if limit is None else max(type(limit)(0), limit - used)


def reached(remaining: Limits) -> str | None:
    """The name of a limit of which nothing is left; None while there is some of each."""
    values = (
        remaining.turns, remaining.output_tokens, remaining.tokens, remaining.dollars, remaining.wall_s,
        remaining.working_s,
    )  # fmt: skip
    pairs = zip(LIMITS, values, strict=True)
    return next((name for name, value in pairs if value is not None and value <= 0), None)


def in_words(remaining: Limits) -> str:
    """What is left, as every tool result shows it."""
    parts = (
        (remaining.turns, "{} turns"),
        (remaining.working_s, "{:.0f} s of work"),
        (remaining.wall_s, "{:.0f} s"),
        (remaining.output_tokens, "{} output tokens"),
        (remaining.tokens, "{} tokens"),
        (remaining.dollars, "${:.2f}"),
    )
    return ", ".join(form.format(value) for value, form in parts if value is not None)


@dataclass(frozen=True, slots=True)
class Account:
    """A job's dollars.

    Attributes:
        cap: the most that may be spent; None: no cap.
        reserved: set aside for turns under way.
        holds: how many turns that is.
    """

    cap: float | None
    spent: float = 0.0
    reserved: float = 0.0
    holds: int = 0

    def has_room_for(self, amount: float) -> bool:
        return self.cap is None or self.spent + self.reserved + amount <= self.cap

    def may_have_room_for(self, amount: float) -> bool:
        """Whether it has, should all turns under way turn out to cost nothing."""
        return self.cap is None or self.spent + amount <= self.cap

    def reserve(self, amount: float) -> "Account":
        return replace(self, reserved=self.reserved + amount, holds=self.holds + 1)

    def settle(self, reserved: float, cost: float) -> "Account":
        """A turn is over: what was set aside for it comes back, less what it cost."""
        holds = self.holds - 1
        return replace(
            self,
            reserved=self.reserved - reserved if holds else 0.0,  # no dust of rounding stays behind
            holds=holds,
            spent=self.spent + cost,
        )
