"""Core sets: the CPUs on which several gradings measure at once without sharing a core. Pure, but for `read_cores`.

A grading alone measures on the machine's last CPU and warms its containers up on all of them. Where several measure side by
side, each has whole physical cores for itself: it measures on the last CPU of its set, and warms up on all of the set, so
that what one warms up never shares a core, a hardware thread or, where the machine has enough of them, a last-level cache or
a memory node with what another one measures.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.sandbox.engine import Engine

CPUS_FOLDER = Path("/sys/devices/system/cpu")
# Physical cores of a set at the least. chosen: as many as the smallest machine has on which noise was studied; with one core
# alone, checks and warm-ups would take about twice as long.
CORES_OF_A_SET = 2


@dataclass(frozen=True, slots=True)
class Core:
    """A physical core.

    Attributes:
        cpus: its hardware threads, in order.
        node: number of the memory node that it is next to.
        cache: the CPUs that share its last-level cache, in the kernel's words; empty where it does not say.
    """

    cpus: tuple[int, ...]
    node: int = 0
    cache: str = ""


@dataclass(frozen=True, slots=True)
class CoreSet:
    """The cores of one slot.

    Attributes:
        measure: the CPU that its samples run on, as a cpuset.
        cpus: all of its CPUs, as a cpuset: where its containers warm up, and its checks run.
        at_once: how many containers may warm up at one time.
    """

    measure: str
    cpus: str
    at_once: int


def plan_core_sets(cores: Sequence[Core], count: int) -> tuple[CoreSet, ...]:
    """Core sets for `count` slots that measure at once; empty where there is no room for so many.

    The core of the machine's first CPU belongs to none: there the runner, the engine and most interrupts are. The first set
    holds the machine's last CPU, which every runner measures on. Slots are spread over the memory nodes and caches, and
    share the cores there evenly.

    Args:
        cores: of the machine, or those that may be used.
        count: from 1.
    """
    places = _places([core for core in cores if 0 not in core.cpus])
    if not places:
        return ()
    last = max(range(len(places)), key=lambda place: places[place][-1].cpus[-1])
    slots = [0] * len(places)
    for number in range(count):
        room = [place for place in range(len(places)) if len(places[place]) >= CORES_OF_A_SET * (slots[place] + 1)]
        if not room or (number == 0 and last not in room):
            return ()
        chosen = last if number == 0 else max(room, key=lambda place: _roominess(places, slots, place))
        slots[chosen] += 1
    sets = [part for place, parts in zip(places, slots, strict=True) if parts for part in _split(place, parts)]
    return tuple(map(_core_set, sorted(sets, key=_last_cpu, reverse=True)))


def _roominess(places: Sequence[Sequence[Core]], slots: Sequence[int], place: int) -> tuple[float, float, int]:
    """What the next slot goes by: cores for each slot of the memory node, then of the cache there."""
    node = places[place][0].node
    of_node = [other for other, cores in enumerate(places) if cores[0].node == node]
    cores = sum(len(places[other]) for other in of_node)
    return cores / (sum(slots[other] for other in of_node) + 1), len(places[place]) / (slots[place] + 1), place


def most_core_sets(cores: Sequence[Core]) -> int:
    """How many slots a machine has room for; at least one, which needs no core of its own."""
    count = 1
    while plan_core_sets(cores, count + 1):
        count += 1
    return count


def _places(cores: Iterable[Core]) -> list[list[Core]]:
    """The cores by what they share: a last-level cache, or where that is too small for a set, a memory node."""
    nodes: dict[int, list[Core]] = defaultdict(list)
    for core in sorted(cores, key=_first_cpu):
        nodes[core.node].append(core)
    places: list[list[Core]] = []
    for _, of_node in sorted(nodes.items()):
        caches: dict[str, list[Core]] = defaultdict(list)
        for core in of_node:
            caches[core.cache].append(core)
        fits = all(len(of_cache) >= CORES_OF_A_SET for of_cache in caches.values())
        places += list(caches.values()) if fits else [of_node]
    return [sorted(place, key=lambda core: core.cpus[-1]) for place in places]


def _first_cpu(core: Core) -> int:
    return core.cpus[0]


def _last_cpu(part: Sequence[Core]) -> int:
    return max(core.cpus[-1] for core in part)


def _split(cores: Sequence[Core], parts: int) -> list[Sequence[Core]]:
    """Neighbours together, as evenly as they go."""
    edges = [number * len(cores) // parts for number in range(parts + 1)]
    return [cores[first:end] for first, end in zip(edges, edges[1:], strict=False)]


def _core_set(cores: Sequence[Core]) -> CoreSet:
    cpus = sorted(cpu for core in cores for cpu in core.cpus)
    return CoreSet(str(cpus[-1]), as_cpuset(cpus), max(2, len(cpus)))


def as_cpuset(cpus: Iterable[int]) -> str:
    """Numbers as the kernel writes them: `0-2,5`."""
    runs: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if runs and runs[-1][-1] == cpu - 1:
            runs[-1].append(cpu)
        else:
            runs.append([cpu])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def cpus_of(cpuset: str) -> tuple[int, ...]:
    """The numbers in a cpuset as the kernel writes it.

    Raises:
        ValueError: it is none.
    """
    cpus: list[int] = []
    for part in filter(None, cpuset.strip().split(",")):
        first, _, last = part.partition("-")
        cpus += range(int(first), int(last or first) + 1)
    return tuple(sorted(cpus))


def rotated(cpuset: str, quota: float, turn: int) -> str:
    """As many CPUs of a set as a quota is worth, rounded up: the ones that are due at this turn, as a cpuset."""
    cpus, count = cpus_of(cpuset), math.ceil(quota)
    if count >= len(cpus):
        return cpuset
    return as_cpuset(cpus[(turn * count + place) % len(cpus)] for place in range(count))


def read_cores(engine: Engine, folder: Path = CPUS_FOLDER) -> tuple[tuple[Core, ...], str]:
    """The cores of the engine's machine that this process may use, or why they cannot be told.

    A core of which this process may use only some of the threads is left out: others may work on the rest.
    """
    if not engine.is_local:
        return (), "the engine is on another machine, whose cores cannot be seen from here"
    try:
        online = cpus_of((folder / "online").read_text(encoding="ascii"))
        cores = sorted({_core(folder, cpu) for cpu in online}, key=_first_cpu)
    except (OSError, ValueError):
        return (), "the kernel does not say which CPUs share a core"
    if len(online) != engine.facts.ncpu:
        return (), f"the engine has {engine.facts.ncpu} CPUs, this machine {len(online)}: it runs somewhere else"
    ours = engine.own_cpus or frozenset(online)
    return tuple(core for core in cores if ours.issuperset(core.cpus)), ""


def _core(folder: Path, cpu: int) -> Core:
    """The core of a CPU.

    Raises:
        OSError, ValueError: the kernel does not say.
    """
    of_cpu = folder / f"cpu{cpu}"
    siblings = cpus_of((of_cpu / "topology" / "thread_siblings_list").read_text(encoding="ascii"))
    if cpu not in siblings:
        raise ValueError(f"CPU {cpu} is on none of the cores")
    nodes = [int(path.name.removeprefix("node")) for path in of_cpu.glob("node[0-9]*")]
    levels = sorted(of_cpu.glob("cache/index[0-9]*/shared_cpu_list"))  # the last index is the last level
    return Core(siblings, min(nodes, default=0), levels[-1].read_text(encoding="ascii").strip() if levels else "")
