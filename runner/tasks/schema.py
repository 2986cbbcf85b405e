"""The tables of task.toml: unknown keys are errors, and nothing changes after reading."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from runner.records.grading import Equivalence

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
