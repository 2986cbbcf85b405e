"""The flags that several commands have, in groups, and how their values are read."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import runner
from runner.budget.limits import JOB_DOLLARS_MAX
from runner.cli.declaring import AGENT, GRADING, HOSTS, JOB, LIMITS, MODEL, OUTPUT, flag
from runner.cli.output_paths import file_to_write
from runner.records.grading import Equivalence
from runner.settings import DEFAULT_TASK


class Api(StrEnum):
    """What a model's endpoint speaks."""

    ANTHROPIC = "anthropic"
    OPENAI = "openai"


class Tools(StrEnum):
    """How tools are shown to a model."""

    SCHEMA = "schema"
    NATIVE = "native"


def parse_seed(text: str | int) -> int:
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


def parse_grade_after(text: str | float) -> float:
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


def parse_slots(text: str | int) -> int:
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


def print_version(wanted: bool) -> bool:
    if wanted:
        print(f"runner {runner.__version__}")
        raise typer.Exit
    return bool(wanted)


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
            "--max-noise",
            "Refuse a host on which a round's ratio varies by more, or that has no certificate.",
            GRADING,
            "PERCENT",
            min=0,
        ),
    ] = None
    no_calibrate: Annotated[
        bool, flag("--no-calibrate", "Neither make nor use a certificate that comes from ordinary gradings.", GRADING)
    ] = False
    slots: Annotated[
        int,
        flag(
            "--slots",
            "Submissions to measure at once, each on cores of its own; auto: as many as `calibrate --slots` proved safe.",
            GRADING,
            "N|auto",
            parser=parse_slots,
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
        Path | None,
        flag(
            "--junit",
            "Write the outcomes as JUnit XML, which CI servers read.",
            OUTPUT,
            "FILE",
            callback=file_to_write,
        ),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostsOptions:
    """Several hosts in place of this one."""

    ray: Annotated[
        str, flag("--ray", "Use the hosts of this Ray cluster (an extra); each grades what it plays.", HOSTS,
                  "HOST:PORT")
    ] = ""  # fmt: skip
    share: Annotated[
        int,
        flag(
            "--share", "With --ray: runs that a host gets at a time (0: split them over all hosts).", HOSTS, "N", min=0
        ),
    ] = 0
    hosts: Annotated[
        int, flag("--hosts", "With --ray: start only with this many hosts or more.", HOSTS, "N", min=1)
    ] = 1


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
            "Continue even if the engine does not enforce this wall, as doctor names it (repeat for more); it is recorded.",
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
        flag("--upload", "With --agent command: a file to put into its workspace (repeat for more).", AGENT, "FILE"),
    ] = None
    replay_ignore: Annotated[
        str, flag("--replay-ignore", "With --agent replay:PATH: text that may differ between outputs.", AGENT, "REGEX")
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
        int | None, flag("--max-tokens", "Most tokens in one response (default: 16384).", MODEL, "N", min=1)
    ] = None
    thinking: Annotated[
        str, flag("--thinking", "Extended thinking: off, adaptive, or a number of tokens.", MODEL, "off|adaptive|N")
    ] = ""
    tools: Annotated[
        Tools, flag("--tools", "How tools are shown: our JSON schemas, or the vendor's types.", MODEL, "|".join(Tools))
    ] = Tools.SCHEMA
    context_tokens: Annotated[
        int | None,
        flag(
            "--context-tokens",
            "Clear the oldest tool outputs above this many tokens (default: 150000).",
            MODEL,
            "N",
            min=1,
        ),
    ] = None
    price: Annotated[
        str, flag("--price", "US dollars per million tokens sent and received, e.g. 3/15.", MODEL, "IN/OUT")
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
        flag(
            "--output-tokens",
            "Tokens that the model may write in an episode (default: the task's).",
            LIMITS,
            "N",
            min=1,
        ),
    ] = None
    cost_limit: Annotated[
        float | None, flag("--cost-limit", "Cost of the model in an episode (default: the task's).", LIMITS, "USD")
    ] = None
    time_limit: Annotated[
        float | None, flag("--time-limit", "Wall-clock time of an episode (default: the task's).", LIMITS, "SECONDS")
    ] = None
    working_limit: Annotated[
        float | None,
        flag("--working-limit", "Time of an episode without its waits (default: the task's).", LIMITS, "SECONDS"),
    ] = None
    job_cost_limit: Annotated[
        float, flag("--job-cost-limit", "Most that the model may cost in the whole job.", LIMITS, "USD")
    ] = JOB_DOLLARS_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramOptions:
    """The flags of the program itself."""

    version: Annotated[
        bool, flag("--version", "Print the version and exit.", "Options", is_eager=True, callback=print_version)
    ] = False
