"""The command line: one function a command, errors as two lines and an exit status; no logic."""

import errno
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import typer

from runner.cli import options as flags
from runner.cli.called import as_called
from runner.cli.declaring import current_name, takes
from runner.cli.default_command import MAIN_COMMAND, DefaultGroup
from runner.cli.exit_codes import INFRASTRUCTURE, INTERRUPTED, USAGE
from runner.cli.exiting import end_in_time
from runner.cli.option_groups import ProgramOptions
from runner.cli.signals import interrupt_on_sigterm
from runner.cli.usage_errors import usage_message
from runner.faults import Fault
from runner.report.escape import shown_lines
from runner.report.output import unbreakable_output
from runner.settings import read_settings

# Every mistake in a command line; typer names only this one of its kinds.
USAGE_ERROR: Any = typer.BadParameter.__base__

# At the end of each command's help, by its name; the program's own has those of the main job.
MAIN_EXAMPLES = (
    "python -m runner --runs 10",
    "python -m runner --runs 3 --task slow_nbody --scale small",
    "python -m runner --dry-run --agent model --job-cost-limit 5",
    "python -m runner show output/latest 1",
)
EXAMPLES = {
    "run": (
        "python -m runner run --runs 3 --task slow_nbody --scale small --agent scripted",
        "python -m runner run --dry-run --agent model --model claude-sonnet-5-5 --job-cost-limit 5",
        "python -m runner run --agent mine.py:Agent --fail-under 0.5",
    ),
    "grade": (
        "python -m runner grade mine.py other.py --task slow_nbody --scale small",
        "python -m runner grade mine.py --keep gradings --json",
    ),
    "regrade": ("python -m runner regrade output/latest", "python -m runner regrade output/latest --offline"),
    "show": ("python -m runner show output/latest", "python -m runner show output/latest 1 --full --no-pager"),
    "export": ("python -m runner export output/latest --run 1 --output run-1.json",),
    "analyze": ("python -m runner analyze output/latest --want 10%..40%",),
    "report": ("python -m runner report output/latest",),
    "compare": ("python -m runner compare output/first output/second",),
    "list": ("python -m runner list", "python -m runner list --json"),
    "init": ("python -m runner init mytask", "python -m runner init mytask --kind program"),
    "import": ("python -m runner import harbor some-task --base python:3.12-slim=base",),
    "check": ("python -m runner check mytask", "python -m runner check mytask --scale small --json"),
    "mcp": ("python -m runner mcp --task slow_nbody --scale small",),
    "serve": ("python -m runner serve --task slow_nbody --scale small --slots 8",),
    "calibrate": ("python -m runner calibrate --task slow_nbody --scale small",),
    "selftest": (
        "python -m runner selftest --quick",
        "python -m runner selftest --only no-op --json",
        "python -m runner selftest --sandbox",
    ),
    "host": ("python -m runner host --address 127.0.0.1:6379 --task slow_nbody --scale small",),
    "clean": ("python -m runner clean", "python -m runner clean --json"),
    "image": (
        "python -m runner image list",
        "python -m runner image check base",
        "python -m runner image save base ml --output images.tar",
        "python -m runner image load images.tar",
    ),
    "doctor": ("python -m runner doctor", "python -m runner doctor --json"),
}
EXIT_STATUS = (
    "Exit status: 0 every run reached an outcome that counts; 1 the pass rate is under --fail-under, or check, selftest or "
    "regrade --offline found a fault; 2 usage error; "
    "3 infrastructure fault; 4 a budget ended the job; 5 a run is inconclusive; 130 interrupted."
)

JOBS, FILES, PEERS, HOST = "Jobs", "Tasks and files", "For other programs", "This host"


def _examples(lines: Sequence[str]) -> str:
    return as_called("\n  ".join(["Examples:", *lines]))


app = typer.Typer(
    cls=DefaultGroup,
    add_completion=True,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    subcommand_metavar="[COMMAND] [ARGS]...",
    epilog=_examples(MAIN_EXAMPLES) + "\n\n" + EXIT_STATUS,
    context_settings={"help_option_names": ["-h", "--help"], "token_normalize_func": current_name},
)


