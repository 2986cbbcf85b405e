"""The command line: flags to requests, faults to text and exit status; no logic."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from runner.faults import Fault, UsageFault
from runner.report.escape import shown_lines
from runner.settings import DEFAULT_TASK, Settings

app = typer.Typer(
    add_completion=True,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

TaskOption = Annotated[str, typer.Option("--task", help="A task under problem_data/, or the path of a task folder.")]
ScaleOption = Annotated[str, typer.Option("--scale", help="One of the task's scales: full, or small for a quick look.")]
RoundsOption = Annotated[
    int | None,
    typer.Option("--max-rounds", help="The most rounds of measuring a grading may take [default: the task's]."),
]
EquivalenceOption = Annotated[
    str | None,
    typer.Option("--equivalence", help="off, report or enforce: components must compute what the baseline's do."),
]
StrictOption = Annotated[bool, typer.Option("--strict", help="Enforce equivalence, and let every warning fail.")]
QuietHostOption = Annotated[
    float | None,
    typer.Option("--require-quiet", help="Refuse a host whose calibration says that ratios vary by more percent."),
]
OutputOption = Annotated[Path | None, typer.Option("--output", help="Where job folders go [default: output].")]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", help="List every check of every run, and all states of its file.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Results as JSON on stdout.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")]
RuntimeOption = Annotated[str | None, typer.Option("--runtime", help="OCI runtime of every sandbox, such as runsc.")]


@app.callback(invoke_without_command=True)
def main_job(
    context: typer.Context,
    runs: Annotated[int, typer.Option("--runs", help="Episodes to play and grade.")] = 10,
    task: TaskOption = DEFAULT_TASK,
    scale: ScaleOption = "full",
    agent: Annotated[
        str,
        typer.Option(
            "--agent",
            help="model, command, scripted, oracle, noop, replay:PATH, or your own as FILE.py:Class [default: model, or "
            "scripted without a key].",
        ),
    ] = "",
    model: Annotated[
        str | None,
        typer.Option("--model", help="The model that plays [default: claude-sonnet-5-5]."),
    ] = None,
    api: Annotated[str, typer.Option("--api", help="What the endpoint speaks: anthropic or openai.")] = "anthropic",
    base_url: Annotated[
        str | None,
        typer.Option("--base-url", help="The model's endpoint [default: ANTHROPIC_BASE_URL, or the vendor]."),
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", help="The most tokens of one answer [default: 16384].")
    ] = None,
    thinking: Annotated[
        str, typer.Option("--thinking", help="Extended thinking: off, adaptive, or a number of tokens.")
    ] = "",
    tools: Annotated[
        str, typer.Option("--tools", help="schema (our own JSON schemas) or native (the vendor's types).")
    ] = "schema",
    context_tokens: Annotated[
        int | None,
        typer.Option("--context-tokens", help="Clear the oldest tool outputs from here on [default: 150000]."),
    ] = None,
    system_prompt: Annotated[
        Path | None, typer.Option("--system-prompt", help="A file that takes the place of the system prompt.")
    ] = None,
    price: Annotated[
        str, typer.Option("--price", help="US dollars for a million tokens, IN/OUT, where no table knows them.")
    ] = "",
    price_check: Annotated[
        bool, typer.Option("--price-check/--no-price-check", help="Whether a model without a known price is refused.")
    ] = True,
    preflight: Annotated[
        bool, typer.Option("--preflight/--no-preflight", help="Whether the model is asked one word before all else.")
    ] = True,
    job_dollars: Annotated[
        float, typer.Option("--job-dollars", help="The most that the whole job's model may cost, US dollars.")
    ] = 10.0,
    turns: Annotated[int | None, typer.Option("--turns", help="Turns of an episode [default: the task's].")] = None,
    output_tokens: Annotated[
        int | None,
        typer.Option("--output-tokens", help="Tokens that an episode's model may write [default: the task's]."),
    ] = None,
    tokens: Annotated[
        int | None, typer.Option("--tokens", help="Tokens of an episode, sent and written [default: the task's].")
    ] = None,
    dollars: Annotated[
        float | None, typer.Option("--dollars", help="US dollars of an episode [default: the task's].")
    ] = None,
    wall_s: Annotated[
        float | None, typer.Option("--wall-s", help="Seconds of an episode by the wall clock [default: the task's].")
    ] = None,
    working_s: Annotated[
        float | None,
        typer.Option("--working-s", help="Seconds of an episode without waits for the endpoint [default: the task's]."),
    ] = None,
    take_last: Annotated[
        bool, typer.Option("--take-last", help="Grade the file's last state where nothing was submitted.")
    ] = False,
    grade_snapshots: Annotated[
        bool, typer.Option("--grade-snapshots", help="Grade every state of the file: the best so far over the turns.")
    ] = False,
    command: Annotated[
        str, typer.Option("--command", help="With --agent command: the command line that runs in the sandbox.")
    ] = "",
    put: Annotated[
        list[Path] | None,
        typer.Option("--put", help="With --agent command: a file to put into its workspace first (again for more)."),
    ] = None,
    replay_ignore: Annotated[
        str,
        typer.Option(
            "--replay-ignore", help="With --agent replay:PATH: a regular expression; what it matches may differ."
        ),
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would happen and what it can cost, and end.")
    ] = False,
    jobs: Annotated[int, typer.Option("--jobs", help="Episodes at a time [default: by CPUs and memory].")] = 0,
    name: Annotated[str, typer.Option("--name", help="Name of the job's folder [default: date and time].")] = "",
    grade_after: Annotated[
        str,
        typer.Option(
            "--grade-after",
            help="Grade a waiting submission after so many seconds even while episodes run (they are frozen "
            "meanwhile), or `end` [default: end for scripted episodes, else 600].",
        ),
    ] = "",
    max_rounds: RoundsOption = None,
    equivalence: EquivalenceOption = None,
    strict: StrictOption = False,
    require_quiet: QuietHostOption = None,
    fail_under: Annotated[
        float | None, typer.Option("--fail-under", help="Exit with 1 when the pass rate (0 to 1) is lower.")
    ] = None,
    output: OutputOption = None,
    runtime: RuntimeOption = None,
    verbose: VerboseOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run LLM-agent episodes in hardened containers and grade what they submit.

    Exit status: 0 every run reached an outcome that counts; 1 the pass rate is under --fail-under; 2 usage;
    3 infrastructure; 4 a budget ended the job; 5 a run is inconclusive; 130 interrupted.
    """
    if context.invoked_subcommand is not None:
        return
    from runner.cli.run import RunOptions, run
    from runner.job.agents import AgentOptions
    from runner.job.setup import GradingOptions
    from runner.records.episode import Limits

    options = RunOptions(
        runs=runs,
        task=task,
        scale=scale,
        agent=AgentOptions(
            agent=agent,
            api=api,
            tools=tools,
            thinking=thinking,
            system_prompt=system_prompt,
            limits=Limits(turns, output_tokens, tokens, dollars, wall_s, working_s),
            job_dollars=job_dollars,
            price=price,
            price_check=price_check,
            preflight=preflight,
            take_last=take_last,
            grade_snapshots=grade_snapshots,
            command=command,
            put=tuple(put or ()),
            replay_ignore=replay_ignore,
        ),
        jobs=jobs,
        name=name,
        grade_after=grade_after,
        grading=GradingOptions(max_rounds, equivalence, strict, require_quiet),
        fail_under=fail_under,
        dry_run=dry_run,
        verbose=verbose,
        json=json,
        quiet=quiet,
    )
    settings = _settings(
        output=output,
        runtime=runtime,
        model=model,
        base_url=base_url,
        max_tokens=max_tokens,
        context_tokens=context_tokens,
    )
    raise typer.Exit(run(settings, options))


