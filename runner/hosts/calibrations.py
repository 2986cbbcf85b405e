"""A calibration of every host of a cluster, side by side; each keeps its own certificate."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.faults import InfrastructureFault
from runner.hosts.cluster import Cluster, Lost, Over, Said
from runner.hosts.driver import PLACED_S, POLL_S
from runner.hosts.messages import LineKind, Request, read_line, request_line


@dataclass
class Calibrations:
    """What came of each host.

    Attributes:
        results: what `calibrate --json` says, by host.
        failed: why there is none, by host.
    """

    results: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def calibrate_hosts(
    cluster: Cluster, request: Request, archive: bytes, hosts_min: int, say: Callable[[str], None]
) -> Calibrations:
    """Have each host measure its noise for a task.

    Raises:
        InfrastructureFault: too few hosts are there, or two have one name; nothing was started.
    """
    hosts = _await_hosts(cluster, hosts_min)
    done, waiting = Calibrations(), _Waiting(cluster, dict.fromkeys(hosts, time.monotonic()), say)
    for name in hosts:
        cluster.start(name, request_line(request), archive, "", (), name)
    open_shares = set(hosts)
    try:
        while open_shares:
            for event in cluster.wait(POLL_S):
                waiting.since_s.pop(event.share, None)
                _take(event, done, say)
                if not isinstance(event, Said):
                    open_shares.discard(event.share)
                    cluster.book().close_share(event.share)
            for name in waiting.gone():
                done.failed[name] = "it was gone before it began"
                open_shares.discard(name)
    finally:
        for name in open_shares:
            cluster.drop(name)
    for name in hosts:
        if name not in done.results:
            done.failed.setdefault(name, "it ended without a word")
    return done


def _await_hosts(cluster: Cluster, hosts_min: int) -> list[str]:
    """The names of the hosts, once there are enough.

    Raises:
        InfrastructureFault: too few are there, or two have one name.
    """
    until = time.monotonic() + PLACED_S
    while len(names := sorted(host.name for host in cluster.hosts())) < hosts_min:
        if time.monotonic() > until:
            raise InfrastructureFault(
                cause=f"{len(names)} of {hosts_min} hosts are there: {', '.join(names) or 'none'}",
                hint="start `python -m runner host --address ADDRESS` on more, or ask for fewer with --hosts",
            )
        time.sleep(POLL_S)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InfrastructureFault(
            cause=f"several hosts are called {', '.join(twice)}, and each is to be measured",
            hint="give each a name of its own: `python -m runner host --name NAME`",
        )
    return names


@dataclass
class _Waiting:
    """Hosts that have not begun: said once of those that are busy, and given up where they are gone.

    Attributes:
        since_s: when each was asked, by its name.
    """

    cluster: Cluster
    since_s: dict[str, float]
    say: Callable[[str], None]
    told: set[str] = field(default_factory=set)

    def gone(self) -> list[str]:
        """Those that are there no more; nobody else takes what is theirs."""
        late = [name for name, since_s in self.since_s.items() if time.monotonic() - since_s > PLACED_S]
        alive = {host.name for host in self.cluster.hosts()} if late else set()
        for name in late:
            if name in alive and name not in self.told:
                self.told.add(name)
                self.say(f"{name} has not begun: it is busy, perhaps with another job")
        found = [name for name in late if name not in alive]
        for name in found:
            del self.since_s[name]
            self.cluster.drop(name)
            self.cluster.book().close_share(name)
        return found


def _take(event: Said | Lost | Over, done: Calibrations, say: Callable[[str], None]) -> None:
    match event:
        case Lost():
            done.failed[event.share] = event.cause
        case Said():
            try:
                line = read_line(event.line)
            except ValueError as error:
                done.failed[event.share] = str(error)
                return
            match line.get("kind"):
                case LineKind.NOTE:
                    say(f"{event.share}: {line.get('text')}")
                case LineKind.CALIBRATED if _is_result(line.get("result")):
                    done.results[event.share] = line["result"]
                case LineKind.CALIBRATED:
                    done.failed[event.share] = "what it said is not the result of a calibration"
                case LineKind.REFUSED:
                    done.failed[event.share] = f"{line.get('cause')} ({line.get('hint')})"


def _is_result(raw: Any) -> bool:
    """Whether it has what is shown of a host, each of its kind."""
    match raw:
        case {
            "study": {"min_detectable_ratio": int() | float()},
            "certificate": {"id": str()},
            "side_by_side": {"slots": int()},
        }:
            return True
    return False
