"""Write the reference pages, and the console's copies, from the code.

`python -m tests.project.reference_pages` writes docs/reference/*.md and docs/console/help.txt; with `--check` it compares
them and exits with 1 where one differs. `--console` writes docs/console/ten-runs.txt: ten scripted runs on this host.
"""

import argparse
import inspect
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import typer

import runner
from runner.cli.app import EXIT_STATUS, app
from runner.cli.declaring import OLD_NAMES
from runner.grading.checks.catalogue import CATALOGUE
from runner.records.episode import EpisodeSummary, Limits, Spent, Usage
from runner.records.events import EVENTS, Attempt
from runner.records.grading import Certificate, Finding, Interval, Quality, QualityRound, Rules, Sample
from runner.records.outcome import PROPERTIES
from runner.records.run import SCHEMA, GradingConfig, JobConfig, SnapshotRecord, SubmissionRecord, Totals
from runner.settings import Settings
from runner.tasks.problem import NEEDS, PARAMETERS, REQUIRED, Problem
from runner.tasks.schema import Bytes, Section, TaskFile
from runner.tasks.strategies import Part, Strategy
from tests.project.docstrings import attributes, summary
from tests.project.example import example_pages
from tests.project.json_schemas import schemas

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
NOTE = "<!-- Written by `make docs` from the code: change that, not this page. -->\n\n"
HELP_COLUMNS = "100"
# What tells a size from another number: it is also read from a text with a unit.
BYTES = Bytes.__metadata__[0]  # type: ignore[attr-defined]
TEN_RUNS = ("--runs", "10", "--agent", "scripted", "--name", "ten-runs", "--output")
JSON_TYPES = {
    str: "string", bool: "boolean", int: "integer", float: "number", NoneType: "null", tuple: "array", Any: "any",
}  # fmt: skip
Page = Iterator[str]


# Markdown and docstrings


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Page:
    """The lines of a table."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


def type_words(annotation: Any) -> str:
    """A type as JSON has it."""
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(type_words(inner) for inner in get_args(annotation))
    if get_origin(annotation) is Literal:
        return ", ".join(f'`"{value}"`' for value in get_args(annotation))
    kind = get_origin(annotation) or annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f'`"{member.value}"`' for member in kind)
    return JSON_TYPES.get(kind, "object")


def record_rows(cls: type[Any]) -> list[tuple[str, ...]]:
    """(key, type, meaning) of a record's fields."""
    said, kinds = attributes(cls), get_type_hints(cls)
    return [(f"`{f.name}`", type_words(kinds[f.name]), re.sub(r"\bNone\b", "null", said[f.name])) for f in fields(cls)]


def record_section(title: str, cls: type[Any]) -> Page:
    """A heading, the record's sentence, and its keys."""
    yield from (f"## {title}", "", summary(cls), "")
    yield from table(("key", "type", "meaning"), record_rows(cls))


# Pages


def cli_page() -> Page:
    """Every command and flag."""
    root: Any = typer.main.get_command(app)
    yield from (
        "# Commands and flags",
        "",
        "`python -m runner COMMAND --help` says the same in a terminal. Where no command",
    )
    yield from ("is named, it is `run`: `python -m runner --runs 10`.", "")
    for name, command in root.commands.items():
        yield from _command_section(f"python -m runner {name}", command)
    yield from ("## Exit status", "")
    statuses = [part.strip(" .") for part in EXIT_STATUS.removeprefix("Exit status:").split(";")]
    split = [status.split(" ", 1) for status in statuses]
    yield from table(("status", "meaning"), [(number, meaning) for number, meaning in split])
    yield from ("## Old names", "", "Flags that had another name are still read under it:", "")
    yield from table(("old", "now"), [(f"`--{old}`", f"`--{new}`") for old, new in OLD_NAMES.items()])


def _command_section(name: str, command: Any) -> Page:
    yield from (f"## `{name}`", "", summary(command.callback), "")
    arguments = [param for param in command.params if not _is_flag(param)]
    if arguments:
        yield from table(("argument", "meaning"), [(f"`{_argument(param)}`", param.help or "") for param in arguments])
    hidden = {"install_completion", "show_completion", "help", "version"}
    flags = [param for param in command.params if _is_flag(param) and param.name not in hidden]
    panels = dict.fromkeys(param.rich_help_panel for param in flags)
    for panel in panels:
        yield from (f"**{panel}**", "")
        rows = [_flag_row(param) for param in flags if param.rich_help_panel == panel]
        yield from table(("flag", "value", "default", "meaning"), rows)


