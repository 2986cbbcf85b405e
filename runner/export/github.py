"""A job's runs for a step of GitHub's actions: a summary in Markdown, and lines that become annotations. Pure.

Reasons are hostile text. In the summary they stand in one fenced block whose fence is longer than any of backticks in it.
What stands outside of it (names) has every sign but letters and digits as a character reference, which Markdown never takes
for structure. In an annotation, `%` and line ends are escaped as the command's form asks, and so is what cannot be printed.
"""

import re
from collections.abc import Iterator

from runner.export.junit import Suite, quality_words, speed_words
from runner.records.outcome import OutcomeKind, properties
from runner.records.run import Run

SUMMARY_BYTES_MAX = 1024 * 1024  # GitHub's: a step whose summary is larger loses all of it
ROWS_MAX = 200  # chosen: the longest names and reasons of so many, at ten bytes and four a sign, stay under that bound
NAME_MAX = 80  # characters; chosen: what is read of a name in a table
REASON_MAX = 300  # characters; chosen: a sentence with figures and a name in it
ANNOTATIONS_MAX = 10  # GitHub's: of one kind in one step; the rest is not shown
_SIGN = re.compile(r"[^0-9A-Za-z ]")


def summary_markdown(suite: Suite) -> str:
    """A heading, a line of counts, a table of the runs, and the reasons of those that did not pass."""
    parts = [f"### {_plain(suite.name)}: {_plain(suite.task)}", counts_words(suite), _table(suite)]
    reasons = "\n".join(_reasons(suite))
    if reasons:
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", reasons)), default=0))
        parts.append(f"{fence}text\n{reasons}\n{fence}")
    if len(suite.runs) > ROWS_MAX:
        parts.append(f"{len(suite.runs) - ROWS_MAX} more runs are in the results.")
    return "\n\n".join(parts) + "\n\n"


def counts_words(suite: Suite) -> str:
    """How many runs there are, passed, and do not count."""
    kinds = [run.outcome.kind for run in suite.runs]
    counted = sum(properties(run.outcome).counts for run in suite.runs)
    words = f"{kinds.count(OutcomeKind.PASSED)} of {counted} passed"
    apart = [
        f"{kinds.count(kind)} {kind.words}"
        for kind in (OutcomeKind.INCONCLUSIVE, OutcomeKind.INFRASTRUCTURE)
        if kind in kinds
    ]
    return ", ".join([words, *apart])


def annotations(suite: Suite) -> list[str]:
    """Lines for standard output or error: an `::error` for each run that failed, a `::notice` for the rest."""
    errors = [_annotation("error", suite, run) for run in suite.runs if _is_error(run)]
    notices = [_annotation("notice", suite, run) for run in suite.runs if run.outcome.kind is OutcomeKind.INCONCLUSIVE]
    whole = f"::notice title={_property(suite.task)}::{_message(counts_words(suite))}"
    return [*errors[:ANNOTATIONS_MAX], whole, *notices[: ANNOTATIONS_MAX - 1]]


def _is_error(run: Run) -> bool:
    return run.outcome.kind not in (OutcomeKind.PASSED, OutcomeKind.INCONCLUSIVE)


def _annotation(command: str, suite: Suite, run: Run) -> str:
    title = _property(f"{suite.case_name(run)}: {run.outcome.kind.words}")
    return f"::{command} title={title}::{_message(run.outcome.reason)}"


def _message(text: str) -> str:
    return _printable(text)[:REASON_MAX].replace("%", "%25") or "no reason is recorded"


def _property(text: str) -> str:
    return _printable(text)[:REASON_MAX].replace("%", "%25").replace(":", "%3A").replace(",", "%2C")


def _table(suite: Suite) -> str:
    head = "| run | outcome | speed-up | quality |\n|---|---|---|---|"
    return "\n".join([head, *(_row(suite, run) for run in suite.runs[:ROWS_MAX])])


def _row(suite: Suite, run: Run) -> str:
    return f"| {_plain(suite.case_name(run))} | {run.outcome.kind.words} | {speed_words(run)} | {quality_words(run)} |"


def _reasons(suite: Suite) -> Iterator[str]:
    for run in suite.runs[:ROWS_MAX]:
        if run.outcome.kind is not OutcomeKind.PASSED:
            yield _printable(f"{suite.case_name(run)}: {run.outcome.reason}")[:REASON_MAX]


def _plain(text: str) -> str:
    """A name, bounded, that is nothing but text wherever it stands."""
    return _SIGN.sub(lambda found: f"&#{ord(found[0])};", _printable(text)[:NAME_MAX])


def _printable(text: str) -> str:
    """On one line: what cannot be printed is written as its escape."""
    cut = text[:REASON_MAX]
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)
