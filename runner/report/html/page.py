"""The page: records put into templates, held to a size, with a policy that lets nothing run but its own script."""

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from runner.records.grading import Certificate, Grading
from runner.records.outcome import OutcomeKind
from runner.records.run import Run
from runner.report.analysis import measured
from runner.report.analysis.convergence import DEFINITION
from runner.report.escape import capitalized, shown, shown_lines
from runner.report.html import charts, heatmap
from runner.report.html.commands import again_commands, job_command
from runner.report.html.folds import Fold, RunMaterial, fold, run_material
from runner.report.html.lines import LINE_MAX
from runner.report.html.material import Material, flattened, summaries
from runner.report.run_view import MARKS, RunSummary, number_words, ratio_words, seconds_words

NAME = "report.html"
MIB = 1 << 20  # bytes
# Bytes of a page of up to so many runs: what a mail takes, and what a browser opens at once. chosen.
SMALL, SMALL_BYTES = 10, 2 * MIB
LARGE, LARGE_BYTES = 200, 10 * MIB
# Characters of one value. chosen: a long command line; what can be longer is cut with words before it comes here.
VALUE_MAX = 12 * LINE_MAX
PATH = re.compile(r"(M\d+ \d+h1v1h-1z)+")
# How what was measured is said, on the console and here alike.
MEASURED_WORDS = (
    measured.gain_words, measured.multiple_words, measured.exponent_words, measured.mean_shares, measured.why_not,
    measured.remainder_words,
)  # fmt: skip
ROWS_MAX = 400  # of a table of figures under a chart; chosen: more are read by a program, from results.json


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandboxed:
    """What is known of where things ran, from the first run that was graded; each is None where nothing was."""

    grading: Grading | None
    certificate: Certificate | None
    enforced: tuple[tuple[str, str], ...]


def html_report(material: Material) -> str:
    """The page, of at most `bytes_max(runs)` bytes as long as the tables alone leave room for that."""
    rows = summaries(material.job)
    runs = [run_material(material.job, row, material.starter.source) for row in rows]
    template = _templates().get_template("page.html")
    context = _context(material, rows)
    bare = template.render(**context, folds=[fold(run, 0) for run in runs])
    room = bytes_max(len(runs)) - len(bare.encode("utf-8", "backslashreplace"))
    return template.render(**context, folds=list(_folds(runs, max(0, room))))


def bytes_max(runs: int) -> int:
    """The size that a page of so many runs is held to."""
    share = (min(max(runs, SMALL), LARGE) - SMALL) / (LARGE - SMALL)
    return SMALL_BYTES + int(share * (LARGE_BYTES - SMALL_BYTES))


