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
        InfrastructureFault: too few hosts are there; nothing was started.
    """
    until = time.monotonic() + PLACED_S
    while len(hosts := {host.name: host for host in cluster.hosts()}) < hosts_min:
        if time.monotonic() > until:
            raise InfrastructureFault(
                cause=f"{len(hosts)} of {hosts_min} hosts are there: {', '.join(sorted(hosts)) or 'none'}",
                hint="start `python -m runner host --address ADDRESS` on more, or ask for fewer with --hosts",
            )
        time.sleep(POLL_S)
    done = Calibrations()
    for name in hosts:
        cluster.start(name, request_line(request), archive, "", (), name)
    open_shares = set(hosts)
    try:
        while open_shares:
            for event in cluster.wait(POLL_S):
                _take(event, done, say)
                if not isinstance(event, Said):
                    open_shares.discard(event.share)
                    cluster.book().close_share(event.share)
    finally:
        for name in open_shares:
            cluster.drop(name)
    for name in hosts:
        if name not in done.results:
            done.failed.setdefault(name, "it ended without a word")
    return done


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
