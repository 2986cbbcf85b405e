"""Core sets: disjoint cores for several slots, on machines that are not here."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest

from runner.sandbox.core_sets import (
    CORES_OF_A_SET,
    Core,
    as_cpuset,
    cpus_of,
    most_core_sets,
    plan_core_sets,
    read_cores,
    rotated,
)
from runner.sandbox.engine import Engine, _facts
from runner.sandbox.lock import lock_name
from tests.builders import ENGINE_INFO


def machine(cores: int, threads: int = 1, nodes: int = 1, of_cache: int = 0) -> list[Core]:
    """A machine whose second threads are numbered after all first ones, as most are; its cores lie node by node."""
    return [
        Core(
            tuple(core + cores * thread for thread in range(threads)),
            core * nodes // cores,
            str(core // of_cache) if of_cache else "",
        )
        for core in range(cores)
    ]


TWO, FOUR, EIGHT = machine(2), machine(4), machine(8)
EIGHT_SMT = machine(8, threads=2)
SIXTY_FOUR = machine(64, threads=2, nodes=2, of_cache=8)
MACHINES = {
    "2 cores": (TWO, 1),
    "1 core of two threads": (machine(1, threads=2), 1),
    "4 cores": (FOUR, 1),
    "8 cores": (EIGHT, 3),
    "8 cores of two threads": (EIGHT_SMT, 3),
    "64 cores, 2 nodes, caches of 8": (SIXTY_FOUR, 31),
    "64 cores without caches": (machine(64), 31),
    "caches of one core each": (machine(8, of_cache=1), 3),
    "16 cores, 4 nodes": (machine(16, nodes=4), 7),
}


@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_has_room_for_as_many_slots_as_it_has_pairs_of_cores_beside_its_first(name: str) -> None:
    cores, most = MACHINES[name]
    assert most_core_sets(cores) == most
    assert plan_core_sets(cores, most + 1) == ()


PLANS = [(name, count) for name, (_, most) in MACHINES.items() if most > 1 for count in range(1, most + 1)]


@pytest.mark.parametrize(("name", "count"), PLANS)
def test_no_two_slots_share_a_core_a_node_or_a_lock(name: str, count: int) -> None:
    cores, _ = MACHINES[name]
    plan = plan_core_sets(cores, count)
    used = [set(cpus_of(one.cpus)) for one in plan]
    assert len(plan) == count
    for one, cpus in zip(plan, used, strict=True):
        whole = [core for core in cores if cpus & set(core.cpus)]
        assert cpus == {cpu for core in whole for cpu in core.cpus}, "a core is whole or not at all in a set"
        assert len(whole) >= CORES_OF_A_SET and int(one.measure) == max(cpus)
        assert len({core.node for core in whole}) == 1
        assert 0 not in cpus, "the first core is the host's"
    assert all(one.isdisjoint(other) for one, other in itertools.combinations(used, 2))
    assert len({lock_name(one.measure) for one in plan}) == count
    assert plan[0].measure == str(max(cpu for core in cores for cpu in core.cpus)), "where every runner measures"


def shared(cores: Sequence[Core], cpus: str) -> set[str]:
    return {core.cache for core in cores if set(cpus_of(cpus)) & set(core.cpus)}


def test_few_slots_of_a_large_machine_have_nodes_and_caches_of_their_own() -> None:
    two, eight = plan_core_sets(SIXTY_FOUR, 2), plan_core_sets(SIXTY_FOUR, 8)
    assert {core.node for one in two for core in SIXTY_FOUR if int(one.measure) in core.cpus} == {0, 1}
    assert [len(shared(SIXTY_FOUR, one.cpus)) for one in eight] == [1] * 8
    assert len({cache for one in eight for cache in shared(SIXTY_FOUR, one.cpus)}) == 8


def test_what_may_be_used_of_a_machine_is_all_that_is_planned_with() -> None:
    ours = [core for core in EIGHT_SMT if core.cpus[0] in (2, 3, 4, 5)]
    assert [one.cpus for one in plan_core_sets(ours, 2)] == ["4-5,12-13", "2-3,10-11"]
    assert plan_core_sets(ours, 3) == () == plan_core_sets([], 1)


@pytest.mark.parametrize(("cpus", "text"), [([], ""), ([3], "3"), ([0, 1], "0-1"), ([5, 0, 1, 2, 7], "0-2,5,7")])
def test_cpusets_are_read_and_written_as_the_kernel_does(cpus: list[int], text: str) -> None:
    assert as_cpuset(cpus) == text and cpus_of(f"{text}\n") == tuple(sorted(cpus))


@pytest.fixture
def sys_folder(tmp_path: Path) -> Path:
    """Two cores of two threads, each with a node and a cache."""
    (tmp_path / "online").write_text("0-3\n")
    for cpu in range(4):
        folder = tmp_path / f"cpu{cpu}"
        (folder / "topology").mkdir(parents=True)
        (folder / "topology" / "thread_siblings_list").write_text(f"{cpu % 2},{cpu % 2 + 2}\n")
        (folder / f"node{cpu % 2}").mkdir()
        for level in range(2):
            (folder / "cache" / f"index{level}").mkdir(parents=True)
            (folder / "cache" / f"index{level}" / "shared_cpu_list").write_text(f"{cpu % 2},{cpu % 2 + 2}\n")
    return tmp_path


def engine_of(cpus: int, ours: frozenset[int] = frozenset(), url: str = "unix:///x") -> Engine:
    return Engine(url, None, _facts({**ENGINE_INFO, "NCPU": cpus}, {}), own_cpus=ours)


def test_cores_are_read_from_the_kernel_with_their_threads_nodes_and_caches(sys_folder: Path) -> None:
    assert read_cores(engine_of(4), sys_folder) == ((Core((0, 2), 0, "0,2"), Core((1, 3), 1, "1,3")), "")


def test_a_core_of_which_only_one_thread_is_ours_is_left_out(sys_folder: Path) -> None:
    found, why = read_cores(engine_of(4, frozenset({0, 1, 3})), sys_folder)
    assert [core.cpus for core in found] == [(1, 3)] and not why


@pytest.mark.parametrize(
    ("engine", "why"),
    [
        (engine_of(4, url="tcp://10.0.0.1:2375"), "another machine"),
        (engine_of(8), "the engine has 8 CPUs, this machine 4"),
    ],
)
def test_where_the_cores_cannot_be_told_it_says_why(engine: Engine, why: str, sys_folder: Path) -> None:
    cores, said = read_cores(engine, sys_folder)
    assert cores == () and why in said


@pytest.mark.parametrize("siblings", ["", "\n", "1\n"])
def test_a_cpu_of_which_the_kernel_names_no_core_is_no_error(sys_folder: Path, siblings: str) -> None:
    (sys_folder / "cpu0" / "topology" / "thread_siblings_list").write_text(siblings)
    assert read_cores(engine_of(4), sys_folder) == ((), "the kernel does not say which CPUs share a core")


def test_a_kernel_that_does_not_say_which_cpus_share_a_core_is_no_error(tmp_path: Path) -> None:
    assert read_cores(engine_of(4), tmp_path) == ((), "the kernel does not say which CPUs share a core")


@pytest.mark.parametrize(
    ("cpuset", "quota", "turns"),
    [
        ("0-1", 1.0, ["0", "1", "0"]),
        ("0-3", 2.0, ["0-1", "2-3", "0-1"]),
        ("0-2", 2.0, ["0-1", "0,2", "1-2", "0-1"]),
        ("1,5,7", 1.0, ["1", "5", "7", "1"]),
        ("0-3", 0.5, ["0", "1"]),
        ("0-3", 1.5, ["0-1", "2-3"]),
        ("0-3", 4.0, ["0-3", "0-3"]),
        ("0-1", 8.0, ["0-1"]),
        ("1", 1.0, ["1", "1"]),
    ],
)
def test_each_sandbox_gets_as_many_cpus_as_its_quota_is_worth_and_the_next_one_others(
    cpuset: str, quota: float, turns: list[str]
) -> None:
    assert [rotated(cpuset, quota, turn) for turn in range(len(turns))] == turns
