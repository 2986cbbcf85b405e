"""What a run uses, and the job's dollars, shared by the threads of its episodes."""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from runner.budget.limits import Account, BudgetExceeded
from runner.records.episode import Limit, Usage

COUNT_MAX = 2**63 - 1  # of tokens or turns: what other programs' integers hold
POLL_S = 0.1  # chosen: how soon a turn that waits for dollars notices that the job is being stopped


@dataclass(frozen=True, slots=True)
class MeterReading:
    """What a meter says.

    Attributes:
        dollars: US dollars.
        waited_s: seconds spent waiting for room at the model's endpoint, or on an attempt that failed.
        turns: answers that a model gave to a program in the sandbox, all within one turn of the episode.
    """

    usage: Usage = Usage()
    dollars: float = 0.0
    waited_s: float = 0.0
    turns: int = 0


class Meter:
    """Adds up what one run's model uses, attempts that failed halfway included."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reading = MeterReading()

    @property
    def reading(self) -> MeterReading:
        with self._lock:
            return self._reading

    def add(self, usage: Usage = Usage(), dollars: float = 0.0, waited_s: float = 0.0, turns: int = 0) -> None:
        """Count what was used, as it becomes known; agents of others give numbers of any library's.

        Raises:
            ValueError, TypeError, OverflowError: one of them is no number that a record can hold; nothing was counted.
        """
        with self._lock:
            now = self._reading
            self._reading = MeterReading(
                _plain(now.usage + usage),
                _finite(now.dollars + dollars),
                _finite(now.waited_s + waited_s),
                _whole(now.turns + turns),
            )


def _plain(usage: Usage) -> Usage:
    """The same in integers of Python's own."""
    return Usage(
        input=_whole(usage.input),
        cache_write=_whole(usage.cache_write),
        cache_read=_whole(usage.cache_read),
        output=_whole(usage.output),
    )


def _whole(value: int) -> int:
    if not abs(value) <= COUNT_MAX:
        raise OverflowError("so many tokens or turns cannot be counted")
    return int(value)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{value} is no number of dollars or seconds")
    return float(value)


class Reservation:
    """Dollars that are set aside for one attempt at one turn; `charge` says what it cost."""

    def __init__(self) -> None:
        self.cost = 0.0

    def charge(self, cost: float) -> None:
        self.cost += cost


class Ledger:
    """Reserves before a turn is sent, settles after it; see `runner.budget.limits`.

    Attributes:
        exhausted: a turn was refused because too few dollars are left, and the next ones will be.
    """

    def __init__(self, cap: float | None, spent: float = 0.0) -> None:
        """
        Args:
            cap: the most that may be spent, US dollars; None: no cap.
            spent: what a job that is resumed has spent already.
        """
        self._account = Account(cap, spent)
        self._changed = threading.Condition()
        self.exhausted = False

    @property
    def account(self) -> Account:
        with self._changed:
            return self._account

    @contextmanager
    def reserve(
        self, amount: float, check: Callable[[], None] = lambda: None, small: float | None = None
    ) -> Iterator[Reservation]:
        """Set dollars aside; waits while reservations of other turns are open that may come back.

        Args:
            amount: US dollars.
            check: called every `POLL_S` while waiting; raises to give up.
            small: `exhausted` is set only if not even this amount fits (for an amount that a guest chose).

        Raises:
            BudgetExceeded: fewer dollars are left, and none will come back.
        """
        with self._changed:
            while not self._account.can_reserve(amount):
                if not self._account.could_reserve(amount):
                    if small is None or not self._account.could_reserve(small):
                        self.exhausted = True
                    raise BudgetExceeded(Limit.JOB_DOLLARS)
                self._changed.wait(POLL_S)
                check()
            self._account = self._account.reserve(amount)
        reservation = Reservation()
        try:
            yield reservation
        finally:
            with self._changed:
                self._account = self._account.settle(amount, reservation.cost)
                self._changed.notify_all()
