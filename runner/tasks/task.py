"""A task folder, validated: a typo is an error that names the file, the key and the nearest right one.

Models declare what task.toml may hold; one function turns whatever is wrong into a `TaskFault`. Nothing here knows
of labels, classes or networks: a task is arrays in, arrays out, and a problem.py that says how good they are.
"""

import ast
import difflib
import hashlib
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
from pydantic import ValidationError

from runner.faults import TaskFault
from runner.tasks.schema import ArraySection, ScaleSection, Section, TaskFile

REFERENCE = "docs/reference/task-toml.md"


class Array(NamedTuple):
    """An array as declared, its shape in numbers.

    Attributes:
        low, high: the inclusive range of every value; None for any finite one.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    low: float | None = None
    high: float | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the raw array."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


class Task:
    """A validated task folder.

    Attributes:
        folder: its absolute path.
        file: task.toml, validated.
        digest: sha256 over every file of the folder, hex.
    """

    def __init__(self, folder: Path, file: TaskFile) -> None:
        self.folder = folder
        self.file = file
        self.digest = digest_of_folder(folder)

    @property
    def name(self) -> str:
        """The task's name."""
        return self.file.task.name

    def scale(self, name: str) -> ScaleSection:
        """A scale by name.

        Raises:
            TaskFault: there is none of that name.
        """
        if name not in self.file.scales:
            raise TaskFault(
                cause=f"task {self.name} has no scale {name!r}",
                hint=f"choose one of: {', '.join(self.file.scales)}",
            )
        return self.file.scales[name]

    def target(self, scale: str) -> float | None:
        """The speed-up asked for at a scale, baseline time over candidate time; None where quality alone counts."""
        return self.scale(scale).target or self.file.target.speedup

    def tolerance(self, scale: str) -> float | None:
        """How far below the baseline the quality may lie at a scale; None where a minimum is set instead."""
        if self.file.quality.tolerance is None:
            return None
        at_scale = self.scale(scale).tolerance
        return self.file.quality.tolerance if at_scale is None else at_scale

    def data_sets(self, scale: str) -> int:
        """On how many data sets a submission must have been seen at a scale before it passes."""
        return self.scale(scale).data_sets or self.file.grading.data_sets

    def input_arrays(self, scale: str) -> tuple[Array, ...]:
        """What goes into a container, in the order of task.toml."""
        return self._arrays(self.file.inputs, scale)

    def answer_arrays(self, scale: str) -> tuple[Array, ...]:
        """What must come out of a container, in the order of task.toml."""
        return self._arrays(self.file.answer, scale)

    def shape(self, entries: list[int | str], scale: str) -> tuple[int, ...]:
        """A declared shape, with the sizes of a scale in place of their names."""
        sizes = self.scale(scale).sizes
        return tuple(entry if isinstance(entry, int) else sizes[entry] for entry in entries)

    def _arrays(self, sections: Mapping[str, ArraySection], scale: str) -> tuple[Array, ...]:
        return tuple(
            Array(name, section.dtype, self.shape(section.shape, scale), section.low, section.high)
            for name, section in sections.items()
        )

    @property
    def baseline(self) -> bytes:
        """The baseline's source."""
        return (self.folder / self.file.call.baseline).read_bytes()

    @property
    def oracle(self) -> bytes | None:
        """The solution's source, if the folder has one."""
        path = self.folder / "solution" / self.file.submission.file
        return path.read_bytes() if path.is_file() else None

    def preloads(self, imports: Collection[str] | None) -> tuple[str, ...]:
        """Modules that are imported before the clock starts, for a file whose text imports these.

        What the baseline may need is among them for every file, so that no file's process is smaller than the baseline's.
        Packages are not split: what one of its modules imports later, on the clock, is often another of them.

        Args:
            imports: names of modules; of the baseline's none are needed. None where they are not known: all are imported.
        """
        if imports is None:
            return (*self.file.imports.modules, *self.file.imports.preload)
        packages = {_package(name) for name in (*imports, *imported_modules(self.baseline))}
        listed = [name for name in self.file.imports.modules if _package(name) in packages]
        return (*listed, *self.file.imports.preload)

    def instruction(self, scale: str) -> str:
        """What the agent is asked to do: instruction.md with the figures of a scale and the lists of [imports]."""
        target, tolerance = self.target(scale), self.tolerance(scale)
        text = (self.folder / "instruction.md").read_text(encoding="utf-8")
        bar = tolerance if tolerance is not None else self.file.quality.minimum
        text = text.replace("{target}", f"{target}").replace("{tolerance}", f"{bar}")
        imports = self.file.imports
        return text.replace("{modules}", _in_code(imports.modules)).replace("{forbidden}", _in_code(imports.forbidden))


def _in_code(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def imported_modules(source: bytes) -> tuple[str, ...]:
    """The modules that the text of a file imports.

    Args:
        source: of our own or the task's; what comes out of a sandbox is parsed in one (`runner/sandbox/inside/checker.py`).

    Raises:
        TaskFault: it is not Python.
    """
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError) as error:
        raise TaskFault(cause=f"the baseline or the solution is not Python: {error}", hint="fix the file") from error
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return (*plain, *(node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)))


def _package(module: str) -> str:
    return module.partition(".")[0]