def _argument(param: Any) -> str:
    """As it stands in a line of usage: in brackets where it may be left out, with dots where there may be several."""
    name = str(param.metavar or param.name)
    return (name if param.required else f"[{name}]") + ("..." if param.nargs != 1 else "")


def _is_flag(param: Any) -> bool:
    return bool(param.opts[0].startswith("-"))


def _flag_row(param: Any) -> tuple[str, ...]:
    names = " / ".join(f"`{name}`" for name in [*param.opts, *param.secondary_opts])
    value = f"`{param.metavar}`" if param.metavar else ""
    return names, value, _default_words(param), param.help or ""


def _default_words(param: Any) -> str:
    default = param.default
    if param.is_flag:
        return "" if not default else f"`{param.opts[0]}`"
    return "" if default is None or default == "" else f"`{getattr(default, 'value', default)}`"


def task_page() -> Page:
    """Every key of task.toml, and what problem.py may define."""
    yield from ("# task.toml and problem.py", "")
    yield from (
        "A task is a folder: `task.toml`, `instruction.md` (`{target}` and `{tolerance}` are filled in), the baseline,",
        "`problem.py`, `workspace/` (what the agent finds besides the baseline and the sample data), and optionally",
        "`system.md` (its own system prompt), `solution/<file>` (the oracle) and `episodes/NN.toml` with `episodes/files/`",
        "(scripted agents). An unknown key is an error that names the nearest known one.",
        "",
    )
    for name, about in TaskFile.model_fields.items():
        yield from _section_of(name, about.annotation)
    yield from ("# problem.py", "", summary(Problem), "")
    yield from (
        "It is trusted, and runs on the host with numpy; the runner itself knows nothing of labels or classes. Another",
        "public name is an error, so that a misspelt check is not silently off. A function that gets an answer may raise",
        "`BadAnswer`; whatever else it raises, or returns in a form other than this, is the task's fault, and ends that one",
        "run as `infrastructure`. What an answer's own numbers bring about, an overflow or a quality of minus infinity,",
        "is no fault of the task: that answer is a `bad_answer`. The arrays that a function gets are read-only: other calls",
        "get the same ones. What the file prints goes to standard error.",
        "",
    )
    yield from table(("function", "required", "meaning"), list(_problem_rows()))
    yield from (
        "Tasks of kind `program` define `make(seed, sizes)`, which gives `Cases` (what each gets on stdin, and what is",
        'right), and with `compare = "judge"` also `judge(cases, outputs)`: a quality value for each output, of bytes that',
        "nobody trusts; where they are no answer at all, it may raise `BadAnswer`.",
        "",
        "Tasks of kind `answer` define two of them, over other types of `runner.tasks`: `make(seed, sizes)` gives a",
        "`Question` (the files that the agent finds, and what is hidden), and `score(question, answer)` gets the arrays of",
        '`[answer]`, or for `form = "text"` the text as a `str`; where it does not have the form asked for,',
        "it raises `BadAnswer`.",
        "",
    )


def strategies_page() -> Page:
    """Every key of strategies.toml."""
    yield from ("# strategies.toml", "")
    yield from (
        "Optional: the parts of a task's problem, and the ways in which each is known to be solved, for `analyze`.",
        "A pattern is a text in the language of [ast-grep](https://ast-grep.github.io), such as `numpy.diff($$$)`; a rule",
        "is a table of `pattern` or `kind` with `has`, `inside`, `not`, `all` and `any`, such as",
        '`{ pattern = "$X.std($$$)", not = { inside = { pattern = "print($$$)", stopBy = "end" } } }`. Both are matched',
        "against a canonical text of each submission: names from modules are written out, methods and operators stand for",
        "the functions of numpy and torch, and names that",
        "are bound once stand as their values ([how](../explanation/convergence.md)).",
        "",
    )
    for title, model in (("[[part]]", Part), ("[[part.strategy]]", Strategy)):
        yield from (f"## `{title}`", "", summary(model), "")
        rows = [
            (f"`{name}`", "required" if about.is_required() else "", " ".join((about.description or "").split()))
            for name, about in model.model_fields.items()
            if name != "strategy"
        ]
        yield from table(("key", "", "meaning"), rows)


def _section_of(name: str, annotation: Any) -> Page:
    kinds = [annotation, *get_args(annotation)]
    is_table = any(isinstance(kind, type) and issubclass(kind, Section) for kind in kinds[:1])
    for kind in kinds:
        if isinstance(kind, type) and issubclass(kind, Section):
            title = f"[{name}]" if is_table else f"[{name}.<name>]"
            yield from (f"## `{title}`", "", summary(kind), "")
            yield from table(("key", "type", "default", "meaning"), list(_key_rows(kind)))


