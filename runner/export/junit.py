"""A job's runs as JUnit XML, the common ground of what Jenkins, GitLab and GitHub's actions read. Pure.

A run is a test case: one that passed is bare, one that failed has a `failure` whose type is its outcome, a host's fault is
an `error`, and an inconclusive run is `skipped`: neither of the last two says anything about the submission. Reasons are
hostile text: what XML 1.0 cannot hold is written as its escape (`\\x1b`), and the standard library does the rest.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree

from runner.records.outcome import OutcomeKind
from runner.records.run import Run

# Everything but XML 1.0's characters (section 2.2), and of its line ends only the one that a reader leaves as it is.
_FORBIDDEN = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Runs that are reported together.

    Attributes:
        name, task: of the job (or of the command), and of the task.
        runs: in the order in which they are listed.
        names: what a test case is called, by the run's number; those without are `run <number>`. Hostile text.
        seconds: wall clock of the whole.
        started: date and time, ISO 8601; empty: not known.
        about: what else is said of the suite, by name.
    """

    name: str
    task: str
    runs: Sequence[Run]
    names: Mapping[int, str] = field(default_factory=dict)
    seconds: float = 0.0
    started: str = ""
    about: Mapping[str, str] = field(default_factory=dict)

    def case_name(self, run: Run) -> str:
        """What a run is called."""
        return self.names.get(run.number, f"run {run.number}")


def junit_xml(suite: Suite) -> bytes:
    """The file: UTF-8, one suite with a case for each run."""
    counts = _counts(suite.runs)
    whole = ElementTree.Element("testsuites", _attributes(name="runner", **counts, time=f"{suite.seconds:.3f}"))
    one = ElementTree.SubElement(
        whole, "testsuite", _attributes(name=suite.name, **counts, time=f"{suite.seconds:.3f}", timestamp=suite.started)
    )
    properties = ElementTree.SubElement(one, "properties")
    for name, value in {"task": suite.task, **suite.about}.items():
        if value:
            ElementTree.SubElement(properties, "property", _attributes(name=name, value=value))
    for run in suite.runs:
        _add_case(one, suite, run)
    ElementTree.indent(whole)
    written: bytes = ElementTree.tostring(whole, encoding="utf-8", xml_declaration=True)
    return written


def _add_case(parent: ElementTree.Element, suite: Suite, run: Run) -> None:
    seconds = run.episode.seconds if run.episode is not None else 0.0
    case = ElementTree.SubElement(
        parent, "testcase", _attributes(classname=suite.task, name=suite.case_name(run), time=f"{seconds:.3f}")
    )
    element = _ELEMENTS.get(run.outcome.kind, "failure")
    if element:
        about = _attributes(message=run.outcome.reason, type=run.outcome.kind.value)
        ElementTree.SubElement(case, element, about).text = _legal("\n".join(_details(run)))
    figures = _figures(run)
    if figures:
        ElementTree.SubElement(case, "system-out").text = _legal("\n".join(figures))


# The element of a case by its outcome; those that are not named are failures.
_ELEMENTS = {OutcomeKind.PASSED: "", OutcomeKind.INFRASTRUCTURE: "error", OutcomeKind.INCONCLUSIVE: "skipped"}


def _counts(runs: Sequence[Run]) -> dict[str, str]:
    elements = [_ELEMENTS.get(run.outcome.kind, "failure") for run in runs]
    names = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    return {"tests": str(len(runs))} | {name: str(elements.count(element)) for name, element in names.items()}


def _details(run: Run) -> Iterable[str]:
    """The reason, what to do about it, and the checks that failed."""
    yield run.outcome.reason
    if run.outcome.hint:
        yield f"hint: {run.outcome.hint}"
    for finding in run.grading.findings if run.grading is not None else ():
        if finding.mark == "fail":
            yield f"{finding.check}: {finding.text}"


def _figures(run: Run) -> list[str]:
    quality = run.grading.quality if run.grading is not None else None
    name = quality.name if quality is not None else ""
    named = {"speed-up": speed_words(run), name: quality_words(run)}
    return [f"{name} {words}" for name, words in named.items() if words]


def speed_words(run: Run) -> str:
    """The speed-up, with its interval where there is one; empty where none was measured."""
    speed = run.speedup
    if speed is None:
        return ""
    bounds = f" ({speed.low:.4g} to {speed.high:.4g})" if speed.low is not None and speed.high is not None else ""
    return f"{speed.estimate:.4g}{bounds}"


def quality_words(run: Run) -> str:
    """The candidate's quality, and the baseline's where it is known; empty where none was measured."""
    quality = run.grading.quality if run.grading is not None else None
    if quality is None or quality.candidate is None:
        return ""
    return f"{quality.candidate:.4g}" + (f", baseline {quality.baseline:.4g}" if quality.baseline is not None else "")


def _attributes(**given: str) -> dict[str, str]:
    return {name: _legal(value) for name, value in given.items() if value}


def _legal(text: str) -> str:
    return _FORBIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
