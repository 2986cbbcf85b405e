"""Which runs are one share, and what becomes of those whose host was lost. Pure.

A share is played and graded on one host, in rounds that its runs have in common. A run whose host is lost goes once into
another share; when that one's host is lost, too, it is given up.
"""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

TIMES_LOST_MAX = 1  # asked for: an unfinished run goes once into another share


def share_size(runs: int, hosts: int, asked: int = 0) -> int:
    """Runs of one share: as asked for, else as many as give every host one.

    Larger shares measure the baseline less often; smaller ones lose less with a host.
    """
    return asked or max(1, math.ceil(runs / max(hosts, 1)))


@dataclass
class Plan:
    """Runs that are to do, and those that shares have.

    Attributes:
        size: runs of a share.
        waiting: numbers that no share has.
        shares: numbers that a share still has to finish, by its name.
        lost_on: hosts that were lost with a run, by its number.
        begun: shares so far.
    """

    size: int
    waiting: deque[int]
    shares: dict[str, list[int]] = field(default_factory=dict)
    lost_on: dict[int, tuple[str, ...]] = field(default_factory=dict)
    begun: int = 0

    @property
    def is_over(self) -> bool:
        return not self.waiting and not self.shares

    def next_share(self) -> tuple[str, tuple[int, ...]] | None:
        """Name and runs of the next share; None where nothing waits."""
        if not self.waiting:
            return None
        numbers = [self.waiting.popleft() for _ in range(min(self.size, len(self.waiting)))]
        self.begun += 1
        name = f"share-{self.begun}"
        self.shares[name] = numbers
        return name, tuple(numbers)

    def finished(self, share: str, number: int) -> None:
        """A run of a share is final."""
        self.shares[share].remove(number)

    def over(self, share: str) -> tuple[int, ...]:
        """A share has said everything; the runs that it left out."""
        return tuple(self.shares.pop(share, ()))

    def put_back(self, share: str) -> None:
        """A host would not begin with a share: its runs wait again, and nothing is held against them."""
        self.waiting.extendleft(reversed(self.over(share)))

    def lost(self, share: str, host: str) -> tuple[Sequence[int], Sequence[int]]:
        """The host of a share is gone: (runs that wait again, runs that are given up)."""
        numbers = self.over(share)
        for number in numbers:
            self.lost_on[number] = (*self.lost_on.get(number, ()), host)
        again = [number for number in numbers if len(self.lost_on[number]) <= TIMES_LOST_MAX]
        self.waiting.extendleft(reversed(again))
        return again, [number for number in numbers if number not in again]

    def give_up(self) -> Iterable[int]:
        """Every run that is not final; none waits any more."""
        left = sorted({*self.waiting, *(number for numbers in self.shares.values() for number in numbers)})
        self.waiting.clear()
        self.shares.clear()
        return left
