"""A job's hosts, side by side: each one's baseline, what it can tell apart, and what it makes of the same solution.

Seconds are a host's own and are never pooled; a ratio is of one host, so that ratios may be. The sentinel, which is the
task's own solution and opens every round, is the same file on all hosts: where they disagree about it by more than both can
tell apart, something other than the files differs.
"""

import itertools
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text

from runner.records.run import Run
from runner.report.escape import shown

SampleKey = tuple[int, str, int]  # seed of its round, side, position


@dataclass(frozen=True, slots=True)
class HostSummary:
    """What the runs of one host say of it.

    Attributes:
        runs: how many were played or graded there.
        baseline_s: mean seconds of the baseline's samples; None without any.
        resolution: median over its runs of the smallest factor that could be told; None where none could.
        certificate: its name; empty where none was used.
        oracle: geometric mean of baseline / sentinel over the rounds; None without a round that has both.
        rounds: how many rounds that is.
    """

    name: str
    runs: int
    baseline_s: float | None
    resolution: float | None
    certificate: str
    oracle: float | None
    rounds: int


def summarize_hosts(runs: Sequence[Run]) -> list[HostSummary]:
    """One summary for each host, by name; empty where no run names one."""
    names = sorted({run.host for run in runs if run.host})
    return [_summary(name, [run for run in runs if run.host == name]) for name in names]


def disagreements(hosts: Sequence[HostSummary]) -> list[str]:
    """A sentence for each two hosts whose solutions differ by more than both can tell apart."""
    return [
        f"{a.name} and {b.name} disagree about the task's own solution: {a.oracle:.2f}x and {b.oracle:.2f}x, where "
        f"{a.resolution:.2f} and {b.resolution:.2f} could be told; their verdicts may differ, too"
        for a, b in itertools.combinations(hosts, 2)
        if a.oracle and b.oracle and a.resolution and b.resolution
        and abs(math.log(a.oracle / b.oracle)) > math.log(a.resolution) + math.log(b.resolution)
    ]  # fmt: skip


def host_lines(runs: Sequence[Run]) -> Iterator[Text]:
    """The hosts of a job as a person reads them; nothing for a job of one host."""
    hosts = summarize_hosts(runs)
    if not hosts:
        return
    yield Text("Hosts (ratios are each host's own; seconds are not compared):")
    for host in hosts:
        baseline = f"baseline {host.baseline_s:.2f} s" if host.baseline_s is not None else "no baseline"
        told = f"a factor of {host.resolution:.2f} could be told" if host.resolution is not None else "no resolution"
        oracle = f", the solution {host.oracle:.2f}x in {host.rounds} rounds" if host.oracle is not None else ""
        certificate = f"certificate {host.certificate}" if host.certificate else "no certificate"
        count = f"{host.runs} run{'s' if host.runs > 1 else ''}"
        yield Text(f"  {shown(host.name)}: {count}, {baseline}{oracle}, {told}, {shown(certificate)}")
    for words in disagreements(hosts):
        yield Text(f"  ⚠ {shown(words)}")
    for run in sorted(runs, key=lambda run: run.number):
        if run.lost_on:
            yield Text(f"  run {run.number}: {shown(', '.join(run.lost_on))} was lost while it had it")


def _summary(name: str, runs: Sequence[Run]) -> HostSummary:
    gradings = [run.grading for run in runs if run.grading is not None]
    # Runs of one share hold the same samples of the baseline and the sentinel.
    seen: dict[SampleKey, float] = {
        (measurement.seeds[sample.round - 1], sample.side, sample.position): sample.seconds
        for measurement in (grading.measurement for grading in gradings)
        if measurement is not None
        for sample in measurement.samples
        if sample.side in ("baseline", "sentinel") and 0 < sample.round <= len(measurement.seeds)
    }
    told = [run.speedup.resolution for run in runs if run.speedup is not None]
    resolutions = [factor for factor in told if factor is not None and factor >= 1.0]
    used = [grading.rules.certificate.id for grading in gradings if grading.rules and grading.rules.certificate]
    baseline = [seconds for (_, side, _), seconds in seen.items() if side == "baseline"]
    ratios = _oracle_logs(seen)
    return HostSummary(
        name=name,
        runs=len(runs),
        baseline_s=statistics.fmean(baseline) if baseline else None,
        resolution=statistics.median(resolutions) if resolutions else None,
        certificate=used[-1] if used else "",
        oracle=math.exp(statistics.fmean(ratios)) if ratios else None,
        rounds=len(ratios),
    )


def _oracle_logs(seen: Mapping[SampleKey, float]) -> list[float]:
    """The log of baseline / sentinel in each round that has both."""
    rounds: dict[int, dict[str, list[float]]] = {}
    for (seed, side, _), seconds in seen.items():
        rounds.setdefault(seed, {}).setdefault(side, []).append(seconds)
    means = [{side: statistics.fmean(times) for side, times in sides.items()} for sides in rounds.values()]
    return [
        math.log(sides["baseline"] / sides["sentinel"])
        for sides in means
        if sides.get("baseline", 0.0) > 0.0 and sides.get("sentinel", 0.0) > 0.0
    ]
