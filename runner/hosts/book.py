"""The job's dollars, as the driver keeps them for shares on other hosts. Pure; one caller at a time.

A share sets dollars aside under a token that it makes up, so that a question whose answer was lost can be asked again: a
token reserves once and is settled once. What a share that is lost had set aside is charged whole, since nobody can tell what
it cost; whatever it asks afterwards is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.budget.limits import Account


@dataclass
class Book:
    """Answers the shares' questions about money.

    Attributes:
        open: (share, dollars) by the token of each reservation that is not settled.
        settled: tokens that were.
        closed: shares that are lost or over.
        stopping: every share is to end.
        exhausted: a turn was refused because too few dollars are left.
    """

    account: Account
    open: dict[str, tuple[str, float]] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)
    stopping: bool = False
    exhausted: bool = False

    def answer(self, share: str, question: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to one question of a share's: `ping`, or `reserve`; settlements come with either.

        Args:
            question: settle ([[token, dollars], ...]); with `reserve`: token, amount, and small (see `Ledger.reserve`).

        Returns:
            stop (the share is to end), and for `reserve`: granted, or wait, or ended; exhausted, as `Ledger` has it.

        Raises:
            ValueError: it is no question.
        """
        for token, cost in question.get("settle") or ():
            self.settle(str(token), float(cost))
        stop = self.stopping or share in self.closed
        if question.get("ask") != "reserve":
            return {"stop": stop}
        if stop:
            return {"stop": True, "ended": True}
        small = question.get("small")
        return {"stop": False, **self.reserve(share, str(question["token"]), float(question["amount"]), small)}

    def reserve(self, share: str, token: str, amount: float, small: float | None = None) -> dict[str, bool]:
        """Set dollars aside: granted, wait (they may come back), or ended."""
        if not 0 <= amount < float("inf"):
            raise ValueError(f"{amount} dollars")
        if token in self.open or token in self.settled:
            return {"granted": True}
        if self.account.can_reserve(amount):
            self.account = self.account.reserve(amount)
            self.open[token] = share, amount
            return {"granted": True}
        if self.account.could_reserve(amount):
            return {"wait": True}
        if small is None or not self.account.could_reserve(float(small)):
            self.exhausted = True
        return {"ended": True, "exhausted": self.exhausted}

    def settle(self, token: str, cost: float) -> None:
        """What a turn cost; the rest of its reservation comes back. Once for each token."""
        if token in self.open and 0 <= cost < float("inf"):
            _, amount = self.open.pop(token)
            self.account = self.account.settle(amount, cost)
            self.settled.add(token)

    def close(self, share: str) -> float:
        """No more from a share: what it still has set aside is charged whole. (US dollars)"""
        self.closed.add(share)
        tokens = [token for token, (owner, _) in self.open.items() if owner == share]
        lost = sum(self.open[token][1] for token in tokens)
        for token in tokens:
            self.settle(token, self.open[token][1])
        return lost
