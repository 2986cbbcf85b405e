"""What may still be spent, by an episode and by a job. Pure.

An episode's limits are looked at before each turn. A job's dollars are reserved: before a turn is sent, the most that it
can cost is set aside, so that episodes side by side cannot spend the same dollar; what it did not cost comes back.
"""

from dataclasses import dataclass, replace
from typing import TypeVar

from runner.records.episode import Limit, Limits, Spent

Number = TypeVar("Number", int, float)

JOB_DOLLARS_MAX = 10.0  # what a job's model may cost where nobody says. chosen: more is asked for by a flag


class EpisodeEnded(Exception):
    """The episode ends before the agent's next turn; this is not a fault.

    Attributes:
        ending: why, as it is recorded.
    """

    def __init__(self, ending: str) -> None:
        super().__init__(ending)
        self.ending = ending


class BudgetExceeded(EpisodeEnded):
    """A limit ends the episode before the agent's next turn."""

    def __init__(self, limit: Limit) -> None:
        super().__init__(limit)
        self.limit = limit


def remaining_limits(limits: Limits, spent: Spent) -> Limits:
    """What remains of each limit, at least 0; None where there is no limit."""
    return Limits(
        turns=_subtract(limits.turns, spent.turns),
        output_tokens=_subtract(limits.output_tokens, spent.usage.output),
        tokens=_subtract(limits.tokens, spent.usage.total),
        dollars=_subtract(limits.dollars, spent.dollars),
        wall_s=_subtract(limits.wall_s, spent.wall_s),
        working_s=_subtract(limits.working_s, spent.working_s),
    )


def _subtract(limit: Number | None, used: Number) -> Number | None:
    return None if limit is None else max(type(limit)(0), limit - used)


def reached(remaining: Limits) -> Limit | None:
    """A limit of which nothing remains; None while there is some of each."""
    values = {
        Limit.TURNS: remaining.turns,
        Limit.OUTPUT_TOKENS: remaining.output_tokens,
        Limit.TOKENS: remaining.tokens,
        Limit.DOLLARS: remaining.dollars,
        Limit.WALL_CLOCK: remaining.wall_s,
        Limit.WORKING_TIME: remaining.working_s,
    }
    return next((limit for limit, value in values.items() if value is not None and value <= 0), None)


def format_remaining(remaining: Limits) -> str:
    """What remains, as the agent is told it; a limit that is not set is left out."""
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
        cap: the most that may be spent, US dollars; None: no cap.
        spent, reserved: US dollars; `reserved` is set aside for turns under way.
        open_reservations: how many turns that is.
    """

    cap: float | None
    spent: float = 0.0
    reserved: float = 0.0
    open_reservations: int = 0

    def can_reserve(self, amount: float) -> bool:
        return self.cap is None or self.spent + self.reserved + amount <= self.cap

    def could_reserve(self, amount: float) -> bool:
        """Whether the amount would fit if every open reservation were released unspent."""
        return self.cap is None or self.spent + amount <= self.cap

    def reserve(self, amount: float) -> "Account":
        return replace(self, reserved=self.reserved + amount, open_reservations=self.open_reservations + 1)

    def settle(self, reserved: float, cost: float) -> "Account":
        """The account after a turn: what was reserved for it comes back, less what it cost."""
        still_open = self.open_reservations - 1
        return replace(
            self,
            reserved=self.reserved - reserved if still_open else 0.0,  # no rounding error stays behind
            open_reservations=still_open,
            spent=self.spent + cost,
        )
