"""Several hosts, as the driver needs them: who is there, start a share on one of them, and what comes of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from runner.hosts.book import Book


@dataclass(frozen=True, slots=True)
class Host:
    """A host that offers to play.

    Attributes:
        node: by which the cluster knows it.
        keys: vendors whose models it can ask, by name; the keys themselves stay there.
    """

    name: str
    node: str
    keys: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Said:
    """A line of a share's."""

    share: str
    line: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """A share whose host, or whose worker, is gone."""

    share: str
    cause: str


@dataclass(frozen=True, slots=True)
class Over:
    """A share has said everything."""

    share: str


Event = Said | Lost | Over


class Cluster(Protocol):
    """Starts shares on hosts; one thread calls it."""

    def hosts(self) -> Sequence[Host]:
        """The hosts that are alive.

        Raises:
            InfrastructureFault: the cluster does not answer.
        """
        ...

    def start(self, share: str, request: bytes, archive: bytes, key: str, avoid: Collection[str], only: str) -> None:
        """Have a share played by whichever host is free next.

        Args:
            key: vendor of whom the host must have a key; empty: none.
            avoid: names of hosts that do not get it.
            only: name of the one host that gets it; empty: any.
        """
        ...

    def wait(self, seconds: float) -> Sequence[Event]:
        """What has come since, after at most so long."""
        ...

    def drop(self, share: str) -> None:
        """Give up a share: it is ended where it runs, and not started where it waits."""
        ...

    def book(self) -> "BookKeeper":
        """The job's dollars."""
        ...

    def close(self) -> None:
        """Leave the cluster; its hosts go on."""
        ...


class BookKeeper(Protocol):
    """The driver's side of the book, wherever that is kept."""

    def close_share(self, share: str) -> float:
        """No more from a share; the dollars that it still had set aside are charged. (US dollars)"""
        ...

    def stop(self) -> None:
        """Every share is to end."""
        ...

    def state(self) -> Mapping[str, float | bool]:
        """`spent`, US dollars, and `exhausted`."""
        ...


class LocalBookKeeper:
    """A book in this process."""

    def __init__(self, book: Book) -> None:
        self.book = book

    def close_share(self, share: str) -> float:
        return self.book.close(share)

    def stop(self) -> None:
        self.book.stopping = True

    def state(self) -> Mapping[str, float | bool]:
        return {"spent": self.book.account.spent, "exhausted": self.book.exhausted}