@app.command()
def grade(
    files: Annotated[list[Path], typer.Argument(help="The files to grade; they are never run on this machine itself.")],
    task: TaskOption = DEFAULT_TASK,
    scale: ScaleOption = "full",
    max_rounds: RoundsOption = None,
    equivalence: EquivalenceOption = None,
    strict: StrictOption = False,
    require_quiet: QuietHostOption = None,
    seed: Annotated[
        list[str] | None,
        typer.Option("--seed", help="Replay the data of a grading: the seeds of its results, one for each round."),
    ] = None,
    keep: Annotated[
        Path | None, typer.Option("--keep", help="A folder for the results; what is in it is not graded again.")
    ] = None,
    runtime: RuntimeOption = None,
    verbose: VerboseOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Grade any files, without an agent; many at once share their rounds."""
    from runner.cli.grade import GradeOptions, grade_files
    from runner.job.setup import GradingOptions

    grading = GradingOptions(max_rounds, equivalence, strict, require_quiet)
    options = GradeOptions(
        tuple(files), task, scale, grading, tuple(map(_seed, seed or ())), keep, verbose, json, quiet
    )
    raise typer.Exit(grade_files(_settings(runtime=runtime), options))


@app.command()
def regrade(
    job: Annotated[Path, typer.Argument(help="The folder of a job, such as output/latest.")],
    offline: Annotated[
        bool, typer.Option("--offline", help="Compute the verdicts again from the record, without an engine.")
    ] = False,
    task: Annotated[
        str, typer.Option("--task", help="The task, where its folder has moved [default: the job's].")
    ] = "",
    max_rounds: RoundsOption = None,
    equivalence: EquivalenceOption = None,
    strict: StrictOption = False,
    require_quiet: QuietHostOption = None,
    runtime: RuntimeOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Grade a job's submissions anew, beside the old verdicts; one that was interrupted goes on where it stopped."""
    from runner.cli.regrade import RegradeOptions
    from runner.cli.regrade import regrade as grade_again
    from runner.job.setup import GradingOptions

    grading = GradingOptions(max_rounds, equivalence, strict, require_quiet)
    options = RegradeOptions(job, offline, task, grading, json, quiet)
    raise typer.Exit(grade_again(_settings(runtime=runtime), options))


@app.command()
def show(
    job: Annotated[Path, typer.Argument(help="The folder of a job, such as output/latest, or its name.")],
    run: Annotated[int | None, typer.Argument(help="The number of a run, to read its episode.")] = None,
    lines: Annotated[int, typer.Option("--lines", help="Lines of an output that are shown.")] = 12,
    full: Annotated[bool, typer.Option("--full", help="Show every line of every output.")] = False,
    pager: Annotated[
        bool, typer.Option("--pager/--no-pager", help="Whether a terminal gets a pager; elsewhere there is none.")
    ] = True,
    json: JsonOption = False,
) -> None:
    """Read a job: what its runs came to, or the episode of one, turn by turn."""
    from runner.cli.show import ShowOptions
    from runner.cli.show import show as read

    raise typer.Exit(read(_settings(), ShowOptions(job, run, lines, full, pager, json)))


@app.command()
def export(
    job: Annotated[Path, typer.Argument(help="The folder of a job, such as output/latest, or its name.")],
    run: Annotated[int | None, typer.Option("--run", help="This run only [default: all].")] = None,
    format: Annotated[str, typer.Option("--format", help="What to write: atif.")] = "atif",
    to: Annotated[
        Path | None, typer.Option("--output", help="A file (.json, of one run) or a folder [default: each run's own].")
    ] = None,
) -> None:
    """Write a job's episodes as trajectories that other programs read."""
    from runner.cli.export import ExportOptions
    from runner.cli.export import export as write

    raise typer.Exit(write(_settings(), ExportOptions(job, run, format, to)))


@app.command()
def calibrate(
    task: TaskOption = DEFAULT_TASK,
    scale: ScaleOption = "full",
    rounds: Annotated[int, typer.Option("--rounds", help="Rounds of the study.")] = 7,
    runtime: RuntimeOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure this host's noise with the same file on both sides, and write a certificate that verdicts use."""
    from runner.cli.calibrate import CalibrateOptions
    from runner.cli.calibrate import calibrate as measure

    raise typer.Exit(measure(_settings(runtime=runtime), CalibrateOptions(task, scale, rounds, json, quiet)))


@app.command()
def selftest(
    quick: Annotated[bool, typer.Option("--quick", help="Every sixth case only.")] = False,
    only: Annotated[list[str] | None, typer.Option("--only", help="This case only (again for more).")] = None,
    engine: Annotated[
        str | None, typer.Option("--engine", help="URL of the engine to try [default: DOCKER_HOST ...].")
    ] = None,
    runtime: RuntimeOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Attack this host's grading with the cheats that ship with the product, and see that honest work passes."""
    from runner.cli.selftest import selftest as attack

    status = attack(
        _settings(runtime=runtime, docker_host=engine), quick=quick, only=only or (), as_json=json, quiet=quiet
    )
    raise typer.Exit(status)


@app.command()
def doctor(
    install_engine: Annotated[
        bool, typer.Option("--install-engine", help="Where no engine answers: install and start one (Debian, root).")
    ] = False,
    build: Annotated[list[str] | None, typer.Option("--build", help="Build this sandbox image now (base, ml).")] = None,
    output: OutputOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Examine this host: engine, limits, images, disk, credentials; a hint beside each fault. Exit status 3 with a fault."""
    from runner.cli.doctor import doctor as examine

    settings = _settings(output=output)
    raise typer.Exit(examine(settings, install_engine=install_engine, build=build or (), as_json=json, quiet=quiet))


def _seed(text: str) -> int:
    """A seed as results.json writes it (0x...), or decimal.

    Raises:
        UsageFault: it is none.
    """
    try:
        seed = int(text, 0)
    except ValueError:
        seed = -1
    if not 0 <= seed < 2**128:
        raise UsageFault(cause=f"--seed {text}", hint="give one of the seeds in a results.json, such as 0x1f")
    return seed


def _settings(**given: Path | str | int | None) -> Settings:
    """The environment's settings with the flags over them."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        wrong = error.errors()[0]
        name = "RUNNER_" + str(wrong["loc"][0]).upper()
        raise UsageFault(cause=f"{name}: {wrong['msg']}", hint=f"correct or unset {name}") from None


def main() -> None:
    """The program: every fault becomes its two lines and its exit status."""
    try:
        app()
    except Fault as fault:
        cause, hint = ("\n    ".join(shown_lines(text)) for text in (fault.cause, fault.hint))
        print(f"error: {cause}\n  hint: {hint}", file=sys.stderr)
        sys.exit(fault.exit_status)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
