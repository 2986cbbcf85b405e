"""What every measurement of a finished job needs: its task, its files, and where they are measured."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.grading.context import GradingContext
from runner.job.variants import Ask, Places, locate, swap
from runner.tasks.strategies import Part, rules_of
from runner.tasks.task import Task

JOINED = " + "  # between the names of parts that are one unit
SOLUTION, BASELINE = 0, -1  # in place of a run's number


@dataclass(frozen=True, slots=True)
class Subject:
    """A file that is measured.

    Attributes:
        title: such as `run 3 (best, median)`.
        run: its number; SOLUTION or BASELINE for the task's own.
    """

    title: str
    run: int
    content: bytes = field(repr=False)
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where and about what is measured.

    Attributes:
        parts: of the task's strategies.
        definitions: by unit, those of the baseline that it consists of; empty for a part that could not be located. A unit
            is a part, or parts that share a definition: these can only be put back together.
        ask: the parser.
    """

    task: Task
    scale: str
    parts: tuple[Part, ...]
    definitions: Mapping[str, tuple[str, ...]]
    ask: Ask
    context: GradingContext
    say: Callable[[str], None]

    def about(self, **more: Any) -> dict[str, Any]:
        """What a measurement is about: kept with it, so that one of something else is not taken for it."""
        rules = self.context.rules
        return {
            "task": self.task.digest,
            "scale": self.scale,
            "image": self.context.spec.image_id,
            "edition": rules.edition,
            **more,
        }

    def unit_of(self, part: Part) -> str:
        """The unit that a part is in."""
        return next(unit for unit in self.definitions if part.name in unit.split(JOINED))

    def put_in(self, target: bytes, donor: bytes, units: list[str]) -> bytes | str:
        """The target with the donor's versions of some units; or why it cannot be made."""
        names = [name for unit in units for name in self.definitions[unit]]
        return swap(self.ask, target, donor, self.task.baseline, names, self.task.file.submission.max_bytes)

    def where_solved(self, content: bytes) -> Places:
        """Where the ways of all parts are found in a file."""
        return locate(self.ask, content, rules_of(self.parts))


def unit_definitions(parts: tuple[Part, ...], baseline: Places) -> dict[str, tuple[str, ...]]:
    """By unit, the definitions that it consists of: as the task says, or those in which its patterns are found."""
    units: dict[str, set[str]] = {}
    for part in parts:
        name, names = part.name, set(part.definitions) or set(_found_in(part, baseline))
        for unit in [unit for unit, known in units.items() if known & names]:
            name, names = f"{unit}{JOINED}{name}", names | units.pop(unit)
        units[name] = names
    return {unit: tuple(sorted(names)) for unit, names in units.items()}


def _found_in(part: Part, places: Places) -> tuple[str, ...]:
    found = (places.found.get(f"{part.name}/{strategy.id}", ()) for strategy in part.strategy)
    return tuple(sorted({name for names in found for name in names if name}))


def solved_elsewhere(
    unit: str, parts: Sequence[Part], places: Places, definitions: Mapping[str, tuple[str, ...]]
) -> str:
    """Why putting a unit back would not undo it: a way of it is found outside of what would go; empty where it would."""
    others = [name for other, names in definitions.items() if other != unit for name in names]
    reached = places.reached(definitions[unit], apart=others)
    for part in parts:
        found = set(_found_in(part, places))
        if part.name in unit.split(JOINED) and found and not found & reached:
            where = ", ".join(sorted(found))
            return f"{part.name} is solved in {where}, outside of what would be put back"
    return ""
