"""The tables of task.toml: unknown keys are errors, and nothing changes after reading.

The text below a field is its description, in `TaskFile.model_json_schema()` and in docs/reference/task-toml.md.
"""

import math
import re
import sys
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from runner.records.grading import Equivalence

# Data sets that a submission must have been seen on before it passes. chosen: a file that meets the target on three data
# sets of four meets it on all of sixteen in 1 % of gradings (on three: 42 %); with three samples on each of two of them and
# one on the others, a file that is slow in one sample of six shows it in 97 %.
DATA_SETS = 16
Dtype = Literal["bool", "int32", "int64", "uint8", "float32", "float64"]

_FRACTIONS = ("float32", "float64")
# The least and the largest value of a type.
_RANGES: dict[str, tuple[float, float]] = {
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint8": (0, 255),
    "float32": (-3.4028234663852886e38, 3.4028234663852886e38),
    "float64": (-sys.float_info.max, sys.float_info.max),
}

_UNITS = {"": 1, "b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "kb": 10**3, "mb": 10**6, "gb": 10**9}


def _parse_size(value: object) -> object:
    """`"2GiB"` as a number of bytes; integers pass.

    Not pydantic.ByteSize: that one also takes bits ("3Mbit"), and ignores whatever follows the unit ("3 MiB x").
    """
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", value)
    if match is None or match[2].lower() not in _UNITS:
        raise ValueError('write a size like "512MiB", or as a number of bytes')
    number = float(match[1])
    return int(number * _UNITS[match[2].lower()]) if number <= NUMBER_MAX else NUMBER_MAX + 1  # which is refused


def _named(command: list[str]) -> list[str]:
    """A command, whose first word is a program's name; of no words where there is none."""
    if command and not command[0]:
        raise ValueError("the first word is the program's name, and is empty")
    return command


# The largest number that every call takes, and that JSON's readers agree on: 8 PiB, or more turns than anybody pays for.
NUMBER_MAX = 2**53
Count = Annotated[int, Field(gt=0, le=NUMBER_MAX)]
# chosen: no wait of a month is meant, and every clock and every call that waits takes it.
SECONDS_MAX = 30 * 86_400.0
Seconds = Annotated[float, Field(gt=0, le=SECONDS_MAX)]
Policy = Annotated[Equivalence, Field(strict=False)]  # by its word
Bytes = Annotated[int, BeforeValidator(_parse_size), Field(gt=0, le=NUMBER_MAX)]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=128)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
ABSOLUTE = r"^/[^\x00]*$"
# What a program can be started with: the kernel's texts end at a NUL.
Word = Annotated[str, Field(pattern=r"^[^\x00]*$")]
Command = Annotated[list[Word], AfterValidator(_named)]
Environment = dict[Annotated[str, Field(pattern=r"^[^=\x00]+$")], Word]
Reference = Annotated[str, Field(pattern=r"^[^\s\x00]+$")]
DottedName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$")]
ShapeEntry = Annotated[int, Field(ge=0, le=NUMBER_MAX)] | Name


class Section(BaseModel):
    """A table of task.toml."""

    # A number that is none (`nan`) compares as false with everything: a bar or a range of it would be silently off. Strict:
    # `true` is no 1, and "5" no 5.
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False, strict=True
    )


class TaskSection(Section):
    """What the task is called."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]*$")]
    """Its name in records, and the name of its folder."""
    version: str = "1.0"
    """Changes whenever results cannot be compared with earlier ones any more."""
    title: str = ""
    """One line for a list of tasks."""


class ImageSection(Section):
    """The image that the agent's and the samples' containers run."""

    name: Reference = "base"
    """A folder under images/, or any image reference."""
    python: Annotated[Word, Field(min_length=1)] = "python3"
    """The interpreter in it."""
    env: Environment = {}
    """Environment variables of its containers."""


class SampleSection(Section):
    """Data that the agent finds in its workspace, to try its file on."""

    file: FileName
    """The name of the npz file."""
    seed: Annotated[int, Field(ge=0)]
    """The seed that they are made from."""
    scale: str = "full"
    """The scale that they are made at."""


class WorkspaceSection(Section):
    """What the agent finds."""

    folder: str = "workspace"
    """The folder of the task that is copied into the container; it may be missing, unless it is named here."""
    starter: FileName | Literal[""] = ""
    """The name under which the agent finds the baseline; absent: it does not (only where a task needs no baseline)."""
    sample: SampleSection | None = None
    """Sample data; absent: none. Not for answers: the agent always finds the data that it is to answer."""
    start: Annotated[str, Field(pattern=ABSOLUTE)] | Literal[""] = ""
    """tests: the folder of the container in which the agent's shell begins."""


