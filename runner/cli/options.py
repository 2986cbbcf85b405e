"""Every flag, declared once: its name, type, default, help and place in `--help`.

A command takes one object of these dataclasses; `takes` gives typer a function with a parameter for each field. Names that
flags had before are still understood (`OLD_NAMES`), and not listed.
"""

import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

import runner
from runner.budget.limits import JOB_DOLLARS_MAX
from runner.records.grading import Equivalence
from runner.records.measured import Study
from runner.settings import DEFAULT_TASK

Options = TypeVar("Options")

# What a flag was called before, by what it is called now.
OLD_NAMES = {
    "jobs": "concurrency",
    "put": "upload",
    "wall-s": "time-limit",
    "working-s": "working-limit",
    "dollars": "cost-limit",
    "job-dollars": "job-cost-limit",
    "require-quiet": "max-noise",
    "take-last": "grade-last",
}
# The same of values.
OLD_VALUES = {"report": "reported", "enforce": "required"}
JOB, AGENT, MODEL, LIMITS, GRADING, OUTPUT = "Job", "Agent", "Model", "Limits", "Grading", "Output"
HOSTS = "Hosts"


class Api(StrEnum):
    """What a model's endpoint speaks."""

    ANTHROPIC = "anthropic"
    OPENAI = "openai"


class Tools(StrEnum):
    """How tools are shown to a model."""

    SCHEMA = "schema"
    NATIVE = "native"


class Format(StrEnum):
    """Formats of an export."""

    ATIF = "atif"
    PARQUET = "parquet"
    INSPECT = "inspect"
    ROLLOUTS = "rollouts"
    HARBOR = "harbor"


def flag(name: str, text: str, panel: str, metavar: str = "", **more: Any) -> Any:
    """A flag of the command line; a switch has no metavar."""
    return typer.Option(name, help=text, rich_help_panel=panel, metavar=metavar, **more)


def _seed(text: str | int) -> int:
    """A seed as results.json writes it (0x...), or decimal.

    Raises:
        typer.BadParameter: it is not one.
    """
    try:
        seed = text if isinstance(text, int) else int(text, 0)
    except ValueError:
        seed = -1
    if not 0 <= seed < 2**128:
        raise typer.BadParameter(f"{text} is not a seed; give one of a results.json, such as 0x1f")
    return seed


def _grade_after(text: str | float) -> float:
    """Seconds, or `end`: until all episodes are over (infinity).

    Raises:
        typer.BadParameter: it is neither.
    """
    try:
        seconds = float("inf") if text == "end" else float(text)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise typer.BadParameter(f"{text} is neither a number of seconds nor `end`")
    return seconds


def _slots(text: str | int) -> int:
    """How many gradings measure at once; `auto` (0): as many as a calibration proves.

    Raises:
        typer.BadParameter: it is neither.
    """
    if text == "auto":
        return 0
    try:
        slots = int(text)
    except ValueError:
        slots = 0
    if slots < 1:
        raise typer.BadParameter(f"{text} is neither a number of slots from 1 nor `auto`")
    return slots


def _print_version(wanted: bool) -> bool:
    if wanted:
        print(f"runner {runner.__version__}")
        raise typer.Exit
    return bool(wanted)