def digest_of_folder(folder: Path) -> str:
    """sha256 over names and contents of all files below a folder, hex."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def find_task(name_or_path: str, tasks: Path) -> Task:
    """The task of that name in the folder `tasks`, or the task whose folder that is.

    Raises:
        TaskFault: there is none, or it is broken.
    """
    for folder in (tasks / name_or_path, Path(name_or_path)):
        if (folder / "task.toml").is_file():
            return read_task(folder.absolute())  # an agent of the user's own may change the working directory
    if Path(name_or_path).is_dir():
        raise TaskFault(cause=f"{name_or_path} holds no task.toml", hint=f"add one; see {REFERENCE}")
    known = sorted(path.parent.name for path in tasks.glob("*/task.toml"))
    near = difflib.get_close_matches(name_or_path, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise TaskFault(cause=f"there is no task {name_or_path!r}", hint=f"{hint}known tasks: {', '.join(known) or 'none'}")


def read_task(folder: Path) -> Task:
    """The task of a folder.

    Raises:
        TaskFault: a file is missing, or task.toml is broken.
    """
    path = folder / "task.toml"
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TaskFault(cause=f"{path} is not valid TOML: {error}", hint="fix the line that it names") from error
    try:
        file = TaskFile.model_validate(raw)
    except ValidationError as error:
        raise _explain(path, error) from error
    _check_files(folder, file)
    _check_sizes(path, file)
    _check_names(path, file)
    _check_instruction(folder, file)
    return Task(folder.resolve(), file)


def _explain(path: Path, error: ValidationError) -> TaskFault:
    """The first thing that is wrong, with the key and the nearest right one."""
    # An unknown key first: a misspelt one is also a missing one, and its name tells more.
    first = min(error.errors(include_url=False), key=lambda entry: entry["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        right = difflib.get_close_matches(str(first["loc"][-1]), _keys_at(first["loc"][:-1]), n=1)
        hint = f"did you mean {right[0]!r}?" if right else f"known keys: {', '.join(_keys_at(first['loc'][:-1]))}"
        return TaskFault(cause=f"{path}: unknown key {key}", hint=hint)
    if first["type"] == "missing":
        return TaskFault(cause=f"{path}: {key} is missing", hint=f"add it; see {REFERENCE}")
    return TaskFault(cause=f"{path}: {key} = {first['input']!r}: {first['msg']}", hint="fix the value")


def _keys_at(loc: tuple[int | str, ...]) -> list[str]:
    """The keys that the model allows at a place in the file."""
    kind: Any = TaskFile
    for part in loc:
        kind = kind.model_fields[part].annotation if _is_section(kind) and part in kind.model_fields else kind
        if not _is_section(kind):
            sections = [argument for argument in get_args(kind) if _is_section(argument)]
            kind = sections[0] if sections else kind
    return list(kind.model_fields) if _is_section(kind) else []


def _is_section(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)


def _check_files(folder: Path, file: TaskFile) -> None:
    needed = ["instruction.md", "problem.py", file.call.baseline]
    for name in needed:
        if not (folder / name).is_file():
            raise TaskFault(
                cause=f"{folder / name} is missing", hint=f"add the file: every task needs one; see {REFERENCE}"
            )
    if not (folder / file.workspace.folder).is_dir():
        raise TaskFault(
            cause=f"{folder / file.workspace.folder} is missing",
            hint="create the folder, with what the agent finds in its workspace",
        )


def _check_sizes(path: Path, file: TaskFile) -> None:
    """Check that every scale has every size that a shape names, and that the file systems fit the memory."""
    shapes = [section.shape for section in (*file.inputs.values(), *file.answer.values())]
    for component in file.components.values():
        for probe in component.probes:
            shapes += [array.shape for array in probe.inputs] + [array.shape for array in probe.outputs]
            shapes += probe.parameter_shapes
    names = {entry for shape in shapes for entry in shape if isinstance(entry, str)}
    for scale, section in file.scales.items():
        missing = sorted(names - set(section.sizes))
        if missing:
            raise TaskFault(
                cause=f"{path}: scales.{scale}.sizes lacks {', '.join(missing)}", hint="add the size: a shape names it"
            )
    limits = file.limits
    if limits.workspace + limits.tmp > limits.memory // 2:
        raise TaskFault(
            cause=f"{path}: limits.workspace + limits.tmp is more than half of limits.memory",
            hint="files in them count as memory: lower them, or raise limits.memory",
        )


def _check_made_by(path: Path, file: TaskFile) -> None:
    """Check that what makes an array of the answer, and what it is made of, is there."""
    for name, section in file.answer.items():
        made_by = section.made_by
        if made_by is None:
            continue
        component = file.components.get(made_by.component)
        if component is None or made_by.method not in component.methods:
            raise TaskFault(
                cause=f"{path}: answer.{name}.made_by names {made_by.component}.{made_by.method}",
                hint="name a component of [components], and one of its methods",
            )
        if unknown := sorted({*made_by.inputs, *made_by.earlier} - set(file.inputs)):
            raise TaskFault(
                cause=f"{path}: answer.{name}.made_by gets {', '.join(unknown)}", hint="name arrays of [inputs]"
            )


def _check_names(path: Path, file: TaskFile) -> None:
    _check_made_by(path, file)
    sample = file.workspace.sample
    if sample is not None and sample.scale not in file.scales:
        raise TaskFault(
            cause=f"{path}: workspace.sample.scale = {sample.scale!r} is not a scale",
            hint=f"choose one of: {', '.join(file.scales)}",
        )
    if (
        file.quality.minimum is None
        and file.target.speedup is None
        and not any(scale.target for scale in file.scales.values())
    ):
        raise TaskFault(
            cause=f"{path}: there is neither a target.speedup nor a quality.minimum",
            hint="add one of them: what the agent must reach",
        )


def _check_instruction(folder: Path, file: TaskFile) -> None:
    """Check that nothing is forbidden that the agent is not told of."""
    path, forbidden = folder / "instruction.md", file.imports.forbidden
    if forbidden and "{forbidden}" not in path.read_text(encoding="utf-8"):
        raise TaskFault(
            cause=f"{path} does not say what imports.forbidden lists: {', '.join(forbidden)}",
            hint="write {forbidden} where the list is to stand",
        )