def _inner_path(value: object) -> object:
    """A path in the workspace, or `.` for all of it."""
    if isinstance(value, str) and value != "." and any(step in ("", ".", "..") for step in value.split("/")):
        raise ValueError('write a path in the workspace, such as "app/answer.json", or "." for all of it')
    return value


InnerPath = Annotated[str, BeforeValidator(_inner_path), Field(min_length=1, max_length=1024)]


class SubmissionSection(Section):
    """The one file, or folder, that is graded."""

    file: FileName
    """Its name."""
    max_bytes: Bytes = 256 * 1024
    """The largest file that is accepted; of a folder, all of its files together."""
    folder: bool = False
    """program: a folder is submitted. Links and special files in it are refused."""
    max_files: Annotated[int, Field(gt=0, le=1000)] = 64
    """The most files in it."""


class StepSection(Section):
    """A step of a task of kind tests: what is asked for, and the script that tests it, in a container of its own."""

    name: FileName
    """Its name; what belongs to it lies in the task's folder under steps/, unless it is the only one."""
    image: str
    """The image in which the script and its files lie, where the agent's container has not seen them."""
    run: Annotated[Command, Field(min_length=1)]
    """The command that tests the work and writes /logs/verifier/reward.json or reward.txt."""
    where: Annotated[str, Field(pattern=ABSOLUTE)] = "/workspace"
    """The folder of the container in which it runs."""
    env: Environment = {}
    """Environment variables of it."""
    wall_s: Seconds = 600.0
    """Seconds that it may take."""
    collect: Annotated[list[InnerPath], Field(min_length=1)]
    """What of the workspace is the work: files, or folders with all that is in them. Links are refused."""
    merge: bool = False
    """The work is put over what the image holds at the same place; absent: it takes the place of that."""
    minimum: float | None = None
    """The reward under which later steps are not looked at."""
    minimums: dict[str, float] = {}
    """The same for each of several rewards."""


class CallSection(Section):
    """What is called, and with what."""

    kind: Literal["python", "program", "answer", "tests"] = "python"
    """`python`: a function of a Python file is timed. `program`: a program of any language answers cases on its stdin.
    `answer`: the file is itself the answer, and nothing of it runs. `tests`: what the agent left in its workspace is tested
    by a script of the task's, in a fresh container; `runner import` writes such tasks."""
    entry: Name | Literal[""] = ""
    """python: the function's name."""
    repeat: Annotated[int, Field(gt=0, le=1000)] = 1
    """python: how many times one sample calls it, for functions that are too short to be measured in one call: one after the
    other in one process, each on data of its own, which `make` of problem.py draws again. A sample's time is that of all of
    them with the file's import, its quality the mean over them; `limits.sample_wall_s` and `limits.memory` are for all."""
    baseline: FileName = "baseline.py"
    """The file (a folder, where one is submitted) that it is compared with. answer: a file that answers without work, which
    must fail; optional there, and for programs without a speed target."""
    build: Command = []
    """program: the command that builds it, in a sandbox of its own, in /workspace, where the submission lies under its name;
    off the clock. What it leaves in /workspace/out is the program: nothing else of the submission is there when it runs.
    Absent: the submission is the program."""
    run: Command = []
    """program: the command that answers one case, in /workspace; a fresh process for each."""
    compare: Literal["exact", "tokens", "numbers", "judge"] = "tokens"
    """program: when an output is right: the same bytes; the same words, however they are spaced; the same words, where
    numbers may differ by `tolerance`; or as `judge` of problem.py says."""
    tolerance: Annotated[float, Field(gt=0)] = 1e-6
    """program: the largest error of a number, relative to 1 + its expected value."""
    stdout_max: Annotated[int, BeforeValidator(_parse_size), Field(gt=0, le=8 * 2**20)] = 2**20
    """program: the most that it may print in one case."""
    out_max: Annotated[int, BeforeValidator(_parse_size), Field(gt=0, le=8 * 2**20)] = 8 * 2**20
    """program: the most bytes that a build may leave."""
    files_max: Annotated[int, Field(gt=0, le=1000)] = 64
    """program: the most files that a build may leave."""
    build_wall_s: Seconds = 60.0
    """program: seconds that a build may take."""
    form: Literal["csv", "json", "text"] = "csv"
    """answer: how the file is read. `csv`: a line of names, then lines of numbers, a column for each array of `[answer]`.
    `json`: an object with an array of numbers under each name. `text`: UTF-8, given to problem.py as it is."""
    seed: Annotated[int, Field(ge=0)] = 0
    """answer: the seed of the data that are answered. Whoever knows it and problem.py knows the hidden values."""
    reward: Annotated[str, Field(min_length=1, max_length=100)] = "reward"
    """tests: which of several rewards counts."""
    over_steps: Literal["mean", "final"] = "mean"
    """tests: the mean of the steps' rewards counts, or that of the last step."""
    solution_env: Environment = {}
    """tests: environment variables of the task's own solution, solve.sh."""