# Groups


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """Which task, at which size."""

    task: Annotated[str, flag("--task", "A task by name, or the path of a task folder.", JOB, "NAME|DIR")] = (
        DEFAULT_TASK
    )
    scale: Annotated[
        str, flag("--scale", "One of the task's scales: full, or small for a quick look.", JOB, "NAME")
    ] = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class GradingOptions:
    """How submissions are graded; None leaves it to the task."""

    max_rounds: Annotated[
        int | None,
        flag("--max-rounds", "Most rounds of measuring for one grading (default: the task's).", GRADING, "N", min=1),
    ] = None
    equivalence: Annotated[
        Equivalence | None,
        flag(
            "--equivalence",
            "Whether all components must compute what the baseline's do (default: what the task says of each).",
            GRADING,
            "|".join(Equivalence),
        ),
    ] = None
    strict: Annotated[bool, flag("--strict", "Require equivalence, and let every warning fail.", GRADING)] = False
    max_noise: Annotated[
        float | None,
        flag(
            "--max-noise", "Refuse a host whose calibration says that ratios vary by more.", GRADING, "PERCENT", min=0
        ),
    ] = None
    no_calibrate: Annotated[
        bool, flag("--no-calibrate", "Neither make nor use a certificate of the host from gradings.", GRADING)
    ] = False
    slots: Annotated[
        int,
        flag(
            "--slots",
            "Submissions that are measured at once, each on cores of its own; auto: as many as `calibrate --slots` proved.",
            GRADING,
            "N|auto",
            parser=_slots,
        ),
    ] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """What is printed."""

    json: Annotated[bool, flag("--json", "Results as JSON on stdout.", OUTPUT)] = False
    quiet: Annotated[bool, flag("--quiet", "No progress on stderr.", OUTPUT)] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CiOptions:
    """What is left for a CI."""

    junit: Annotated[
        Path | None, flag("--junit", "Write the outcomes as JUnit XML, which CI servers read.", OUTPUT, "FILE")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostsOptions:
    """Several hosts in place of this one."""

    ray: Annotated[
        str, flag("--ray", "Play on the hosts of this cluster of Ray's (an extra), each graded on its own.", HOSTS,
                  "HOST:PORT")
    ] = ""  # fmt: skip
    share: Annotated[
        int,
        flag(
            "--share", "With --ray: runs that a host gets at a time (0: as many as give each one).", HOSTS, "N", min=0
        ),
    ] = 0
    hosts: Annotated[int, flag("--hosts", "With --ray: begin with no fewer hosts than these.", HOSTS, "N", min=1)] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """How much is printed of each run."""

    verbose: Annotated[
        bool, flag("--verbose", "List every check of every run, and all states of its file.", OUTPUT)
    ] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeOptions:
    """Where sandboxes run."""

    runtime: Annotated[str | None, flag("--runtime", "OCI runtime of every sandbox, such as crun.", JOB, "NAME")] = None
    allow_unenforced: Annotated[
        list[str] | None,
        flag(
            "--allow-unenforced",
            "Go on where the engine does not enforce this wall, as doctor names it (repeat for more); the record says so.",
            JOB,
            "WALL",
        ),
    ] = None

    def as_settings(self) -> dict[str, str | None]:
        """For `Settings`: what is None was not said."""
        return {
            "runtime": self.runtime,
            "allow_unenforced": None if self.allow_unenforced is None else ",".join(self.allow_unenforced),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOptions:
    """Which agent, and what only some agents have."""

    agent: Annotated[
        str,
        flag(
            "--agent",
            "model, command, human, scripted, oracle, noop, replay:PATH, or your own as FILE.py:Class "
            "(default: model, or scripted without credentials).",
            AGENT,
            "NAME",
        ),
    ] = ""
    command: Annotated[
        str, flag("--command", "With --agent command: the command line that runs in the sandbox.", AGENT, "LINE")
    ] = ""
    upload: Annotated[
        list[Path] | None,
        flag("--upload", "With --agent command: a file for its workspace (repeat for more).", AGENT, "FILE"),
    ] = None
    replay_ignore: Annotated[
        str, flag("--replay-ignore", "With --agent replay:PATH: what may differ between outputs.", AGENT, "REGEX")
    ] = ""
    system_prompt: Annotated[
        Path | None, flag("--system-prompt", "A file that replaces the model's system prompt.", MODEL, "FILE")
    ] = None
    model: Annotated[str | None, flag("--model", "The model (default: claude-sonnet-5-5).", MODEL, "NAME")] = None
    api: Annotated[Api, flag("--api", "What the model's endpoint speaks.", MODEL, "|".join(Api))] = Api.ANTHROPIC
    base_url: Annotated[
        str | None,
        flag("--base-url", "The model's endpoint (default: ANTHROPIC_BASE_URL, or the vendor's).", MODEL, "URL"),
    ] = None
    max_tokens: Annotated[
        int | None, flag("--max-tokens", "Most tokens of one response (default: 16384).", MODEL, "N", min=1)
    ] = None
    thinking: Annotated[
        str, flag("--thinking", "Extended thinking: off, adaptive, or a number of tokens.", MODEL, "off|adaptive|N")
    ] = ""
    tools: Annotated[
        Tools, flag("--tools", "How tools are shown: our JSON schemas, or the vendor's types.", MODEL, "|".join(Tools))
    ] = Tools.SCHEMA
    context_tokens: Annotated[
        int | None,
        flag("--context-tokens", "Clear the oldest tool outputs from here on (default: 150000).", MODEL, "N", min=1),
    ] = None
    price: Annotated[
        str, flag("--price", "US dollars for a million tokens sent and received, e.g. 3/15.", MODEL, "IN/OUT")
    ] = ""
    price_check: Annotated[
        bool, flag("--price-check/--no-price-check", "Refuse a model without a known price.", MODEL)
    ] = True
    preflight: Annotated[
        bool, flag("--preflight/--no-preflight", "Ask the model one word before anything starts.", MODEL)
    ] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitOptions:
    """What an episode, and all of them together, may use; None leaves it to the task."""

    turns: Annotated[int | None, flag("--turns", "Turns of an episode (default: the task's).", LIMITS, "N", min=1)] = (
        None
    )
    tokens: Annotated[
        int | None,
        flag("--tokens", "Tokens of an episode, sent and received (default: the task's).", LIMITS, "N", min=1),
    ] = None
    output_tokens: Annotated[
        int | None,
        flag("--output-tokens", "Tokens that an episode's model may write (default: the task's).", LIMITS, "N", min=1),
    ] = None
    cost_limit: Annotated[
        float | None, flag("--cost-limit", "Cost of an episode's model (default: the task's).", LIMITS, "USD")
    ] = None
    time_limit: Annotated[
        float | None, flag("--time-limit", "Wall-clock time of an episode (default: the task's).", LIMITS, "SECONDS")
    ] = None
    working_limit: Annotated[
        float | None,
        flag("--working-limit", "Time of an episode without waits for the model's endpoint.", LIMITS, "SECONDS"),
    ] = None
    job_cost_limit: Annotated[
        float, flag("--job-cost-limit", "Most that the model may cost in the whole job.", LIMITS, "USD")
    ] = JOB_DOLLARS_MAX


# Commands


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramOptions:
    """The flags of the program itself."""

    version: Annotated[
        bool, flag("--version", "Print the version and exit.", "Options", is_eager=True, callback=_print_version)
    ] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The flags of the main job.

    Attributes:
        given: names of the fields that stand on the command line.
    """

    runs: Annotated[int, flag("--runs", "Episodes to run and grade.", JOB, "N", min=1)] = 10
    task: TaskOptions = field(default_factory=TaskOptions)
    name: Annotated[str, flag("--name", "Name of the job's folder (default: date and time).", JOB, "NAME")] = ""
    resume: Annotated[
        Path | None,
        flag("--resume", "Go on with a job that ended before its end; its folder, such as output/latest.", JOB, "JOB"),
    ] = None
    resume_episodes: Annotated[
        bool,
        flag(
            "--resume-episodes",
            "With --resume: repeat a model's whole turns from the record, and go on from there.",
            JOB,
        ),
    ] = False
    concurrency: Annotated[
        int, flag("--concurrency", "Episodes at a time (0: by CPUs and memory).", JOB, "N", min=0)
    ] = 0
    dry_run: Annotated[
        bool, flag("--dry-run", "Check everything, say what would happen and what it can cost, and end.", JOB)
    ] = False
    several: HostsOptions = field(default_factory=HostsOptions)
    runtime: RuntimeOptions = field(default_factory=RuntimeOptions)
    agent: AgentOptions = field(default_factory=AgentOptions)
    limits: LimitOptions = field(default_factory=LimitOptions)
    grade_after: Annotated[
        float | None,
        flag(
            "--grade-after",
            "Grade a waiting submission after this long even while episodes run (they are frozen), or `end` "
            "(default: end for scripted agents, else 600).",
            GRADING,
            "SECONDS|end",
            parser=_grade_after,
        ),
    ] = None
    grade_last: Annotated[
        bool, flag("--grade-last", "Grade the file's last state where nothing was submitted.", GRADING)
    ] = False
    grade_snapshots: Annotated[
        bool, flag("--grade-snapshots", "Grade every state of the file: the best so far over the turns.", GRADING)
    ] = False
    grading: GradingOptions = field(default_factory=GradingOptions)
    fail_under: Annotated[
        float | None, flag("--fail-under", "Exit with 1 when the pass rate is lower.", GRADING, "0..1", min=0, max=1)
    ] = None
    output: Annotated[Path | None, flag("--output", "Where job folders go (default: output).", OUTPUT, "DIR")] = None
    analysis: Annotated[
        bool, flag("--analysis/--no-analysis", "Say at the end what the runs say together.", OUTPUT)
    ] = True
    page: Annotated[
        bool, flag("--report/--no-report", "Write report.html, the job as a page that is one file, at the end.", OUTPUT)
    ] = True
    report: ReportOptions = field(default_factory=ReportOptions)
    ci: CiOptions = field(default_factory=CiOptions)
    show: OutputOptions = field(default_factory=OutputOptions)
    given: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class GradeOptions:
    """The flags of `grade`."""

    files: Annotated[
        list[Path],
        typer.Argument(
            help="Files to grade (- for stdin), or folders where the task wants one; never run on this machine itself.",
            metavar="FILE...",
        ),
    ]
    task: TaskOptions = field(default_factory=TaskOptions)
    grading: GradingOptions = field(default_factory=GradingOptions)
    seed: Annotated[
        list[int] | None,
        flag("--seed", "Replay a grading's data: the seeds of its results, one for each round.", GRADING, "SEED",
             parser=_seed),
    ] = None  # fmt: skip
    keep: Annotated[
        Path | None, flag("--keep", "A folder for the results; what is in it is not graded again.", OUTPUT, "DIR")
    ] = None
    several: HostsOptions = field(default_factory=HostsOptions)
    runtime: RuntimeOptions = field(default_factory=RuntimeOptions)
    report: ReportOptions = field(default_factory=ReportOptions)
    ci: CiOptions = field(default_factory=CiOptions)
    show: OutputOptions = field(default_factory=OutputOptions)
    given: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class RegradeOptions:
    """The flags of `regrade`."""

    job: Annotated[Path, typer.Argument(help="The folder of a job, such as output/latest.", metavar="JOB")]
    offline: Annotated[
        bool, flag("--offline", "Compute the verdicts again from the record, without an engine.", GRADING)
    ] = False
    task: Annotated[
        str, flag("--task", "The task, where its folder has moved (default: the job's).", GRADING, "NAME|DIR")
    ] = ""
    grading: GradingOptions = field(default_factory=GradingOptions)
    runtime: RuntimeOptions = field(default_factory=RuntimeOptions)
    ci: CiOptions = field(default_factory=CiOptions)
    show: OutputOptions = field(default_factory=OutputOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowOptions:
    """The flags of `show`."""

    job: Annotated[Path, typer.Argument(help="The folder of a job, such as output/latest, or its name.", metavar="JOB")]
    run: Annotated[int | None, typer.Argument(help="The number of a run, to read its episode.", metavar="[RUN]")] = None
    lines: Annotated[int, flag("--lines", "Lines of an output that are shown.", OUTPUT, "N", min=1)] = 12
    full: Annotated[bool, flag("--full", "Show every line of every output.", OUTPUT)] = False
    pager: Annotated[bool, flag("--pager/--no-pager", "Use a pager on a terminal.", OUTPUT)] = True
    json: Annotated[bool, flag("--json", "The job, or the run's events, as JSON.", OUTPUT)] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """The flags of `export`."""

    job: Annotated[
        Path,
        typer.Argument(
            help="The folder of a job, such as output/latest, or its name; for harbor a task's name or folder.",
            metavar="JOB",
        ),
    ]
    run: Annotated[int | None, flag("--run", "This run only (default: all).", OUTPUT, "N")] = None
    scale: Annotated[str, flag("--scale", "harbor: the scale that is exported: one of the task's.", JOB, "NAME")] = (
        "full"
    )
    format: Annotated[
        Format,
        flag(
            "--format",
            "What to write: each episode as a trajectory (atif), a line for each (rollouts), a table of the runs (parquet, "
            "an extra), the job as a log of Inspect AI (inspect); or, of a task in the place of a job, one of Harbor's.",
            OUTPUT,
            "|".join(Format),
        ),
    ] = Format.ATIF
    to: Annotated[
        Path | None,
        flag(
            "--output",
            "A .json, .jsonl, .parquet or .eval file, or a folder (default: the job's, each run's own; for harbor "
            "NAME-harbor, here).",
            OUTPUT,
            "FILE|DIR",
        ),
    ] = None
    json: Annotated[bool, flag("--json", "What was written, and what could not be, as JSON.", OUTPUT)] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyzeOptions:
    """The flags of `analyze`."""

    jobs: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of jobs, such as output/latest, or their names; those of one task are counted together.",
            metavar="JOB..",
        ),
    ]
    want: Annotated[
        str, flag("--want", "Pass rates that are wanted of the task: which targets give them?", OUTPUT, "LOW..HIGH")
    ] = "10%..40%"
    to: Annotated[
        Path | None,
        flag(
            "--output",
            "A folder for analysis.json and analysis.md (default: the job's; with several jobs: none).",
            OUTPUT,
            "DIR",
        ),
    ] = None
    measure: Annotated[
        bool,
        flag(
            "--measure",
            "Measure what only measuring tells: what each part gave, what nobody tried, where time goes.",
            GRADING,
        ),
    ] = False
    of: Annotated[
        list[str] | None,
        flag(
            "--of",
            "With --measure: whose file (repeat for more): best, median, near-miss, solution, or a run's number "
            "(default: the first three).",
            GRADING,
            "NAME|RUN",
        ),
    ] = None
    only: Annotated[
        list[Study] | None,
        flag("--only", "With --measure: only this (repeat for more).", GRADING, "|".join(Study)),
    ] = None
    rounds: Annotated[
        int | None,
        flag(
            "--rounds",
            "With --measure: rounds for each file (default: as many as its grading took).",
            GRADING,
            "N",
            min=2,
        ),
    ] = None
    task: Annotated[
        str,
        flag(
            "--task", "With --measure: the task, where its folder has moved (default: the job's).", GRADING, "NAME|DIR"
        ),
    ] = ""
    dry_run: Annotated[
        bool, flag("--dry-run", "With --measure: say what it would cost, and measure nothing.", GRADING)
    ] = False
    show: OutputOptions = field(default_factory=OutputOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageOptions:
    """The flags of `report`."""

    jobs: Annotated[
        list[Path],
        typer.Argument(help="Folders of jobs, such as output/latest, or their names.", metavar="JOB.."),
    ]
    to: Annotated[
        Path | None, flag("--output", "The file to write (default: report.html, with the job).", OUTPUT, "FILE")
    ] = None
    json: Annotated[bool, flag("--json", "The paths that were written, as JSON.", OUTPUT)] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOptions:
    """The flags of `compare`."""

    jobs: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of jobs, or their names; each is compared with the first.",
            metavar="JOB JOB..",
        ),
    ]
    show: OutputOptions = field(default_factory=OutputOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOptions:
    """The flags of `list`."""

    folder: Annotated[Path | None, typer.Argument(help="A folder of jobs (default: output).", metavar="[FOLDER]")] = (
        None
    )
    json: Annotated[bool, flag("--json", "The jobs as JSON.", OUTPUT)] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InitOptions:
    """The flags of `init`."""

    folder: Annotated[Path, typer.Argument(help="The task's folder: new, or empty.", metavar="FOLDER")]
    kind: Annotated[
        str,
        flag(
            "--kind",
            "What is submitted: python (a function), program (in any language), answer (the file of values itself).",
            JOB,
            "KIND",
        ),
    ] = "python"
    json: Annotated[bool, flag("--json", "The folder and its files as JSON on stdout.", OUTPUT)] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """The flags of `import`."""

    format: Annotated[str, typer.Argument(help="Whose task it is: harbor.", metavar="FORMAT")]
    path: Annotated[Path, typer.Argument(help="The task's folder, which holds a task.toml.", metavar="PATH")]
    base: Annotated[
        list[str] | None,
        flag(
            "--base",
            "Another image in the place of one that a Dockerfile begins with: a folder under images/, or any image with "
            "Python 3. May be repeated.",
            JOB,
            "FROM=IMAGE",
        ),
    ] = None
    build_network: Annotated[
        bool, flag("--build-network", "The commands of its Dockerfiles have a network while its images are built.", JOB)
    ] = False
    no_network: Annotated[
        bool, flag("--no-network", "Take a task that asks for a network at run time all the same; it has none.", JOB)
    ] = False
    to: Annotated[Path | None, flag("--output", "The new task's folder (default: its name, here).", OUTPUT, "DIR")] = (
        None
    )
    json: Annotated[bool, flag("--json", "The folder, its images and what is lost as JSON on stdout.", OUTPUT)] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """The flags of `check`."""

    folder: Annotated[Path, typer.Argument(help="The task's folder.", metavar="FOLDER")]
    scale: Annotated[str, flag("--scale", "The scale that is checked: one of the task's.", JOB, "NAME")] = "full"
    # Ten data sets leave nine degrees of freedom: the 90 % bounds of a variance are then 0.5 to 2.7 times its estimate.
    seeds: Annotated[int, flag("--seeds", "Data sets to measure on.", JOB, "N", min=3)] = 10
    no_containers: Annotated[
        bool, flag("--no-containers", "Only what needs no engine: the folder, problem.py and its data.", JOB)
    ] = False
    runtime: RuntimeOptions = field(default_factory=RuntimeOptions)
    show: OutputOptions = field(default_factory=OutputOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrateOptions:
    """The flags of `calibrate`."""

    task: TaskOptions = field(default_factory=TaskOptions)
    # Seven rounds leave six degrees of freedom: the 90 % bounds of a variance are then 0.5 to 3.7 times its estimate.
    # chosen: more take longer than most wait, and a verdict's t quantile accounts for what is not known. A variance needs
    # three rounds at least.
    rounds: Annotated[int, flag("--rounds", "Rounds of the study.", GRADING, "N", min=3)] = 7
    slots: Annotated[
        int,
        flag(
            "--slots",
            "Try up to so many gradings at once, too, while none disturbs another; auto: as many as there are cores for.",
            GRADING,
            "N|auto",
            parser=_slots,
        ),
    ] = 1
    several: HostsOptions = field(default_factory=HostsOptions)
    runtime: RuntimeOptions = field(default_factory=RuntimeOptions)
    show: OutputOptions = field(default_factory=OutputOptions)
    given: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class McpOptions:
    """The flags of `mcp`."""

    task: TaskOptions = field(default_factory=TaskOptions)
    to: Annotated[
        Path | None,
        flag("--output", "Where the submission is written (default: a new folder under output/mcp).", OUTPUT, "FILE"),
    ] = None
    runtime: RuntimeOptions = field(default_factory=RuntimeOptions)


class Reward(StrEnum):
    """Rules by which a submission is rewarded."""

    PASS = "pass"
    LOG_SPEEDUP = "log_speedup"
    MARGIN = "margin"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """The flags of `serve`."""

    task: TaskOptions = field(default_factory=TaskOptions)
    reward: Annotated[
        Reward,
        flag("--reward", "How a submission is rewarded; none: it is not graded.", GRADING, "|".join(Reward)),
    ] = Reward.PASS
    slots: Annotated[int, flag("--slots", "Sessions at a time, each with a sandbox.", JOB, "N", min=1)] = 4
    idle_limit: Annotated[
        float, flag("--idle-limit", "End a session that sends nothing for so long.", LIMITS, "SECONDS", min=1)
    ] = 600.0
    host: Annotated[
        str, flag("--host", "Address to serve; other than loopback only with RUNNER_SERVE_TOKEN.", JOB, "ADDRESS")
    ] = "127.0.0.1"
    port: Annotated[int, flag("--port", "Port to serve; 0 for a free one.", JOB, "N", min=0, max=65535)] = 8000
    runtime: RuntimeOptions = field(default_factory=RuntimeOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class SelftestOptions:
    """The flags of `selftest`."""

    sandbox: Annotated[
        bool, flag("--sandbox", "Attack the sandbox instead: hostile cases inside, and what must hold for all.", JOB)
    ] = False
    quick: Annotated[bool, flag("--quick", "Every sixth case only.", JOB)] = False
    only: Annotated[list[str] | None, flag("--only", "This case only (repeat for more).", JOB, "ID")] = None
    slower: Annotated[
        float,
        flag(
            "--slower", "With --sandbox: each case gets so many times as long (an emulated host).", JOB, "TIMES", min=1
        ),
    ] = 1.0
    engine: Annotated[
        str | None, flag("--engine", "URL of the engine to try (default: DOCKER_HOST, ...).", JOB, "URL")
    ] = None
    runtime: RuntimeOptions = field(default_factory=RuntimeOptions)
    show: OutputOptions = field(default_factory=OutputOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanOptions:
    """The flags of `clean`."""

    dry_run: Annotated[bool, flag("--dry-run", "Say what would be removed, and remove nothing.", JOB)] = False
    json: Annotated[bool, flag("--json", "Every container of ours as JSON on stdout.", OUTPUT)] = False


class ImageAction(StrEnum):
    """What `image` does."""

    LIST = "list"
    BUILD = "build"
    CHECK = "check"
    SAVE = "save"
    LOAD = "load"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOptions:
    """The flags of `image`."""

    action: Annotated[
        ImageAction, typer.Argument(help="What to do: list, build, check, save or load.", metavar="|".join(ImageAction))
    ]
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Images: folders under images/, or references (default: every folder); with load, files.",
            metavar="[NAME|FILE]...",
        ),
    ] = None
    python: Annotated[str, flag("--python", "With check: the interpreter in it.", JOB, "PATH")] = "python3"
    to: Annotated[Path | None, flag("--output", "With save: the file to write, a new one.", OUTPUT, "FILE")] = None
    show: OutputOptions = field(default_factory=OutputOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorOptions:
    """The flags of `doctor`."""

    install_engine: Annotated[
        bool, flag("--install-engine", "Where no engine answers: install and start one (Debian, root).", JOB)
    ] = False
    build: Annotated[
        list[str] | None,
        flag("--build", "Build this sandbox image now: base, ml or parse (repeat for more).", JOB, "NAME"),
    ] = None
    walls: Annotated[
        bool,
        flag("--walls", "Print what the engine enforces with each of its runtimes, tried with a sandbox each.", JOB),
    ] = False
    output: Annotated[Path | None, flag("--output", "Where job folders go (default: output).", OUTPUT, "DIR")] = None
    show: OutputOptions = field(default_factory=OutputOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOptions:
    """The flags of `host`."""

    address: Annotated[
        str, flag("--address", "The cluster of Ray's to join, as `ray start --head` prints it.", HOSTS, "HOST:PORT")
    ]
    task: TaskOptions = field(default_factory=TaskOptions)
    name: Annotated[str, flag("--name", "What reports call this host (default: its host name).", HOSTS, "NAME")] = ""
    image_archive: Annotated[
        Path | None,
        flag("--image-archive", "A file of `image save`, loaded first: the same image on every host.", HOSTS, "FILE"),
    ] = None
    # As in CalibrateOptions.
    rounds: Annotated[int, flag("--rounds", "Rounds of the calibration.", GRADING, "N", min=3)] = 7
    no_calibrate: Annotated[
        bool, flag("--no-calibrate", "Join without a certificate: the first quiet grading makes one.", GRADING)
    ] = False
    dry_run: Annotated[bool, flag("--dry-run", "Check and prepare everything, and do not join.", HOSTS)] = False
    runtime: RuntimeOptions = field(default_factory=RuntimeOptions)
    show: OutputOptions = field(default_factory=OutputOptions)


# From dataclasses to a command line


def takes(options: type[Options]) -> Callable[[Callable[[Options], None]], Callable[..., None]]:
    """Decorate a function of one options object, so that typer sees a parameter for each field."""

    def decorate(function: Callable[[Options], None]) -> Callable[..., None]:
        def command(context: typer.Context, **values: Any) -> None:
            given = frozenset(name for name in values if _is_given(context, name))
            function(_object(options, values, given))

        parameters = [inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
        parameters += _parameters(options)
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        command.__name__, command.__doc__ = function.__name__, function.__doc__
        return command

    return decorate


def flag_of(name: str) -> str:
    """The long name of a flag of the main job, by its field's name."""
    annotation = next(hint for field_name, hint, _ in _leaves(RunOptions) if field_name == name)
    declared = annotation.__metadata__[0]  # typer keeps the first name where a default stands elsewhere
    return str((declared.param_decls or (declared.default,))[0]).partition("/")[0]


def _is_given(context: typer.Context, name: str) -> bool:
    """Whether a flag stands on the command line; what the environment or a default says is not a flag of the user's."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _leaves(options: type[Any]) -> Iterator[tuple[str, Any, Any]]:
    """(name, annotation, default) of every flag of a dataclass and of those that it holds, in order."""
    hints = get_type_hints(options, include_extras=True)
    for item in fields(options):
        if is_dataclass(hints[item.name]):
            yield from _leaves(hints[item.name])
        elif item.name != "given":
            yield item.name, hints[item.name], item.default


def _parameters(options: type[Any]) -> list[inspect.Parameter]:
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if default is MISSING else default,
            annotation=annotation,
        )
        for name, annotation, default in _leaves(options)
    ]


def _object(options: type[Options], values: Mapping[str, Any], given: frozenset[str]) -> Options:
    hints = get_type_hints(options)
    made: dict[str, Any] = {}
    for item in fields(options):  # type: ignore[arg-type]
        if item.name == "given":
            made["given"] = given
        elif is_dataclass(hints[item.name]):
            made[item.name] = _object(hints[item.name], values, given)
        else:
            made[item.name] = _expanded(values[item.name])
    return options(**made)


def _expanded(value: Any) -> Any:
    """A path with `~` as the user's home."""
    if isinstance(value, Path):
        return Path(expand_home(str(value)))
    if isinstance(value, list | tuple):
        return [_expanded(entry) for entry in value]
    return value


def expand_home(text: str) -> str:
    """The same with `~` at its beginning as the user's home; as it is where there is none."""
    return os.path.expanduser(text)  # noqa: PTH111 (Path.expanduser raises where there is no home)


def current_name(name: str) -> str:
    """What a flag, or a value of one, is called now, by any name that it had; for click, without dashes."""
    return (OLD_NAMES | OLD_VALUES).get(name, name)
