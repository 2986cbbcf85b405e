"""The command line: one function a command, errors as two lines and an exit status; no logic."""

import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

import typer
from pydantic import ValidationError

from runner.cli import options as flags
from runner.cli.exit_codes import INFRASTRUCTURE, INTERRUPTED, USAGE
from runner.cli.exiting import end_in_time
from runner.cli.options import current_name, takes
from runner.cli.usage_errors import usage_message
from runner.faults import Fault, UsageFault
from runner.report.escape import shown_lines
from runner.report.output import unbreakable_output
from runner.settings import Settings

# Every mistake in a command line; typer names only this one of its kinds.
USAGE_ERROR: Any = typer.BadParameter.__base__

EXAMPLES = (
    "python -m runner --runs 10",
    "python -m runner --runs 3 --task slow_nbody --scale small",
    "python -m runner --dry-run --agent model --job-cost-limit 5",
    "python -m runner show output/latest 1",
)
EXIT_STATUS = (
    "Exit status: 0 every run reached an outcome that counts; 1 the pass rate is under --fail-under; 2 usage; "
    "3 infrastructure; 4 a budget ended the job; 5 a run is inconclusive; 130 interrupted."
)

app = typer.Typer(
    add_completion=True,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="\n  ".join(["Examples:", *EXAMPLES]) + "\n\n" + EXIT_STATUS,
    context_settings={"help_option_names": ["-h", "--help"], "token_normalize_func": current_name},
)


@app.callback(invoke_without_command=True)
@takes(flags.RunOptions)
def main_job(options: flags.RunOptions) -> None:
    """Run LLM-agent episodes in hardened containers and grade what they submit."""
    from runner.cli.run import run

    agent = options.agent
    settings = _settings(
        output=options.output,
        runtime=options.runtime.runtime,
        model=agent.model,
        base_url=agent.base_url,
        max_tokens=agent.max_tokens,
        context_tokens=agent.context_tokens,
    )
    raise typer.Exit(run(settings, options))


@app.command()
@takes(flags.GradeOptions)
def grade(options: flags.GradeOptions) -> None:
    """Grade any files, without an agent; many at once share their rounds."""
    from runner.cli.grade import grade_files

    raise typer.Exit(grade_files(_settings(runtime=options.runtime.runtime), options))


@app.command()
@takes(flags.RegradeOptions)
def regrade(options: flags.RegradeOptions) -> None:
    """Grade a job's submissions again, next to the old verdicts; one that was interrupted goes on where it stopped."""
    from runner.cli.regrade import regrade as grade_again

    raise typer.Exit(grade_again(_settings(runtime=options.runtime.runtime), options))


@app.command()
@takes(flags.ShowOptions)
def show(options: flags.ShowOptions) -> None:
    """Read a job: how its runs ended, or the episode of one, turn by turn."""
    from runner.cli.show import show as read

    raise typer.Exit(read(_settings(), options))


@app.command()
@takes(flags.ExportOptions)
def export(options: flags.ExportOptions) -> None:
    """Write a job's episodes as trajectories that other programs read."""
    from runner.cli.export import export as write

    raise typer.Exit(write(_settings(), options))


@app.command()
@takes(flags.AnalyzeOptions)
def analyze(options: flags.AnalyzeOptions) -> None:
    """Say what a job's runs say together: pass rate, where the target lies, how far they converged, why they failed."""
    from runner.cli.analyze import analyze as say_it

    raise typer.Exit(say_it(_settings(), options))


@app.command()
@takes(flags.CalibrateOptions)
def calibrate(options: flags.CalibrateOptions) -> None:
    """Measure this host's noise with the same file on both sides, and write a certificate that verdicts use."""
    from runner.cli.calibrate import calibrate as measure

    raise typer.Exit(measure(_settings(runtime=options.runtime.runtime), options))


@app.command()
@takes(flags.SelftestOptions)
def selftest(options: flags.SelftestOptions) -> None:
    """Attack this host's grading with the cheats that ship with the product, and check that honest work passes."""
    from runner.cli.selftest import selftest as attack

    raise typer.Exit(attack(_settings(runtime=options.runtime.runtime, docker_host=options.engine), options))


@app.command()
@takes(flags.DoctorOptions)
def doctor(options: flags.DoctorOptions) -> None:
    """Check this host: engine, limits, images, disk, credentials; a hint with each fault. Exit status 3 with a fault."""
    from runner.cli.doctor import doctor as examine

    raise typer.Exit(examine(_settings(output=options.output), options))


def _settings(**flags: Path | str | int | None) -> Settings:
    """The environment's settings with the flags over them."""
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        wrong = error.errors()[0]
        name = "RUNNER_" + str(wrong["loc"][0]).upper()
        raise UsageFault(cause=f"{name}: {wrong['msg']}", hint=f"correct or unset {name}") from None


def main() -> None:
    """The program: every error becomes its two lines and its exit status, and no output can change either."""
    with unbreakable_output(), end_in_time():
        try:
            sys.exit(app(standalone_mode=False))
        except Fault as fault:
            _fail(fault.cause, fault.hint, fault.exit_status)
        except USAGE_ERROR as error:
            where = f"{error.ctx.command_path} --help" if error.ctx is not None else "python -m runner --help"
            _fail(usage_message(error), f"`{where}` lists the flags", USAGE)
        except (KeyboardInterrupt, typer.Abort):
            print("interrupted", file=sys.stderr)
            sys.exit(INTERRUPTED)
        except Exception as error:  # boundary: Python would end with 1, which means a pass rate under --fail-under
            traceback.print_exc()
            _fail(
                f"the runner itself failed: {type(error).__name__}",
                "please report it, with the lines above",
                INFRASTRUCTURE,
            )


def _fail(cause: str, hint: str, status: int) -> NoReturn:
    cause, hint = ("\n    ".join(shown_lines(text)) for text in (cause, hint))
    print(f"error: {cause}\n  hint: {hint}", file=sys.stderr)
    sys.exit(status)
