"""A job on 1 to 1,000 hosts: the real driver, its plan and its record, over hosts in simulated time.

    python bench/hosts.py [--hosts 1 2 10 100 1000] [--runs-for-each 10] [--episodes 1.0] [--share 0]

Episodes and gradings last as long as those of docs/examples/ten-runs; `--episodes` stretches the episodes. For each number
of hosts it prints the simulated time of the job, how it compares with one host's time for as many runs, and what the driver
itself used of one CPU: in all, for each run, and how many runs an hour it could take at the most. Needs no engine.
"""

import argparse
import contextlib
import sys
import tempfile
import time
from pathlib import Path

import project_path  # noqa: F401
from runner.hosts.driver import HostsJob
from runner.records.run import JobConfig
from runner.store.job_folder import open_job_folder
from tests.fakes.simulated_cluster import Recorded, SimulatedCluster, read_recorded

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "examples" / "ten-runs" / "results.json"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 2, 10, 100, 1000])
    parser.add_argument("--runs-for-each", type=int, default=10, help="runs for each host")
    parser.add_argument("--episodes", type=float, default=1.0, help="how much longer than the recorded ones")
    parser.add_argument("--share", type=int, default=0, help="runs of a share; 0: as many as give every host one")
    options = parser.parse_args()
    recorded = read_recorded(RESULTS)
    print(
        f"recorded: {recorded.baseline_s:.0f} s of baseline and sentinel that a share's submissions have in common, "
        f"{recorded.candidate_s:.0f} s for each submission, {recorded.at_a_time} episodes side by side"
    )
    for hosts in options.hosts:
        print(_line(recorded, hosts, options.runs_for_each, options.episodes, options.share), flush=True)
    return 0


def _line(recorded: Recorded, hosts: int, for_each: int, episodes: float, share: int) -> str:
    runs = hosts * for_each
    seconds, cpu_s, lines = _played(recorded, hosts, runs, episodes, share)
    one_s = _played(recorded, 1, runs if share else for_each, episodes, share)[0] * (1 if share else hosts)
    return (
        f"{hosts:5} hosts, {runs:6} runs: {seconds / 60:7.1f} min, {one_s / seconds:6.1f} times as fast as one; driver: "
        f"{cpu_s:6.1f} s of CPU, {1000 * cpu_s / runs:5.1f} ms a run, {lines} lines, at most "
        f"{3600 * runs / cpu_s:,.0f} runs/h"
    )


def _played(recorded: Recorded, hosts: int, runs: int, episodes: float, share: int) -> tuple[float, float, int]:
    """Simulated seconds, the driver's CPU seconds with its files, and lines that it read."""
    cluster = SimulatedCluster(recorded, hosts, episodes)
    config = JobConfig(task="t", runs=runs, name="job")
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.closing(open_job_folder(Path(folder), "job")) as job_folder:
            job = HostsJob(
                "1", config, cluster, b"", job_folder, {}, lambda run: None, lambda text: None, share=share,
                now=cluster.clock,
            )  # fmt: skip
            began_s = time.process_time()
            job.play()
            return cluster.now_s, time.process_time() - began_s, cluster.lines


if __name__ == "__main__":
    sys.exit(main())
