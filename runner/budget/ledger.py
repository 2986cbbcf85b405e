"""What a run uses, and the job's dollars, shared by the threads of its episodes."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from runner.budget.limits import JOB_DOLLARS, Account, BudgetExceeded
from runner.records.episode import Usage

POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Reading:
    """What a meter says.

    Attributes:
        waited_s: seconds spent waiting for room at the model's endpoint, or for a try that came to nothing.
        turns: answers that a model gave to a program in the sandbox, all within one turn of the episode.
    """

    usage: Usage = Usage()
    dollars: float = 0.0
    waited_s: float = 0.0
    turns: int = 0


class Meter:
    """Adds up what one run's model uses, tries that failed halfway included."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reading = Reading()

    @property
    def reading(self) -> Reading:
        with self._lock:
            return self._reading

    def add(self, usage: Usage = Usage(), dollars: float = 0.0, waited_s: float = 0.0, turns: int = 0) -> None:
        """Count what was used, as it becomes known."""
        with self._lock:
            now = self._reading
            self._reading = Reading(
                now.usage + usage, now.dollars + dollars, now.waited_s + waited_s, now.turns + turns
            )


class Reservation:
    """Dollars that are set aside for one try of one turn; `charge` says what it cost."""

    def __init__(self, amount: float) -> None:
        self.amount = amount
        self.cost = 0.0

    def charge(self, cost: float) -> None:
        self.cost += cost


class Ledger:
    """Reserves before a turn is sent, settles after it; see `runner.budget.limits`.

    Attributes:
        exhausted: a turn was refused for want of dollars, and the next ones will be.
    """

    def __init__(self, cap: float | None) -> None:
        self._account = Account(cap)
        self._news = threading.Condition()
        self.exhausted = False

    @property
    def account(self) -> Account:
        with self._news:
            return self._account

    @contextmanager
    def hold(
        self, amount: float, check: Callable[[], None] = lambda: None, small: float | None = None
    ) -> Iterator[Reservation]:
        """Set dollars aside; waits while other turns hold some that may come back.

        Args:
            check: called now and then while waiting; raises to give up.
            small: what a small turn costs, where a guest chose `amount`: only where not even so much is left, the dollars
                are exhausted.

        Raises:
            BudgetExceeded: there are not so many left, and none will come back.
        """
        with self._news:
            while not self._account.has_room_for(amount):
                if not self._account.may_have_room_for(amount):
                    if small is None or not self._account.may_have_room_for(small):
                        self.exhausted = True
                    raise BudgetExceeded(JOB_DOLLARS)
                self._news.wait(POLL_S)
                check()
            self._account = self._account.reserve(amount)
        hold = Reservation(amount)
        try:
            yield hold
        finally:
            with self._news:
                self._account = self._account.settle(amount, hold.cost)
                self._news.notify_all()
