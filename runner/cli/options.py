"""The flags of each command, declared once: name, type, default, help and place in `--help`."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from runner.cli.declaring import GRADING, HOSTS, JOB, LIMITS, OUTPUT, flag, flags_in
from runner.cli.option_groups import (
    AgentOptions,
    CiOptions,
    GradingOptions,
    HostsOptions,
    LimitOptions,
    OutputOptions,
    ReportOptions,
    RuntimeOptions,
    TaskOptions,
    parse_grade_after,
    parse_seed,
    parse_slots,
)
from runner.cli.output_paths import file_or_folder_to_write, file_to_write, folder_to_write
from runner.records.measured import Study

WEEK_S = 7 * 24 * 3600  # chosen: longer than anybody waits, and what a wait on a socket takes
RUNS_MAX = 100_000  # chosen: a record of so many is some gigabytes, which no other command could read any more


def check_runs(runs: int) -> int:
    """The number of runs of a job.

    Raises:
        typer.BadParameter: nobody could read what they leave.
    """
    if runs > RUNS_MAX:
        raise typer.BadParameter(f"{runs} is more than {RUNS_MAX}: play several jobs, and `analyze` them together")
    return runs


class Format(StrEnum):
    """Formats of an export."""

    ATIF = "atif"
    PARQUET = "parquet"
    INSPECT = "inspect"
    ROLLOUTS = "rollouts"
    HARBOR = "harbor"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The flags of the main job.

    Attributes:
        given: names of the fields that stand on the command line.
    """

    runs: Annotated[int, flag("--runs", "Episodes to run and grade.", JOB, "N", min=1, callback=check_runs)] = 10
    task: TaskOptions = field(default_factory=TaskOptions)
    name: Annotated[str, flag("--name", "Name of the job's folder (default: date and time).", JOB, "NAME")] = ""
    resume: Annotated[
        Path | None,
        flag("--resume", "Continue a job that was cut short: its folder, such as output/latest.", JOB, "JOB"),
    ] = None
    resume_episodes: Annotated[
        bool,
        flag(
            "--resume-episodes",
            "With --resume: repeat a model's complete turns from the record, and continue from there.",
            JOB,
        ),
    ] = False
    concurrency: Annotated[
        int, flag("--concurrency", "Episodes at a time (0: by CPUs and memory).", JOB, "N", min=0)
    ] = 0
    dry_run: Annotated[
        bool, flag("--dry-run", "Check what can be checked, say what would run and what it can cost, and exit.", JOB)
    ] = False
    several: HostsOptions = field(default_factory=HostsOptions)
    runtime: RuntimeOptions = field(default_factory=RuntimeOptions)
    agent: AgentOptions = field(default_factory=AgentOptions)
    limits: LimitOptions = field(default_factory=LimitOptions)
    grade_after: Annotated[
        float | None,
        flag(
            "--grade-after",
            "Grade a submission that has waited this long, even while episodes run (they are frozen), or `end`: when all "
            "episodes are over (default: end for scripted agents, else 600).",
            GRADING,
            "SECONDS|end",
            parser=parse_grade_after,
        ),
    ] = None
    grade_last: Annotated[
        bool, flag("--grade-last", "Grade the file's last state where nothing was submitted.", GRADING)
    ] = False
    grade_snapshots: Annotated[
        bool, flag("--grade-snapshots", "Grade every kept state of the file: shows the best so far by turn.", GRADING)
    ] = False
    grading: GradingOptions = field(default_factory=GradingOptions)
    fail_under: Annotated[
        float | None, flag("--fail-under", "Exit with 1 when the pass rate is lower.", GRADING, "0..1", min=0, max=1)
    ] = None
    output: Annotated[Path | None, flag("--output", "Where job folders go (default: output).", OUTPUT, "DIR")] = None
    analysis: Annotated[
        bool, flag("--analysis/--no-analysis", "At the end, summarise what the runs show together.", OUTPUT)
    ] = True
    page: Annotated[
        bool, flag("--report/--no-report", "At the end, write report.html: the whole job on one page.", OUTPUT)
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
            help="Files to grade (- for stdin), or folders where the task wants one; they run in containers only.",
            metavar="FILE",
        ),
    ]
    task: TaskOptions = field(default_factory=TaskOptions)
    grading: GradingOptions = field(default_factory=GradingOptions)
    seed: Annotated[
        list[int] | None,
        flag("--seed", "Use an earlier grading's data: the seeds in its results, one for each round (repeat for more).",
             GRADING, "SEED",
             parser=parse_seed),
    ] = None  # fmt: skip
    keep: Annotated[
        Path | None,
        flag(
            "--keep",
            "A folder for the results; a grading that it holds is not repeated.",
            OUTPUT,
            "DIR",
            callback=folder_to_write,
        ),
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

    job: Annotated[Path, typer.Argument(help="The folder of a job, such as output/latest, or its name.", metavar="JOB")]
    offline: Annotated[
        bool, flag("--offline", "Compute the verdicts again from the record, without an engine.", GRADING)
    ] = False
    task: Annotated[
        str, flag("--task", "The task, if its folder has moved (default: the job's).", GRADING, "NAME|DIR")
    ] = ""
    grading: GradingOptions = field(default_factory=GradingOptions)
    runtime: RuntimeOptions = field(default_factory=RuntimeOptions)
    ci: CiOptions = field(default_factory=CiOptions)
    show: OutputOptions = field(default_factory=OutputOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowOptions:
    """The flags of `show`."""

    job: Annotated[Path, typer.Argument(help="The folder of a job, such as output/latest, or its name.", metavar="JOB")]
    run: Annotated[int | None, typer.Argument(help="The number of a run, to read its episode.", metavar="RUN")] = None
    lines: Annotated[int, flag("--lines", "Lines to show of each output.", OUTPUT, "N", min=1)] = 12
    full: Annotated[bool, flag("--full", "Show every line of every output.", OUTPUT)] = False
    pager: Annotated[bool, flag("--pager/--no-pager", "Use a pager on a terminal.", OUTPUT)] = True
    json: Annotated[bool, flag("--json", "The job, or the run's events, as JSON.", OUTPUT)] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """The flags of `export`."""

    job: Annotated[
        Path,
        typer.Argument(
            help="The folder of a job, such as output/latest, or its name; with --format harbor, a task's name or folder.",
            metavar="JOB",
        ),
    ]
    run: Annotated[int | None, flag("--run", "This run only (default: all).", OUTPUT, "N")] = None
    scale: Annotated[
        str, flag("--scale", "With --format harbor: which of the task's scales to export.", JOB, "NAME")
    ] = "full"
    format: Annotated[
        Format,
        flag(
            "--format",
            "What to write: a trajectory for each episode (atif), a line for each (rollouts), a table of the runs (parquet, "
            "an extra), the job as a log of Inspect AI (inspect); or, given a task, the same task for Harbor (harbor).",
            OUTPUT,
            "|".join(Format),
        ),
    ] = Format.ATIF
    to: Annotated[
        Path | None,
        flag(
            "--output",
            "A .json, .jsonl, .parquet or .eval file, or a folder (default: the job's folder, or each run's; for harbor "
            "./NAME-harbor).",
            OUTPUT,
            "FILE|DIR",
            callback=file_or_folder_to_write,
        ),
    ] = None
    json: Annotated[bool, flag("--json", "What was written, and what could not be, as JSON.", OUTPUT)] = False
    given: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyzeOptions:
    """The flags of `analyze`."""

    jobs: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of jobs, such as output/latest, or their names; those of one task are counted together.",
            metavar="JOB",
        ),
    ]
    want: Annotated[
        str, flag("--want", "Wanted range of pass rates: which targets would give it?", OUTPUT, "LOW..HIGH")
    ] = "10%..40%"
    to: Annotated[
        Path | None,
        flag(
            "--output",
            "A folder for analysis.json and analysis.md (default: the job's; with several jobs: none).",
            OUTPUT,
            "DIR",
            callback=folder_to_write,
        ),
    ] = None
    measure: Annotated[
        bool,
        flag(
            "--measure",
            "Also measure, on the engine: what each part gained, what no run tried, where the time goes.",
            GRADING,
        ),
    ] = False
    of: Annotated[
        list[str] | None,
        flag(
            "--of",
            "With --measure: which file (repeat for more): best, median, near-miss, solution, or a run's number "
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
        flag("--task", "With --measure: the task, if its folder has moved (default: the job's).", GRADING, "NAME|DIR"),
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
        typer.Argument(help="Folders of jobs, such as output/latest, or their names.", metavar="JOB"),
    ]
    to: Annotated[
        Path | None,
        flag(
            "--output",
            "The file to write (default: report.html, with the job).",
            OUTPUT,
            "FILE",
            callback=file_to_write,
        ),
    ] = None
    json: Annotated[bool, flag("--json", "The paths that were written, as JSON.", OUTPUT)] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOptions:
    """The flags of `compare`."""

    jobs: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of jobs, or their names; each is compared with the first.",
            metavar="JOB",
        ),
    ]
    show: OutputOptions = field(default_factory=OutputOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOptions:
    """The flags of `list`."""

    folder: Annotated[Path | None, typer.Argument(help="A folder of jobs (default: output).", metavar="FOLDER")] = None
    json: Annotated[bool, flag("--json", "The jobs as JSON.", OUTPUT)] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InitOptions:
    """The flags of `init`."""

    folder: Annotated[Path, typer.Argument(help="The task's folder: new, or empty.", metavar="FOLDER")]
    kind: Annotated[
        str,
        flag(
            "--kind",
            "What is submitted: a Python function, a program in any language, or a file that is itself the answer.",
            JOB,
            "python|program|answer",
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
            "Use another image in place of one that a Dockerfile starts from: a folder under images/, or any image with "
            "Python 3 (repeat for more).",
            JOB,
            "FROM=IMAGE",
        ),
    ] = None
    build_network: Annotated[
        bool, flag("--build-network", "Give its Dockerfiles' commands a network while its images are built.", JOB)
    ] = False
    no_network: Annotated[
        bool, flag("--no-network", "Import a task that asks for a network at run time, without giving it one.", JOB)
    ] = False
    to: Annotated[
        Path | None, flag("--output", "The new task's folder (default: ./NAME, after the task).", OUTPUT, "DIR")
    ] = None
    json: Annotated[bool, flag("--json", "The folder, its images and what is lost as JSON on stdout.", OUTPUT)] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """The flags of `check`."""

    folder: Annotated[Path, typer.Argument(help="The task's folder.", metavar="FOLDER")]
    scale: Annotated[str, flag("--scale", "Which of the task's scales to check.", JOB, "NAME")] = "full"
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
            "Also try up to N gradings at once, for as long as none disturbs another; auto: as many as the cores allow.",
            GRADING,
            "N|auto",
            parser=parse_slots,
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
        flag(
            "--output",
            "Where the submission is written (default: a new folder under output/mcp).",
            OUTPUT,
            "FILE",
            callback=file_to_write,
        ),
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
        float,
        flag("--idle-limit", "End a session that sends nothing for this long.", LIMITS, "SECONDS", min=1, max=WEEK_S),
    ] = 600.0
    host: Annotated[
        str, flag("--host", "Address to listen on; any but loopback needs RUNNER_SERVE_TOKEN.", JOB, "ADDRESS")
    ] = "127.0.0.1"
    port: Annotated[int, flag("--port", "Port to listen on; 0 for a free one.", JOB, "N", min=0, max=65535)] = 8000
    runtime: RuntimeOptions = field(default_factory=RuntimeOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class SelftestOptions:
    """The flags of `selftest`."""

    sandbox: Annotated[
        bool, flag("--sandbox", "Attack the sandbox instead of the grading, with hostile cases inside it.", JOB)
    ] = False
    quick: Annotated[bool, flag("--quick", "Every sixth case only.", JOB)] = False
    only: Annotated[list[str] | None, flag("--only", "This case only (repeat for more).", JOB, "ID")] = None
    slower: Annotated[
        float,
        flag(
            "--slower",
            "With --sandbox: give each case this many times its usual time (for an emulated host).",
            JOB,
            "TIMES",
            min=1,
            max=1000,
        ),
    ] = 1.0
    engine: Annotated[
        str | None, flag("--engine", "URL of the engine to try (default: DOCKER_HOST, ...).", JOB, "URL")
    ] = None
    runtime: RuntimeOptions = field(default_factory=RuntimeOptions)
    show: OutputOptions = field(default_factory=OutputOptions)
    given: frozenset[str] = frozenset()


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
            metavar="NAME|FILE",
        ),
    ] = None
    python: Annotated[str, flag("--python", "With check: the interpreter in the image.", JOB, "PATH")] = "python3"
    to: Annotated[
        Path | None,
        flag(
            "--output",
            "With save: the file to write; it must not exist yet.",
            OUTPUT,
            "FILE",
            callback=file_to_write,
        ),
    ] = None
    show: OutputOptions = field(default_factory=OutputOptions)
    given: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorOptions:
    """The flags of `doctor`."""

    install_engine: Annotated[
        bool, flag("--install-engine", "Where no engine answers: install and start one (Debian, root).", JOB)
    ] = False
    build: Annotated[
        list[str] | None,
        flag("--build", "Build this sandbox image now: base, c, ml or parse (repeat for more).", JOB, "NAME"),
    ] = None
    walls: Annotated[
        bool,
        flag("--walls", "Start a sandbox with each of the engine's runtimes, and print what each enforces.", JOB),
    ] = False
    output: Annotated[
        Path | None,
        flag("--output", "Where job folders go (default: output).", OUTPUT, "DIR", callback=folder_to_write),
    ] = None
    show: OutputOptions = field(default_factory=OutputOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOptions:
    """The flags of `host`."""

    address: Annotated[
        str, flag("--address", "The Ray cluster to join, as `ray start --head` prints it.", HOSTS, "HOST:PORT")
    ]
    task: TaskOptions = field(default_factory=TaskOptions)
    name: Annotated[str, flag("--name", "Name of this host in reports (default: its host name).", HOSTS, "NAME")] = ""
    image_archive: Annotated[
        Path | None,
        flag("--image-archive", "A file from `image save` to load first: gives all hosts one image.", HOSTS, "FILE"),
    ] = None
    # As in CalibrateOptions.
    rounds: Annotated[int, flag("--rounds", "Rounds of the calibration.", GRADING, "N", min=3)] = 7
    no_calibrate: Annotated[
        bool, flag("--no-calibrate", "Join without a certificate: the first quiet grading makes one.", GRADING)
    ] = False
    dry_run: Annotated[bool, flag("--dry-run", "Check and prepare everything, and do not join.", HOSTS)] = False
    runtime: RuntimeOptions = field(default_factory=RuntimeOptions)
    show: OutputOptions = field(default_factory=OutputOptions)


def flag_of(name: str) -> str:
    """The long name of a flag of the main job, by its field's name."""
    annotation = next(hint for field_name, hint, _ in flags_in(RunOptions) if field_name == name)
    declared = annotation.__metadata__[0]  # typer keeps the first name where a default stands elsewhere
    return str((declared.param_decls or (declared.default,))[0]).partition("/")[0]