class ArraySection(Section):
    """An array that goes in or comes out; what goes in, the function gets as a keyword argument, or in the order of
    task.toml where its parameters have other names."""

    dtype: Dtype
    """Type of its values."""
    shape: list[ShapeEntry]
    """Numbers, or sizes of the scale by name; `[]` is a plain number."""


class MadeBySection(Section):
    """The component that makes an array of the answer: it is made again, in a container of its own, and compared."""

    component: Name
    """A class of `[components]`."""
    method: Name
    """Its method; what it returns is the array."""
    inputs: list[Name]
    """What it is called with: inputs by name. Leave out what it must not know."""
    earlier: list[Name] = []
    """What the same instance may have been called with before, such as the training images: an array that is made again with
    such a call before it, or without one, counts."""
    init: list[int | float | Name] = []
    """Arguments of the class, as in a probe."""
    convert: DottedName | None = None
    """A function that each input goes through first, as in a probe."""
    tolerance: Annotated[float, Field(gt=0)] = 1e-2
    """The largest error of an item, relative to its largest value: what the precision that the task allows can make."""


class AnswerSection(ArraySection):
    """An array that comes out."""

    low: float | None = None
    """The smallest value that is accepted in an answer."""
    high: float | None = None
    """The largest value that is accepted in an answer."""
    made_by: MadeBySection | None = None
    """The component that makes it; absent: it is not made again."""

    @model_validator(mode="after")
    def _has_a_value(self) -> "AnswerSection":
        if self.low is None and self.high is None:
            return self
        if self.dtype == "bool":
            raise ValueError("a bool has no range: leave out low and high")
        least, most = _RANGES[self.dtype]
        low = least if self.low is None else max(least, self.low)
        high = most if self.high is None else min(most, self.high)
        if low > high or (self.dtype not in _FRACTIONS and math.ceil(low) > math.floor(high)):
            raise ValueError(f"no value of {self.dtype} lies between low = {low:g} and high = {high:g}")
        return self


class ScaleSection(Section):
    """A size of the problem: `full` for results, smaller ones for tests."""

    sizes: dict[Name, Count]
    """The numbers that shapes name, and that problem.py gets."""
    target: Annotated[float, Field(gt=0)] | None = None
    """The speed-up asked for at this scale, where it differs from `target.speedup`."""
    tolerance: Annotated[float, Field(ge=0)] | None = None
    """The tolerance at this scale, where it differs from `quality.tolerance`."""
    data_sets: Count | None = None
    """How many data sets a pass needs at this scale, where it differs from `grading.data_sets`."""


class TargetSection(Section):
    """How fast a submission must be."""

    speedup: Annotated[float, Field(gt=0)] | None = None
    """Baseline time over candidate time; absent: quality alone counts."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Of a verdict on either side of the target."""


class QualitySection(Section):
    """How good its answers must be: either `tolerance` or `minimum`."""

    name: str = "Quality"
    """What the quality is called, such as Accuracy."""
    tolerance: Annotated[float, Field(ge=0)] | None = None
    """How far below the baseline's it may lie."""
    minimum: float | None = None
    """How high it must be."""

    @model_validator(mode="after")
    def _one_of_two(self) -> "QualitySection":
        if (self.tolerance is None) == (self.minimum is None):
            raise ValueError("give either tolerance (below the baseline) or minimum")
        return self


class ProbeInput(Section):
    """An array that a probed method gets."""

    dtype: Dtype
    """Type of its values; a method that raises on one floating type is called with others, too."""
    shape: list[ShapeEntry]
    """Numbers, or sizes of the scale by name."""


class ProbeOutput(Section):
    """An array that a probed method returns."""

    dtype: Dtype | None = None
    """Type of its values, where the instruction says it; absent: any real numbers, compared as float64."""
    shape: list[ShapeEntry]
    """Numbers, or sizes of the scale by name."""


class ProbeSection(Section):
    """A call of a component's method on inputs that nobody knew before."""

    init: list[int | float | Name] = []
    """Arguments of the class, as the baseline's takes them (names are sizes of the scale), or those that the entry uses."""
    method: Name
    """The method that is called."""
    inputs: list[ProbeInput]
    """Its arguments: standard normal values, or integers from 0 to 9."""
    outputs: Annotated[list[ProbeOutput], Field(min_length=1)]
    """What it returns: one array, or several in a sequence."""
    convert: DottedName | None = None
    """A function that each input goes through first, such as `torch.from_numpy`."""
    equivalence: Policy | None = None
    """What becomes of other values than the baseline's on the same inputs, and with the same parameters where the probe
    names them; absent: what the component says."""
    parameters: Name | None = None
    """A method that yields the instance's parameters: the values must change where they change, or with another instance.
    The baseline's and the submission's are drawn alike, by their shapes; a matrix may stand either way."""
    parameter_shapes: list[list[ShapeEntry]] = []
    """Shapes of the baseline's parameters in their order, so that one vector of all of them is drawn alike, too."""
    tolerance: Annotated[float, Field(gt=0)] = 1e-3
    """The largest error, relative to the baseline's largest value: what the precision that the task allows can make."""


