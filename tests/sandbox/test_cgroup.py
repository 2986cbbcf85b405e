"""What an engine that is not on this machine says that a container used: what it does not count stays unknown."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.sandbox import cgroup
from runner.sandbox.cgroup import ResourceUsage, read_usage


def remote(**stats: Any) -> Any:
    """An engine elsewhere, and what it answers."""
    api = SimpleNamespace(stats=lambda *_, **__: stats)
    return SimpleNamespace(is_local=False, client=SimpleNamespace(api=api))


def test_the_number_of_processes_of_this_moment_is_not_taken_for_a_peak() -> None:
    used = read_usage(remote(pids_stats={"current": 3, "limit": 256}, memory_stats={"max_usage": 7}), "c")
    assert used == ResourceUsage(memory_peak_bytes=7)


def test_what_a_remote_engine_counts_is_read() -> None:
    written = [{"op": "Write", "value": 5}, {"op": "Read", "value": 9}, {"op": "write", "value": 1}]
    used = read_usage(
        remote(
            cpu_stats={"cpu_usage": {"total_usage": 2 * 10**9}, "throttling_data": {"throttled_time": 10**9}},
            blkio_stats={"io_service_bytes_recursive": written},
        ),
        "c",
    )
    assert (used.cpu_s, used.throttled_s, used.written_bytes, used.pids_peak) == (2.0, 1.0, 6, None)


@pytest.mark.parametrize(
    ("folder", "files", "hits"),
    [
        ("system.slice/docker-c.scope", {"cpu.stat": "usage_usec 1\n", "memory.events": "oom 3\noom_kill 2\n"}, 3),
        (
            ".",
            {
                "cpuacct/docker/c/cpuacct.usage": "1\n",
                "memory/docker/c/memory.oom_control": "under_oom 0\noom_kill 2\n",
            },
            None,
        ),
    ],
)
def test_the_kernels_count_of_what_it_killed_for_memory_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, files: dict[str, str], hits: int | None
) -> None:
    monkeypatch.setattr(cgroup, "CGROUPS", tmp_path)
    for name, text in files.items():
        path = tmp_path / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    local: Any = SimpleNamespace(is_local=True)
    used = read_usage(local, "c")
    assert (used.memory_kills, used.limit_hits) == (2, hits)


@pytest.mark.parametrize(
    ("used", "is_hosts"),
    [
        (ResourceUsage(memory_kills=1, limit_hits=0, memory_peak_bytes=50), True),
        (ResourceUsage(memory_kills=1, memory_peak_bytes=50), True),  # version 1 counts no hits
        (ResourceUsage(memory_kills=1, limit_hits=1, memory_peak_bytes=50), False),
        (ResourceUsage(memory_kills=1, limit_hits=0, memory_peak_bytes=100), False),
        (ResourceUsage(memory_kills=1, memory_peak_bytes=99), False),
        (ResourceUsage(memory_kills=1, limit_hits=0), False),
        (ResourceUsage(memory_kills=0, limit_hits=0, memory_peak_bytes=50), False),
        (ResourceUsage(), False),
    ],
)
def test_a_kill_is_the_hosts_only_where_the_containers_own_limit_was_certainly_not_reached(
    used: ResourceUsage, is_hosts: bool
) -> None:
    assert used.lost_to_host(100) is is_hosts


@pytest.mark.parametrize("swap", [True, False])
def test_pages_that_were_written_out_count_to_the_peak_where_the_limit_is_one_with_swap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swap: bool
) -> None:
    monkeypatch.setattr(cgroup, "CGROUPS", tmp_path)
    files = {"cpuacct/docker/c/cpuacct.usage": "1\n", "memory/docker/c/memory.max_usage_in_bytes": "50\n"}
    files |= {"memory/docker/c/memory.memsw.max_usage_in_bytes": "100\n"} if swap else {}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    local: Any = SimpleNamespace(is_local=True)
    assert read_usage(local, "c").memory_peak_bytes == (100 if swap else 50)


# As Docker answers of a container that has ended: the same form, and nothing was counted.
ENDED = {
    "read": "0001-01-01T00:00:00Z",
    "cpu_stats": {"cpu_usage": {"total_usage": 0, "usage_in_usermode": 0}, "throttling_data": {"throttled_time": 0}},
    "memory_stats": {},
    "blkio_stats": {"io_service_bytes_recursive": None},
}


def test_the_noughts_of_a_container_that_has_ended_are_no_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_usage(remote(**ENDED), "c") == ResourceUsage()
    monkeypatch.setattr(cgroup, "CGROUPS", tmp_path)  # its folder is gone by then
    here = remote(**ENDED)
    here.is_local = True
    assert read_usage(here, "c") == ResourceUsage()


@pytest.mark.parametrize(
    ("files", "throttled_s"),
    [
        ({"docker/c/cpu.stat": "usage_usec 1\nthrottled_usec 2000000\n"}, 2.0),
        ({"docker/c/cpu.stat": "usage_usec 1\n"}, None),  # no quota is counted in there
        ({"cpuacct/docker/c/cpuacct.usage": "1\n", "cpu/docker/c/cpu.stat": "throttled_time 2000000000\n"}, 2.0),
        ({"cpuacct/docker/c/cpuacct.usage": "1\n", "cpu/docker/c/cpu.stat": "nr_periods 0\n"}, None),
        ({"cpuacct/docker/c/cpuacct.usage": "1\n"}, None),
    ],
)
def test_a_time_that_the_kernel_does_not_count_is_not_taken_for_none_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], throttled_s: float | None
) -> None:
    monkeypatch.setattr(cgroup, "CGROUPS", tmp_path)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    local: Any = SimpleNamespace(is_local=True)
    assert read_usage(local, "c").throttled_s == throttled_s