def command(panel: str, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Declare a command, with its place in the list of commands and its examples."""
    epilog = _examples(EXAMPLES[name]) + ("\n\n" + EXIT_STATUS if name == MAIN_COMMAND else "")
    return app.command(name, rich_help_panel=panel, epilog=epilog)


@app.callback()
@takes(ProgramOptions)
def program(options: ProgramOptions) -> None:
    """Run LLM-agent episodes in hardened containers and grade what they submit.

    Without a command it is `run`, the main job: `run --help` lists its flags.
    """


@command(JOBS, MAIN_COMMAND)
@takes(flags.RunOptions)
def main_job(options: flags.RunOptions) -> None:
    """Run LLM-agent episodes in hardened containers and grade what they submit; the default command."""
    from runner.cli.run import run

    agent = options.agent
    settings = read_settings(
        output=options.output,
        **options.runtime.as_settings(),
        model=agent.model,
        base_url=agent.base_url,
        max_tokens=agent.max_tokens,
        context_tokens=agent.context_tokens,
    )
    raise typer.Exit(run(settings, options))


@command(FILES, "grade")
@takes(flags.GradeOptions)
def grade(options: flags.GradeOptions) -> None:
    """Grade any files, without an agent; many at once share their rounds."""
    from runner.cli.grade import grade_files

    raise typer.Exit(grade_files(read_settings(**options.runtime.as_settings()), options))


@command(JOBS, "regrade")
@takes(flags.RegradeOptions)
def regrade(options: flags.RegradeOptions) -> None:
    """Grade a job's submissions again, next to the old verdicts; continues where an earlier try was interrupted."""
    from runner.cli.regrade import regrade as grade_again

    raise typer.Exit(grade_again(read_settings(**options.runtime.as_settings()), options))


@command(JOBS, "show")
@takes(flags.ShowOptions)
def show(options: flags.ShowOptions) -> None:
    """Read a job: how its runs ended, or the episode of one, turn by turn."""
    from runner.cli.show import show as read

    raise typer.Exit(read(read_settings(), options))


@command(JOBS, "export")
@takes(flags.ExportOptions)
def export(options: flags.ExportOptions) -> None:
    """Write a job's episodes as trajectories, or its runs as a table, for other programs."""
    from runner.cli.export import export as write

    raise typer.Exit(write(read_settings(), options))


@command(JOBS, "analyze")
@takes(flags.AnalyzeOptions)
def analyze(options: flags.AnalyzeOptions) -> None:
    """Summarise the runs of one or more jobs: pass rate, where the target lies, how far they converged, why they failed."""
    from runner.cli.analyze import analyze as say_it

    raise typer.Exit(say_it(read_settings(), options))


@command(JOBS, "report")
@takes(flags.PageOptions)
def report(options: flags.PageOptions) -> None:
    """Write jobs as pages to share: one HTML file each, with verdicts, figures, changes and transcripts."""
    from runner.cli.report import report as write

    raise typer.Exit(write(read_settings(), options))


@command(JOBS, "compare")
@takes(flags.CompareOptions)
def compare(options: flags.CompareOptions) -> None:
    """Compare jobs: differences in pass rate, speed-up and cost, with intervals, and what only one of them tried."""
    from runner.cli.compare import compare as put_side_by_side

    raise typer.Exit(put_side_by_side(read_settings(), options))


@command(JOBS, "list")
@takes(flags.ListOptions)
def list_(options: flags.ListOptions) -> None:
    """List the jobs in a folder: date, task, agent, runs, pass rate, cost."""
    from runner.cli.list_jobs import list_jobs

    raise typer.Exit(list_jobs(read_settings(), options))


@command(FILES, "init")
@takes(flags.InitOptions)
def init(options: flags.InitOptions) -> None:
    """Write a new task of your own: small, complete and commented."""
    from runner.cli.init import init as write

    raise typer.Exit(write(options))


@command(FILES, "import")
@takes(flags.ImportOptions)
def import_task(options: flags.ImportOptions) -> None:
    """Import a task of another program (Harbor): its images are built, and its tests run in a fresh container."""
    from runner.cli.import_task import import_from

    raise typer.Exit(import_from(read_settings(), options))


@command(FILES, "check")
@takes(flags.CheckOptions)
def check(options: flags.CheckOptions) -> None:
    """Prove a task before money is spent on it: data, baseline, solution, noise, costs, cheats. Exit status 1 if unsound."""
    from runner.cli.check import check as prove

    raise typer.Exit(prove(read_settings(**options.runtime.as_settings()), options))


@command(PEERS, "mcp")
@takes(flags.McpOptions)
def mcp(options: flags.McpOptions) -> None:
    """Serve one episode to an MCP client, over standard input and output: its tools, and submit."""
    from runner.cli.mcp import serve_mcp

    raise typer.Exit(serve_mcp(read_settings(**options.runtime.as_settings()), options))


@command(PEERS, "serve")
@takes(flags.ServeOptions)
def serve(options: flags.ServeOptions) -> None:
    """Serve episodes to trainers over WebSockets, as OpenEnv's clients speak: reset, step, state, close."""
    from runner.cli.serve import serve_episodes

    raise typer.Exit(serve_episodes(read_settings(**options.runtime.as_settings()), options))


@command(HOST, "calibrate")
@takes(flags.CalibrateOptions)
def calibrate(options: flags.CalibrateOptions) -> None:
    """Measure this host's noise with the same file on both sides, and write a certificate that verdicts use."""
    from runner.cli.calibrate import calibrate as measure

    raise typer.Exit(measure(read_settings(**options.runtime.as_settings()), options))


@command(HOST, "selftest")
@takes(flags.SelftestOptions)
def selftest(options: flags.SelftestOptions) -> None:
    """Attack this host's grading with the cheats that ship with the runner, and check that honest work passes."""
    settings = read_settings(**options.runtime.as_settings(), docker_host=options.engine)
    if options.sandbox:
        from runner.cli.selftest_sandbox import selftest_sandbox

        raise typer.Exit(selftest_sandbox(settings, options))
    from runner.cli.selftest import selftest as attack

    raise typer.Exit(attack(settings, options))


@command(HOST, "host")
@takes(flags.HostOptions)
def host(options: flags.HostOptions) -> None:
    """Make this machine a host of a Ray cluster: check it, prepare image and certificate, and join until stopped."""
    from runner.cli.host import host as join

    raise typer.Exit(join(read_settings(**options.runtime.as_settings()), options))


@command(HOST, "clean")
@takes(flags.CleanOptions)
def clean(options: flags.CleanOptions) -> None:
    """Remove containers and temporary folders whose runner is gone; what a running job uses is left alone."""
    from runner.cli.clean import clean as remove_leftovers

    raise typer.Exit(remove_leftovers(read_settings(), options))


@command(HOST, "image")
@takes(flags.ImageOptions)
def image(options: flags.ImageOptions) -> None:
    """Build, check and list sandbox images; save them to a file, and load that on a host without a network."""
    from runner.cli.image import image as manage

    raise typer.Exit(manage(read_settings(), options))


@command(HOST, "doctor")
@takes(flags.DoctorOptions)
def doctor(options: flags.DoctorOptions) -> None:
    """Check this host: engine, limits, images, disk, credentials; a hint for each fault. Exit status 3 if there is one."""
    from runner.cli.doctor import doctor as examine

    raise typer.Exit(examine(read_settings(output=options.output), options))


def main() -> None:
    """The program: every error becomes its two lines and its exit status, and no output can change either."""
    with unbreakable_output(), end_in_time():
        try:
            with interrupt_on_sigterm():
                sys.exit(app(standalone_mode=False))
        except Fault as fault:
            _fail(fault.cause, fault.hint, fault.exit_status)
        except USAGE_ERROR as error:
            where = f"{error.ctx.command_path} --help" if error.ctx is not None else "python -m runner COMMAND --help"
            _fail(usage_message(error), f"`{where}` lists the flags", USAGE)
        except (KeyboardInterrupt, typer.Abort):
            print("interrupted", file=sys.stderr)
            sys.exit(INTERRUPTED)
        except OSError as error:
            if error.errno == errno.ENOENT and not _has_working_directory():
                _fail("the working directory was removed", "change into a folder that is there", USAGE)
            if error.errno in (errno.EACCES, errno.EPERM) and error.filename is not None:
                _fail(f"{error.filename}: {error.strerror}", "give permission, or name another path", USAGE)
            if error.errno != errno.ENAMETOOLONG:
                _fail_ourselves(error)
            _fail(f"{str(error.filename)[:40]}... is too long for a path", "name a shorter one", USAGE)
        except MemoryError:
            _fail(
                "this host gives the runner no more memory",
                "free some, raise its limit, or lower --concurrency",
                INFRASTRUCTURE,
            )
        except Exception as error:  # boundary: Python would end with 1, which means a pass rate under --fail-under
            _fail_ourselves(error)


def _has_working_directory() -> bool:
    try:
        return bool(Path.cwd())
    except FileNotFoundError:
        return False


def _fail_ourselves(error: Exception) -> NoReturn:
    traceback.print_exception(error)
    _fail(f"the runner itself failed: {type(error).__name__}", "please report it, with the lines above", INFRASTRUCTURE)


def _fail(cause: str, hint: str, status: int) -> NoReturn:
    cause, hint = ("\n    ".join(shown_lines(as_called(text))) for text in (cause, hint))
    print(f"error: {cause}\n  hint: {hint}", file=sys.stderr)
    sys.exit(status)