class ComponentSection(Section):
    """A class that the submission must define and use."""

    methods: list[Name]
    """The methods that it must have."""
    probes: list[ProbeSection] = []
    """Calls of them; without any, only the module's own word says that they are there."""
    equivalence: Policy | None = None
    """What becomes of a method that computes something other than the baseline's, where its probe does not say: `required`
    (such a file is `not_equivalent`), `reported` or `off`; absent: what `grading.equivalence` says."""


class ImportsSection(Section):
    """Modules."""

    modules: list[DottedName]
    """Meant for the submission, beside Python's standard library. Those of a package that the file or the baseline imports
    anything of are imported before the clock starts."""
    preload: list[DottedName] = []
    """Always imported before the clock starts, on both sides; not meant for the submission. For what a library imports by
    itself, later on: else it is on the clock of whichever file makes it do so."""
    forbidden: list[Annotated[DottedName, Field(max_length=128)]] = []
    """Modules and names (`ctypes`, `os.system`, `exec`) whose use makes a submission unsafe; the instruction lists them."""


def _no_gpu(value: object) -> object:
    if value not in (0, None):
        raise ValueError("there are no GPUs in a sandbox: what is timed runs on one CPU, so that times can be compared")
    return 0


class LimitsSection(Section):
    """What a container may use."""

    memory: Bytes = 1024**3
    """Memory, its file systems included."""
    cpus: Annotated[float, Field(gt=0)] = 1.0
    """CPU time over wall time. A container runs on as many CPUs as that, rounded up."""
    pids: Annotated[int, Field(ge=16, le=NUMBER_MAX)] = 128
    """Processes and threads at one time."""
    workspace: Bytes = 64 * 1024**2
    """Size of the file system that the agent works in."""
    tmp: Bytes = 64 * 1024**2
    """Size of /tmp."""
    gpus: Annotated[int, BeforeValidator(_no_gpu)] = 0
    """There are none: a task that asks for one is refused."""
    sample_wall_s: Seconds = 120.0
    """Seconds that one sample may take."""


class GradingSection(Section):
    """How long a grading may go on."""

    rounds: Count = 12
    """The most rounds."""
    seconds: Annotated[float, Field(gt=0)] = 3600.0
    """No round begins after this many seconds, except for runs whose share of the time others took."""
    data_sets: Count = DATA_SETS
    """The fewest data sets on which a submission must have been tried before it passes. A file that meets the target
    on three of four meets it on all of sixteen in 1 % of gradings, on all of three in 42 %."""
    repetitions: Count = 3
    """program without a speed target: on how many data sets its cases are run; it passes if it does on all of them. Where
    the host, or the choice of the items, may have made the difference, the outcome is `inconclusive`."""
    equivalence: Policy = Equivalence.REPORTED
    """What becomes of a component that computes something other than the baseline's, where it does not say. The flag
    `--equivalence` overrides all three."""


class EpisodeSection(Section):
    """What an episode may use; the command line may change each."""

    turns: Count = 40
    """Turns of the agent."""
    output_tokens: Count | None = None
    """Tokens that the model writes."""
    tokens: Count | None = None
    """Tokens that the model reads or writes."""
    dollars: Annotated[float, Field(gt=0)] | None = None
    """Cost of the model."""
    wall_s: Seconds = 7200.0
    """Seconds, all waits included."""
    working_s: Seconds = 1800.0
    """Seconds without waits for the model's endpoint, and without the time frozen while others are measured."""


class TaskFile(Section):
    """The whole of task.toml."""

    task: TaskSection
    image: ImageSection = ImageSection()
    workspace: WorkspaceSection
    submission: SubmissionSection
    call: CallSection
    inputs: dict[Name, ArraySection] = {}
    answer: dict[Name, AnswerSection] = {}
    steps: list[StepSection] = []
    scales: Annotated[dict[str, ScaleSection], Field(min_length=1)]
    target: TargetSection = TargetSection()
    quality: QualitySection
    components: dict[Name, ComponentSection] = {}
    imports: ImportsSection = ImportsSection(modules=[])
    limits: LimitsSection = LimitsSection()
    grading: GradingSection = GradingSection()
    episode: EpisodeSection = EpisodeSection()