def _folds(runs: list[RunMaterial], room: int) -> Iterator[Fold]:
    """Each run with an equal share of what is left: what one does not need, those after it get."""
    for place, run in enumerate(runs):
        made = fold(run, room // (len(runs) - place))
        room -= sum(line.bytes_max for part in (made.changes, made.transcript) for line in part.lines)
        yield made


def _context(material: Material, rows: Sequence[RunSummary]) -> dict[str, Any]:
    job, analysis = material.job, material.analysis
    runs = [job.runs[number] for number in sorted(job.runs)]
    target = job.config.target if job.config is not None else None
    curve, found = analysis.curve, analysis.convergence
    return {
        "job": job,
        "config": job.config,
        "totals": job.totals,
        "analysis": analysis,
        "measured": analysis.measured,
        "summaries": rows,
        "missing": material.all_missing,
        "quality": _quality_name(runs),
        "target": target,
        "intervals": charts.interval_chart(runs, target),
        "targets": charts.target_chart(curve, analysis.wanted, analysis.wanted_range) if curve is not None else None,
        "heatmap": heatmap.heatmap(found) if found is not None else None,
        "definition": DEFINITION,
        "samples": charts.sample_chart(runs),
        "efforts": charts.effort_rows(rows, analysis.effort, job.runs),
        "tones": {run.number: charts.tone_of(run.outcome.kind) for run in runs},
        "sandboxed": _sandboxed(runs),
        "setting": flattened(asdict(job.config)) if job.config is not None else [],
        "lock": flattened(_without_bill(job.lock)),
        "command": job_command(job.config) if job.config is not None else "",
        "again": again_commands(material.named),
    }


def _without_bill(lock: Mapping[str, Any]) -> dict[str, Any]:
    """What a job ran with, the bill of the image's materials as its length: hundreds of lines that lock.json has."""
    image = lock.get("image")
    if not isinstance(image, Mapping) or not isinstance(bill := image.get("sbom"), Mapping):
        return dict(lock)
    components = bill.get("components")
    count = len(components) if isinstance(components, list) else 0
    return {**lock, "image": {**image, "sbom": f"{count} packages, in lock.json"}}


def _quality_name(runs: list[Run]) -> str:
    return next((run.grading.quality.name for run in runs if run.grading and run.grading.quality), "Quality")


def _sandboxed(runs: list[Run]) -> Sandboxed:
    graded = next((run for run in runs if run.grading is not None and run.grading.rules is not None), None)
    grading = graded.grading if graded is not None else None
    rules = grading.rules if grading is not None else None
    enforced = {side: said for side, said in (graded.enforced if graded is not None else {}).items() if said}
    return Sandboxed(
        grading=grading,
        certificate=rules.certificate if rules is not None else None,
        enforced=tuple(flattened(enforced)),
    )


# Templates


@cache
def _templates() -> Environment:
    """The templates, compiled once; whatever they print is made fit to be shown, and then escaped."""
    environment = Environment(
        loader=PackageLoader("runner.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=fit_to_show,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "ratio": _known(ratio_words),
        "seconds": _known(seconds_words),
        "number": _known(number_words),
        "percent": _known(lambda share: Markup(f"{100 * share:.0f}&nbsp;%")),
        "dollars": _known(lambda dollars: f"${dollars:.4f}"),
        "words": _words,
        "capitalized": capitalized,
        "drawn": _drawn,
        "code_lines": _code_lines,
    }
    environment.globals |= {"mark_of": _mark_of, "mark_of_finding": _mark_of_finding, "rows_max": ROWS_MAX}
    environment.globals |= {
        "gain_definition": measured.GAIN,
        **{words.__name__: words for words in MEASURED_WORDS},
    }
    for name in ("style", "script"):
        text = environment.get_template(f"page.{'css' if name == 'style' else 'js'}").render()
        environment.globals[name] = Markup(text)  # ours: a file of this package
        environment.globals[f"{name}_hash"] = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return environment


def fit_to_show(value: Any) -> Any:
    """What a template prints in place of a value: nothing stays invisible, nothing is longer than a line; None is a dash.

    Markup comes from templates, which are ours; escaping what is left of HTML in a text is jinja's part.
    """
    if value is None:
        return "–"
    return shown(value, VALUE_MAX) if isinstance(value, str) and not isinstance(value, Markup) else value


def _known(words: Callable[[float], str]) -> Callable[[float | None], str | None]:
    """The same for a figure that may not be known."""
    return lambda value: None if value is None else words(value)


def _words(kind: OutcomeKind | str | None) -> str:
    return "no verdict yet" if kind is None else str(kind).replace("_", " ")


def _mark_of(tone: str) -> str:
    return {"good": "✓", "bad": "✗", "doubt": "?"}[tone]


def _mark_of_finding(mark: str) -> str:
    return MARKS[mark][0]


def _code_lines(text: str) -> list[str]:
    """The lines of an excerpt, each as it is shown."""
    return shown_lines(text, LINE_MAX)[:ROWS_MAX]


def _drawn(path: str) -> Markup:
    """A path of any length, as `heatmap` makes it: of numbers and nothing else."""
    if not PATH.fullmatch(path):
        raise ValueError(f"not the path of a map: {path[:40]}")
    return Markup(path)
