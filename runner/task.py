"""A task folder, validated: a typo is an error that names the file, the key and the nearest right one.

Models declare what may stand in task.toml; one function turns whatever is wrong into a `TaskFault`. Nothing here knows
of labels, classes or networks: a task is arrays in, arrays out, and a problem.py that says how good they are.
"""

import difflib
import hashlib
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from runner.faults import TaskFault
from runner.records.rules import Equivalence

Dtype = Literal["bool", "int32", "int64", "uint8", "float32", "float64"]
_UNITS = {"": 1, "b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "kb": 10**3, "mb": 10**6, "gb": 10**9}


def _bytes(value: object) -> object:
    """`"2GiB"` as a number of bytes; integers pass."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", value)
    if match is None or match[2].lower() not in _UNITS:
        raise ValueError('a size is written like "512MiB" or as a number of bytes')
    return int(float(match[1]) * _UNITS[match[2].lower()])


Bytes = Annotated[int, BeforeValidator(_bytes), Field(gt=0)]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=128)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Dotted = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$")]
ShapeEntry = Annotated[int, Field(ge=0)] | Name


class Section(BaseModel):
    """A table of task.toml: unknown keys are errors, and nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskSection(Section):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]*$")]
    version: str = "1.0"
    title: str = ""


class ImageSection(Section):
    name: str = "base"
    python: str = "python3"
    env: dict[str, str] = {}


class SampleSection(Section):
    file: FileName
    seed: Annotated[int, Field(ge=0)]
    scale: str = "full"


class WorkspaceSection(Section):
    folder: str = "workspace"
    starter: FileName
    sample: SampleSection | None = None


class SubmissionSection(Section):
    file: FileName
    max_bytes: Bytes = 256 * 1024


class CallSection(Section):
    kind: Literal["python"] = "python"
    entry: Name
    baseline: FileName = "baseline.py"


class ArraySection(Section):
    dtype: Dtype
    shape: list[ShapeEntry]
    low: float | None = None
    high: float | None = None


class ScaleSection(Section):
    sizes: dict[Name, Annotated[int, Field(gt=0)]]
    target: Annotated[float, Field(gt=0)] | None = None
    tolerance: Annotated[float, Field(ge=0)] | None = None


class TargetSection(Section):
    speedup: Annotated[float, Field(gt=0)] | None = None
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95


class QualitySection(Section):
    name: str = "Quality"
    tolerance: Annotated[float, Field(ge=0)] | None = None
    minimum: float | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> "QualitySection":
        if (self.tolerance is None) == (self.minimum is None):
            raise ValueError("give either tolerance (below the baseline) or minimum")
        return self


class PlainArray(Section):
    dtype: Dtype
    shape: list[ShapeEntry]


class ProbeSection(Section):
    init: list[int | float | Name] = []
    method: Name
    inputs: list[PlainArray]
    outputs: list[PlainArray]
    convert: Dotted | None = None
    agree: Literal["baseline", "shape"] = "shape"
    stateful: bool = False
    tolerance: Annotated[float, Field(gt=0)] = 1e-3


class ComponentSection(Section):
    methods: list[Name]
    probes: list[ProbeSection] = []


class ImportsSection(Section):
    modules: list[Dotted]
    preload: list[Dotted] = []


class LimitsSection(Section):
    memory: Bytes = 1024**3
    cpus: Annotated[float, Field(gt=0)] = 1.0
    pids: Annotated[int, Field(ge=16)] = 128
    workspace: Bytes = 64 * 1024**2
    tmp: Bytes = 64 * 1024**2
    sample_wall_s: Annotated[float, Field(gt=0)] = 120.0


class GradingSection(Section):
    rounds: Annotated[int, Field(gt=0)] = 12
    seconds: Annotated[float, Field(gt=0)] = 3600.0
    equivalence: Equivalence = "report"


class EpisodeSection(Section):
    turns: Annotated[int, Field(gt=0)] = 40
    output_tokens: Annotated[int, Field(gt=0)] | None = None
    tokens: Annotated[int, Field(gt=0)] | None = None
    dollars: Annotated[float, Field(gt=0)] | None = None
    wall_s: Annotated[float, Field(gt=0)] = 7200.0
    working_s: Annotated[float, Field(gt=0)] = 1800.0


