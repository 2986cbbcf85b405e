"""Hosts in simulated time: the real driver over shares whose episodes and gradings last as long as recorded ones did.

A share takes its episodes, some side by side, and then one grading: the time of its baseline's rounds, which its submissions
share, and a part for each submission. Nothing waits: the clock is set on to the next event.
"""

import heapq
import itertools
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.budget.limits import Account
from runner.hosts.book import Book
from runner.hosts.cluster import Event, Host, LocalBookKeeper, Over, Said
from runner.hosts.messages import LineKind, line_of, read_line


@dataclass(frozen=True)
class Recorded:
    """Figures of a recorded job.

    Attributes:
        runs: as results.json has them.
        baseline_s: seconds of all samples of the baseline and the sentinel, which the submissions of a batch share.
        candidate_s: the rest of the time that gradings took, for each graded submission.
        at_a_time: episodes side by side.
    """

    runs: Sequence[Mapping[str, Any]]
    baseline_s: float
    candidate_s: float
    at_a_time: int


def read_recorded(results: Path) -> Recorded:
    """The figures of a results.json."""
    content = json.loads(results.read_text())
    samples = {
        (seeds[sample["round"]], sample["side"], sample["position"]): sample["seconds"]
        for run in content["runs"]
        # Rounds are numbered for all runs of a batch, and a run's seeds are those of its own.
        for seeds in [dict(zip(sorted({sample["round"] for sample in run["samples"]}), run["seeds"], strict=True))]
        for sample in run["samples"]
        if sample["side"] in ("baseline", "sentinel")
    }
    graded = [run for run in content["runs"] if run["samples"]]
    batches: dict[str, float] = {}
    for run in graded:
        ends_s = max(sample["started_s"] + sample["seconds"] for sample in run["samples"])
        batches[run["seeds"][0]] = max(batches.get(run["seeds"][0], 0.0), ends_s)
    shared_s = sum(samples.values())
    return Recorded(
        content["runs"], shared_s, (sum(batches.values()) - shared_s) / len(graded), content["job"]["concurrency"]
    )


@dataclass
class SimulatedCluster:
    """A `Cluster` in simulated time.

    Attributes:
        episode_factor: how much longer an episode is than the recorded one.
        now_s: the simulated clock.
        lines: how many lines the driver was given.
    """

    recorded: Recorded
    count: int
    episode_factor: float = 1.0
    now_s: float = 0.0
    lines: int = 0
    keeper: LocalBookKeeper = field(default_factory=lambda: LocalBookKeeper(Book(Account(None))))

    def __post_init__(self) -> None:
        self._hosts = [Host(f"h{number}", f"n{number}") for number in range(self.count)]
        self._free = [host.node for host in self._hosts]
        self._events: list[tuple[float, int, Event, str]] = []
        self._order = itertools.count()

    def clock(self) -> float:
        return self.now_s

    def hosts(self) -> Sequence[Host]:
        return self._hosts

    def start(self, share: str, request: bytes, archive: bytes, key: str, avoid: Collection[str], only: str) -> None:
        node = self._free.pop()
        numbers = read_line(request)["numbers"]
        self._say(self.now_s, share, {"kind": LineKind.PLACED, "node": node})
        lock = {"image": {"id": "one"}}
        self._say(self.now_s, share, {"kind": LineKind.STARTED, "lock": lock, "no_certificate": ""})
        slots, waiting = [self.now_s] * self.recorded.at_a_time, []
        for number in numbers:
            run = {**self.recorded.runs[(number - 1) % len(self.recorded.runs)], "number": number}
            ends_s = heapq.heappop(slots) + run["episode"]["seconds"] * self.episode_factor
            heapq.heappush(slots, ends_s)
            if run["samples"]:
                waiting.append(run)
            else:
                self._say(ends_s, share, {"kind": LineKind.FINISHED, "run": run})
        over_s = max(slots)
        if waiting:
            over_s += self.recorded.baseline_s + self.recorded.candidate_s * len(waiting)
        for run in waiting:
            self._say(over_s, share, {"kind": LineKind.FINISHED, "run": run})
        self._push(over_s, Over(share), node)

    def _say(self, at_s: float, share: str, content: Mapping[str, Any]) -> None:
        self._push(at_s, Said(share, line_of(content)), "")

    def _push(self, at_s: float, event: Event, frees: str) -> None:
        heapq.heappush(self._events, (at_s, next(self._order), event, frees))

    def wait(self, seconds: float) -> Sequence[Event]:
        if not self._events:
            self.now_s += seconds
            return []
        at_s, _, event, frees = heapq.heappop(self._events)
        self.now_s = max(self.now_s, at_s)
        self.lines += isinstance(event, Said)
        if frees:
            self._free.append(frees)
        return [event]

    def drop(self, share: str) -> None:
        pass

    def book(self) -> LocalBookKeeper:
        return self.keeper

    def close(self) -> None:
        pass
