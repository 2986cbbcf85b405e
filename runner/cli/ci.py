"""What a run of the program leaves for a CI: the file of `--junit`, and GitHub's summary and annotations."""

import sys
from pathlib import Path

from runner.cli.option_groups import CiOptions
from runner.export.github import SUMMARY_BYTES_MAX, annotations, summary_markdown
from runner.export.junit import Suite, junit_xml
from runner.faults import Fault, StoreFault
from runner.settings import Settings
from runner.store.files import guard_writing, write_file


def report_to_ci(settings: Settings, options: CiOptions, suite: Suite) -> None:
    """Write what was asked for, and on GitHub its summary; what cannot be written is said, and changes nothing else."""
    if options.junit is not None:
        _write_junit(options.junit, suite)
    if settings.github_step_summary:
        _write_summary(Path(settings.github_step_summary), suite)
        print("\n".join(annotations(suite)), file=sys.stderr)


def _write_junit(path: Path, suite: Suite) -> None:
    try:
        guard_writing(path, lambda: path.parent.mkdir(parents=True, exist_ok=True))
        write_file(path, junit_xml(suite))
    except Fault as fault:
        print(f"no JUnit file: {fault.cause}\n  hint: {fault.hint}", file=sys.stderr)


def _write_summary(path: Path, suite: Suite) -> None:
    """Add to the file, which other commands of the step may have written to."""
    try:
        guard_writing(path, lambda: _append(path, summary_markdown(suite).encode("utf-8", "backslashreplace")))
    except Fault as fault:
        print(f"no GitHub summary: {fault.cause}\n  hint: {fault.hint}", file=sys.stderr)


def _append(path: Path, content: bytes) -> None:
    before = path.stat().st_size if path.exists() else 0
    if before + len(content) > SUMMARY_BYTES_MAX:
        raise StoreFault(
            cause=f"{path} would be larger than the {SUMMARY_BYTES_MAX} bytes that GitHub takes",
            hint="split the step in two",
        )
    with path.open("ab") as file:
        file.write(content)
