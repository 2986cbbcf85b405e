"""The job's dollars as a share on another host sees them: every reservation is asked of the driver's book."""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from runner.budget.ledger import Ledger, Reservation
from runner.budget.limits import BudgetExceeded
from runner.faults import InfrastructureFault
from runner.records.episode import Limit

SILENT_S = 30.0  # asked for: a share that cannot reach the book for so long spends nothing more
WAIT_S = 0.5  # chosen: how soon a turn that waits for dollars asks again
PING_S = 3.0  # chosen: a tenth of SILENT_S, so that one lost answer does not matter

# Sends a question; None where no answer came in time.
Ask = Callable[[Mapping[str, Any]], Mapping[str, Any] | None]


class ShareLedger(Ledger):
    """A `Ledger` whose dollars are kept elsewhere.

    Attributes:
        stopped: called once, when the book says so or is silent for too long; ends the share.
        fenced: the book was silent for too long; nothing is spent any more.
        told_to_stop: the book said that the share is to end.
    """

    def __init__(self, ask: Ask, stopped: Callable[[], None], now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(None)
        self._ask, self._stopped, self._now = ask, stopped, now
        self._heard_s = now()
        self._owed: dict[str, float] = {}
        self.fenced = self.told_to_stop = False
        self._told = False

    def ping(self) -> None:
        """Say that the share lives, settle what could not be said before, and look whether to stop."""
        self._question({"ask": "ping"})

    @contextmanager
    def reserve(
        self, amount: float, check: Callable[[], None] = lambda: None, small: float | None = None
    ) -> Iterator[Reservation]:
        """As `Ledger.reserve`.

        Raises:
            BudgetExceeded: fewer dollars are left, and none will come back.
            InfrastructureFault: the book does not answer.
        """
        token = secrets.token_hex(8)
        question = {"ask": "reserve", "token": token, "amount": amount, "small": small}
        try:
            self._await_grant(question, check)
        except BaseException:
            with self._changed:
                self._owed[token] = 0.0  # it may be granted, and the answer have been lost
            raise
        reservation = Reservation()
        try:
            yield reservation
        finally:
            with self._changed:
                self._account = replace(self._account, spent=self._account.spent + reservation.cost)
                self._owed[token] = reservation.cost
            self.ping()

    def _await_grant(self, question: dict[str, Any], check: Callable[[], None]) -> None:
        while not (answer := self._question(question)).get("granted"):
            if self.fenced:
                raise InfrastructureFault(
                    cause=f"the job's ledger has not answered for {SILENT_S:g} s",
                    hint="check that the driver runs and can be reached",
                )
            if answer.get("ended"):
                self.exhausted = self.exhausted or bool(answer.get("exhausted"))
                raise BudgetExceeded(Limit.JOB_DOLLARS)
            time.sleep(WAIT_S)
            check()

    def _question(self, question: dict[str, Any]) -> Mapping[str, Any]:
        if self.fenced:
            return {}
        with self._changed:
            owed = dict(self._owed)
        answer = self._ask({**question, "settle": list(owed.items())})
        with self._changed:
            if answer is not None:
                self._heard_s = self._now()
                for token in owed:
                    self._owed.pop(token, None)
            self.fenced = self.fenced or self._now() - self._heard_s > SILENT_S
            self.told_to_stop = self.told_to_stop or bool((answer or {}).get("stop"))
            ends = (self.fenced or self.told_to_stop) and not self._told
            self._told = self._told or ends
        if ends:
            self._stopped()
        return answer or {}
