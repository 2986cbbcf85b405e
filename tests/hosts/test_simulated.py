"""The real driver over simulated hosts: more hosts are worth their number where episodes dominate."""

from pathlib import Path

import pytest

from runner.hosts.driver import HostsJob
from runner.records.run import JobConfig
from tests.fakes.simulated_cluster import SimulatedCluster, read_recorded


def seconds(project: Path, hosts: int, runs: int, share: int = 0, factor: float = 1.0) -> tuple[float, dict[int, str]]:
    """Simulated seconds of a job, and its outcomes."""
    recorded = read_recorded(project / "docs" / "examples" / "ten-runs" / "results.json")
    cluster = SimulatedCluster(recorded, hosts, factor)
    config = JobConfig(task="t", runs=runs, name="job")
    job = HostsJob(
        "1", config, cluster, b"", None, {}, lambda run: None, lambda text: None, share=share, now=cluster.clock
    )
    assert not job.play()
    return cluster.now_s, {run.number: run.outcome.kind for run in job.runs}


def test_two_hosts_take_little_over_half_of_the_time_where_episodes_dominate(project: Path) -> None:
    (one_s, one), (two_s, two) = (seconds(project, hosts, 10, share=2, factor=60.0) for hosts in (1, 2))
    assert one == two and len(one) == 10
    assert two_s / one_s <= 0.6


@pytest.mark.parametrize(("hosts", "runs"), [(1, 7), (3, 10), (40, 25)])
def test_every_run_ends_on_any_number_of_hosts(project: Path, hosts: int, runs: int) -> None:
    assert sorted(seconds(project, hosts, runs)[1]) == list(range(1, runs + 1))