class TaskFile(Section):
    """The whole of task.toml."""

    task: TaskSection
    image: ImageSection = ImageSection()
    workspace: WorkspaceSection
    submission: SubmissionSection
    call: CallSection
    inputs: dict[Name, ArraySection]
    answer: dict[Name, ArraySection]
    scales: dict[str, ScaleSection]
    target: TargetSection = TargetSection()
    quality: QualitySection
    components: dict[Name, ComponentSection] = {}
    imports: ImportsSection
    limits: LimitsSection = LimitsSection()
    grading: GradingSection = GradingSection()
    episode: EpisodeSection = EpisodeSection()


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
        folder: where it stands.
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
                mend=f"choose one of: {', '.join(self.file.scales)}",
            )
        return self.file.scales[name]

    def target(self, scale: str) -> float | None:
        """The speed-up asked for at a scale, a ratio; None where quality alone counts."""
        return self.scale(scale).target or self.file.target.speedup

    def tolerance(self, scale: str) -> float | None:
        """How far below the baseline the quality may lie at a scale; None where a minimum is set instead."""
        if self.file.quality.tolerance is None:
            return None
        own = self.scale(scale).tolerance
        return self.file.quality.tolerance if own is None else own

    def input_arrays(self, scale: str) -> tuple[Array, ...]:
        """What goes into a container, in order."""
        return self._arrays(self.file.inputs, scale)

    def answer_arrays(self, scale: str) -> tuple[Array, ...]:
        """What must come out of a container, in order."""
        return self._arrays(self.file.answer, scale)

    def shape(self, entries: list[int | str], scale: str) -> tuple[int, ...]:
        """A declared shape in the numbers of a scale."""
        sizes = self.scale(scale).sizes
        return tuple(entry if isinstance(entry, int) else sizes[entry] for entry in entries)

    def _arrays(self, sections: dict[str, ArraySection], scale: str) -> tuple[Array, ...]:
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

    @property
    def preloads(self) -> tuple[str, ...]:
        """Modules imported before the clock starts, on both sides."""
        return (*self.file.imports.modules, *self.file.imports.preload)

    def instruction(self, scale: str) -> str:
        """What the agent is told, its figures filled in."""
        target, tolerance = self.target(scale), self.tolerance(scale)
        text = (self.folder / "instruction.md").read_text(encoding="utf-8")
        bar = tolerance if tolerance is not None else self.file.quality.minimum
        return text.replace("{target}", f"{target}").replace("{tolerance}", f"{bar}")


def digest_of_folder(folder: Path) -> str:
    """sha256 over names and contents of all files below a folder, hex."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def find_task(name_or_path: str, tasks: Path) -> Task:
    """The task of that name under `tasks`, or of that folder.

    Raises:
        TaskFault: there is none, or it is broken.
    """
    for folder in (tasks / name_or_path, Path(name_or_path)):
        if (folder / "task.toml").is_file():
            return read_task(folder)
    if Path(name_or_path).is_dir():
        raise TaskFault(cause=f"{name_or_path} holds no task.toml", mend="see ARCHITECTURE.md, «A task folder»")
    known = sorted(path.parent.name for path in tasks.glob("*/task.toml"))
    near = difflib.get_close_matches(name_or_path, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise TaskFault(cause=f"no task {name_or_path!r}", mend=f"{hint}known tasks: {', '.join(known) or 'none'}")


def read_task(folder: Path) -> Task:
    """The task of a folder.

    Raises:
        TaskFault: a file is missing, or task.toml is broken.
    """
    path = folder / "task.toml"
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TaskFault(cause=f"{path} is not TOML: {error}", mend="mend the line it names") from error
    try:
        file = TaskFile.model_validate(raw)
    except ValidationError as error:
        raise _explain(path, error) from error
    _check_files(folder, file)
    _check_sizes(path, file)
    _check_names(path, file)
    return Task(folder.resolve(), file)


def _explain(path: Path, error: ValidationError) -> TaskFault:
    """The first thing that is wrong, with the key and the nearest right one."""
    # An unknown key first: a misspelt one is also a missing one, and its name tells more.
    first = min(error.errors(include_url=False), key=lambda entry: entry["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        right = difflib.get_close_matches(str(first["loc"][-1]), _keys_at(first["loc"][:-1]), n=1)
        mend = f"did you mean {right[0]!r}?" if right else f"known keys: {', '.join(_keys_at(first['loc'][:-1]))}"
        return TaskFault(cause=f"{path}: unknown key {key}", mend=mend)
    if first["type"] == "missing":
        return TaskFault(cause=f"{path}: {key} is missing", mend="add it; see ARCHITECTURE.md, «A task folder»")
    return TaskFault(cause=f"{path}: {key} = {first['input']!r}: {first['msg']}", mend="mend the value")


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
            raise TaskFault(cause=f"{folder / name} is missing", mend="a task folder needs it; see ARCHITECTURE.md")
    if not (folder / file.workspace.folder).is_dir():
        raise TaskFault(
            cause=f"{folder / file.workspace.folder} is missing", mend="make the folder that the agent finds"
        )


def _check_sizes(path: Path, file: TaskFile) -> None:
    """Every size name in a shape stands in every scale, and the file systems fit the memory."""
    shapes = [section.shape for section in (*file.inputs.values(), *file.answer.values())]
    for component in file.components.values():
        for probe in component.probes:
            shapes += [array.shape for array in (*probe.inputs, *probe.outputs)]
    names = {entry for shape in shapes for entry in shape if isinstance(entry, str)}
    for scale, section in file.scales.items():
        missing = sorted(names - set(section.sizes))
        if missing:
            raise TaskFault(cause=f"{path}: scales.{scale}.sizes lacks {', '.join(missing)}", mend="add the size")
    limits = file.limits
    if limits.workspace + limits.tmp > limits.memory // 2:
        raise TaskFault(
            cause=f"{path}: limits.workspace + limits.tmp is over half of limits.memory",
            mend="a full tmpfs counts as memory: lower them, or raise limits.memory",
        )


def _check_names(path: Path, file: TaskFile) -> None:
    sample = file.workspace.sample
    if sample is not None and sample.scale not in file.scales:
        raise TaskFault(
            cause=f"{path}: workspace.sample.scale = {sample.scale!r} is no scale",
            mend=f"choose one of: {', '.join(file.scales)}",
        )
    if (
        file.quality.minimum is None
        and file.target.speedup is None
        and not any(scale.target for scale in file.scales.values())
    ):
        raise TaskFault(
            cause=f"{path}: neither a target.speedup nor a quality.minimum", mend="say what the agent has to reach"
        )