def _key_rows(section: type[Section], prefix: str = "") -> Iterator[tuple[str, ...]]:
    properties = section.model_json_schema()["properties"]
    for name, about in section.model_fields.items():
        schema = properties[name]
        default = "required" if about.is_required() else _toml(about.default)
        words = 'size (`"512MiB"`, or bytes)' if BYTES in about.metadata else _schema_words(schema)
        yield f"`{prefix}{name}`", words, default, " ".join((about.description or "").split())
        for kind in _sections_in(about.annotation):
            nested = f"{prefix}{name}[]." if "list" in str(about.annotation) else f"{prefix}{name}."
            yield from _key_rows(kind, nested)


def _sections_in(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections_in(inner)


def _schema_words(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_schema_words(s) for s in schema["anyOf"] if s.get("type") != "null"))
    if "enum" in schema or "const" in schema:
        return ", ".join(f'`"{value}"`' for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_schema_words(schema.get('items', {}))}"
    if "$ref" in schema:
        return _schema_words(TaskFile.model_json_schema()["$defs"][schema["$ref"].rpartition("/")[2]])
    words = {"string": "text", "integer": "whole number", "boolean": "true or false", "number": "number"}
    return words.get(schema.get("type", ""), "table")


def _toml(value: Any) -> str:
    if value is None:
        return "absent"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def _problem_rows() -> Iterator[tuple[str, ...]]:
    said = attributes(Problem)
    for name, parameters in PARAMETERS.items():
        needed = "yes" if name in REQUIRED else "no"
        also = f" Needs `{NEEDS[name]}`." if name in NEEDS and "Needs" not in said[name] else ""
        yield f"`{name}({', '.join(parameters)})`", needed, said[name] + also
    yield "`AGREEMENT_MIN`", "no", said["agreement_min"]


RUN_KEYS = {
    "number": "of the run, from 1",
    "outcome": "how it ended: one of the [outcomes](outcomes-and-checks.md)",
    "reward": "1.0, 0.0, or null where the outcome does not count",
    "reason": "one sentence with the figures that decided it; may hold names from the submission, so hostile text",
    "hint": "what to do about it, where the host is the cause; else null",
    "speedup": "the ratio, see below; null without one",
    "seconds": "`baseline` and `candidate`: mean seconds of the timed samples",
    "audit": "the speed-up over all data sets, those of audits (without a baseline) included; null without audits",
    "guards": "`median_ratio`, `total_ratio`, `slowest_over_median`, `baseline_drift`: what can only take a pass away",
    "samples": "every sample, see below: all figures can be computed again from them",
    "seeds": "the data seed of each round, hexadecimal; `grade --seed` replays them",
    "quality": "of both sides, see below; null where nothing was graded",
    "rules": "what the submission was held to, see below",
    "notes": "what a reader of the grading must know",
    "preloaded": "for `baseline` and `candidate`: modules that were imported before the clock started",
    "findings": "every check, see below",
    "submission": "the file, see below; null without one",
    "episode": "the episode in figures, see below, with `cache_hit_rate`; null for a file graded without an agent",
    "snapshots": "states of the file while the agent worked, see below, each with its outcome and `best_so_far`",
    "enforced": "the limits that the engine showed for each role's containers",
}


def results_page() -> Page:
    """The keys of results.json and job.json."""
    yield from (
        "# results.json and job.json",
        "",
        f"This is form {SCHEMA} (`schema`); jobs of form 1 are still read.",
        "",
    )
    yield from (
        "`results.json` holds `schema`, `job` (which is job.json), `lock` (what the job ran with: image id, digest of the",
        "task, versions), `runs` and `totals`. Times are seconds, money is US dollars, ratios are baseline over candidate.",
        "",
        "## A run",
        "",
    )
    yield from table(("key", "meaning"), [(f"`{key}`", text) for key, text in RUN_KEYS.items()])
    for title, cls in (
        ("`speedup`", Interval),
        ("`samples[]`", Sample),
        ("`quality`", Quality),
        ("`quality.rounds[]`", QualityRound),
        ("`rules`", Rules),
        ("`rules.certificate`", Certificate),
        ("`findings[]`", Finding),
        ("`submission`", SubmissionRecord),
        ("`episode`", EpisodeSummary),
        ("`episode.usage`", Usage),
        ("`snapshots[]`", SnapshotRecord),
        ("`totals`", Totals),
        ("`job`", JobConfig),
        ("`job.limits`", Limits),
        ("`job.grading`", GradingConfig),
    ):
        yield from record_section(title, cls)


