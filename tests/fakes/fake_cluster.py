"""A cluster without Ray: its hosts are functions that say a share's lines, or this machine's own relay."""

import json
import queue
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.budget.limits import Account
from runner.hosts.book import Book
from runner.hosts.cluster import Event, Host, LocalBookKeeper, Lost, Over, Said
from runner.hosts.messages import LineKind, line_of, read_line, read_request
from runner.hosts.relay import play_share
from runner.records.run import Run
from runner.store.results import run_json

Play = Callable[[str, Mapping[str, Any]], Iterator[bytes]]


class HostDied(Exception):
    """A host goes without a word."""


def say(kind: LineKind, **content: Any) -> bytes:
    return line_of({"kind": kind, **content})


def started(image: str = "sha256:one") -> bytes:
    lock = {"image": {"id": image}}
    return say(LineKind.STARTED, lock=lock, certificate=None, no_certificate="none was made")


def numbers_of(request: Mapping[str, Any]) -> list[int]:
    """Runs of a request: those to be played, then those to be graded only."""
    return [*request["numbers"], *(entry["run"]["number"] for entry in request["waiting"])]


def finished(run: Run) -> bytes:
    return say(LineKind.FINISHED, run=run_json(run))


@dataclass
class FakeCluster:
    """Each share goes to the first host that is free.

    Attributes:
        plays: what each host does with a share, by its name; one that raises `HostDied` is gone.
        requests: (host, request) of every share, as it was taken up.
    """

    plays: dict[str, Play]
    keys: Mapping[str, frozenset[str]] = field(default_factory=dict)
    keeper: LocalBookKeeper = field(default_factory=lambda: LocalBookKeeper(Book(Account(None))))
    requests: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    queued: list[tuple[str, bytes, Collection[str]]] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)
    events: "queue.SimpleQueue[Event]" = field(default_factory=queue.SimpleQueue)

    def hosts(self) -> Sequence[Host]:
        return [Host(name, name, self.keys.get(name, frozenset())) for name in list(self.plays)]

    def start(self, share: str, request: bytes, archive: bytes, key: str, avoid: Collection[str], only: str) -> None:
        self.queued.append((share, request, [name for name in self.plays if name in avoid or (only and name != only)]))
        self._place()

    def _place(self) -> None:
        for entry in list(self.queued):
            free = [name for name in self.plays if name not in self.busy and name not in entry[2]]
            if free:
                self.queued.remove(entry)
                self.busy.add(free[0])
                threading.Thread(target=self._run, args=(free[0], entry[0], entry[1]), daemon=True).start()

    def _run(self, host: str, share: str, request: bytes) -> None:
        content = read_request(request)
        self.requests.append((host, content))
        self.events.put(Said(share, say(LineKind.PLACED, node=host)))
        try:
            for line in self.plays[host](share, content):
                self.events.put(Said(share, line))
            self.events.put(Over(share))
        except HostDied:
            self.plays.pop(host, None)
            self.events.put(Lost(share, "the node died"))
        finally:
            self.busy.discard(host)

    def wait(self, seconds: float) -> Sequence[Event]:
        self._place()
        try:
            return [self.events.get(timeout=min(seconds, 0.05))]
        except queue.Empty:
            return []

    def drop(self, share: str) -> None:
        self.dropped.append(share)
        self.queued = [entry for entry in self.queued if entry[0] != share]

    def book(self) -> LocalBookKeeper:
        return self.keeper

    def close(self) -> None:
        pass


def through_relay(archive: bytes, keeper: LocalBookKeeper, environment: Mapping[str, str]) -> Play:
    """A host that is this machine: its shares are programs of their own, as they are behind Ray."""

    def play(share: str, request: Mapping[str, Any]) -> Iterator[bytes]:
        def ask(question: bytes) -> bytes:
            return line_of(keeper.book.answer(share, read_line(question)))

        yield from play_share(json.dumps(request).encode(), archive, ask, environment)

    return play