def events_page() -> Page:
    """The events of a transcript."""
    yield from ("# Events of a transcript", "")
    yield from (
        "`run_<i>/transcript.jsonl` holds one event a line: a JSON object with `event` (its kind), `at` (ISO 8601, UTC) and",
        "the keys below. Keys of `more` and `facts` stand in the line itself. What has its default may be left out.",
        "",
    )
    for kind, cls in EVENTS.items():
        yield from record_section(f"`{kind}`", cls)
    for title, record in (("An attempt (`tries[]`)", Attempt), ("What is spent (`spent`)", Spent)):
        yield from record_section(title, record)


def outcomes_page() -> Page:
    """Outcomes and checks."""
    yield from ("# Outcomes and checks", "", "## Outcomes", "")
    rows = [
        (f"`{kind.value}`", "not counted" if about.reward is None else f"{about.reward:g}", about.by, about.meaning)
        for kind, about in PROPERTIES.items()
    ]
    yield from table(("outcome", "reward", "whose doing", "meaning"), rows)
    yield from ("## Checks", "")
    yield from (
        "A failed check decides the outcome; advice (⚠) is shown and decides nothing, unless `--strict` is given.",
        "",
    )
    for looks_at, title in (
        ("text", "On the text"),
        ("behaviour", "On what its components do"),
        ("answers", "On what it answers"),
        ("engine", "On what the kernel counts"),
    ):
        yield from (f"### {title}", "")
        yield from table(
            ("check", "fails as", "what it says"),
            [
                (f"`{name}`", f"`{check.fails_as}`" if check.fails_as else "advice", check.meaning)
                for name, check in CATALOGUE.items()
                if check.looks_at == looks_at
            ],
        )


def settings_page() -> Page:
    """Environment variables."""
    said = attributes(Settings)
    yield from ("# Environment variables", "", "A flag wins over its variable.", "")
    own, others = [], []
    for name, about in Settings.model_fields.items():
        alias = about.validation_alias
        if alias is None:
            default = "" if str(about.default or "") == "" else f"`{about.default}`"
            own.append((f"`RUNNER_{name.upper()}`", default, said.get(name, "")))
        else:
            names = [str(choice) for choice in alias.choices]  # type: ignore[union-attr]
            others += [f"`{each}`" for each in names if each.isupper() and not each.startswith("RUNNER_")]
    yield from table(("variable", "default", "meaning"), own)
    yield from ("Read as their own tools read them: " + ", ".join(others) + ".", "")
    yield from (
        "Caches, certificates among them, go to `runner` in `XDG_CACHE_HOME`, else in the platform's own folder.",
        "",
    )


# The Python interface

# What the package also gives: parts of a job, for whoever builds another kind of it.
PARTS = {"all_cpus", "build_context", "build_rules", "build_spec", "Case", "Episode", "find_engine", "Fleet",
         "grade_contents", "load_task", "Run", "Settings", "SystemClock", "Totals", "workspace_files"}  # fmt: skip


def python_page() -> Page:
    """What `from runner import ...` gives: functions, then classes."""
    yield from ("# The Python interface", "", "What `from runner import ...` gives. How it is used:")
    yield from ("[train with episodes](../how-to/train.md), [bring your own agent](../how-to/bring-an-agent.md).", "")
    public = {name: getattr(runner, name) for name in sorted(set(runner.__all__) - PARTS, key=str.lower)}
    yield from ("## Functions", "")
    for name, thing in public.items():
        if inspect.isroutine(thing):
            yield from (f"### `{name}`", "", f"`{_signature(name, thing)}`", "", *_told(thing))
    yield from ("## Classes", "")
    for name, thing in public.items():
        if isinstance(thing, type):
            yield from _class_section(name, thing)
    parts = ", ".join(f"`{name}`" for name in sorted(PARTS, key=str.lower))
    yield from ("## Parts", "", f"For whoever builds another kind of job; their docstrings say how: {parts}.")


def _class_section(name: str, cls: type[Any]) -> Page:
    yield from (f"### `{name}`", "", *_told(cls))
    if issubclass(cls, Enum):
        yield from ("Values: " + ", ".join(f"`{member.value}`" for member in cls) + ".", "")
        return
    said = attributes(cls)
    rows = [(f"`{key}`", text) for key, text in said.items()]
    own = {key: thing for key, thing in vars(cls).items() if not key.startswith("_")}
    rows += [
        (f"`{key}`", _summary(thing.fget))
        for key, thing in own.items()
        if isinstance(thing, property) and key not in said
    ]
    if rows:
        yield from table(("attribute", "meaning"), rows)
    methods = [
        (f"`{_signature(key, thing)}`", _summary(thing)) for key, thing in own.items() if inspect.isfunction(thing)
    ]
    if methods:
        yield from table(("method", "meaning"), methods)


def _told(thing: Any) -> Page:
    """What a docstring says of a thing, its arguments and the errors that it raises."""
    yield from (_summary(thing), "")
    for title, head in (("Args", "argument"), ("Raises", "raises")):
        rows = [(f"`{key}`", words) for key, words in attributes(thing, title).items()]
        if rows:
            yield from table((head, "meaning"), rows)


def _summary(thing: Any) -> str:
    """In one paragraph: a cell of a table has no other. A command in it is named, and not one to be copied."""
    return " ".join(summary(thing).split()).replace("python -m runner", "runner")


def _signature(name: str, thing: Any) -> str:
    """How a function is called: its parameters with their types, without the modules that these are of."""
    asked, is_keyword = inspect.signature(thing), False
    parts: list[str] = []
    for parameter in asked.parameters.values():
        if parameter.name == "self" or parameter.name == "old_event":  # what is read of older callers is not offered
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not is_keyword:
            parts, is_keyword = [*parts, "*"], True
        kind = _annotation(parameter.annotation)
        default = "" if parameter.default is parameter.empty else f" = {_python_default(parameter.default)}"
        stars = {parameter.VAR_POSITIONAL.name: "*", parameter.VAR_KEYWORD.name: "**"}
        parts.append(f"{stars.get(parameter.kind.name, '')}{parameter.name}{': ' + kind if kind else ''}{default}")
    gives = _annotation(asked.return_annotation)
    return f"{name}({', '.join(parts)}){' -> ' + gives if gives else ''}"


def _annotation(annotation: Any) -> str:
    """As it is written, without modules and quotes; empty where there is none."""
    if annotation is inspect.Parameter.empty:
        return ""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Za-z])", "", text).strip("'")


def _python_default(value: Any) -> str:
    return "..." if callable(value) else repr(value)


PAGES: dict[str, Callable[[], Page]] = {
    "reference/cli.md": cli_page,
    "reference/task-toml.md": task_page,
    "reference/strategies-toml.md": strategies_page,
    "reference/results-json.md": results_page,
    "reference/events.md": events_page,
    "reference/outcomes-and-checks.md": outcomes_page,
    "reference/settings.md": settings_page,
    "reference/python.md": python_page,
}


# The console


def run_program(*arguments: str, **environment: str) -> str:
    """What the program writes to stdout, without colours."""
    fixed = {"COLUMNS": HELP_COLUMNS, "NO_COLOR": "1", "TERM": "dumb", "TERMINAL_WIDTH": HELP_COLUMNS}
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "DOCKER_HOST")}
    done = subprocess.run(
        [sys.executable, "-m", "runner", *arguments],
        cwd=ROOT,
        env={**kept, **fixed, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return "\n".join(line.rstrip() for line in done.stdout.splitlines()).strip("\n") + "\n"


def texts() -> dict[str, str]:
    """Every generated file, by its path under docs/."""
    pages = {path: NOTE + "\n".join(page()).rstrip("\n") + "\n" for path, page in PAGES.items()}
    return {
        **pages,
        **schemas(),
        **example_pages(),
        "console/help.txt": run_program("--help") + "\n" + run_program("run", "--help"),
    }


def main() -> int:
    """Write, or compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare only; exit with 1 where a file differs")
    parser.add_argument("--console", action="store_true", help="run ten scripted episodes and keep the console")
    given = parser.parse_args()
    if given.console:
        with tempfile.TemporaryDirectory() as folder:
            text = run_program(*TEN_RUNS, folder).replace(folder, "output")
        (DOCS / "console" / "ten-runs.txt").write_text(text)
        return 0
    differing = [path for path, text in texts().items() if not _is_as(path, text, write=not given.check)]
    for path in differing:
        print(f"docs/{path}: {'differs, run `make docs`' if given.check else 'written'}")
    return 1 if given.check and differing else 0


def _is_as(path: str, text: str, *, write: bool) -> bool:
    file = DOCS / path
    if file.is_file() and file.read_text() == text:
        return True
    if write:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return False


if __name__ == "__main__":
    sys.exit(main())
