"""Rules about a submission's text, over a report that a parser inside a sandbox made of it. Pure.

The report comes out of a container: every value is taken for hostile and for the wrong type until it has been checked.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.records.grading import Finding
from runner.records.untrusted_json import InvalidJson, parse_object
from runner.tasks.task import Task

DYNAMIC = frozenset(["exec", "eval", "compile", "__import__", "importlib.import_module", "globals", "vars", "setattr"])
INTROSPECTION = frozenset(["gc", "sys", "inspect", "ctypes", "mmap", "marshal", "pickle", "traceback"])
FRAME_ATTRIBUTES = frozenset(
    ["_getframe", "gi_frame", "f_back", "f_globals", "__globals__", "__subclasses__", "__code__", "modules"]
)
CLOCKS = frozenset(["perf_counter", "perf_counter_ns", "monotonic", "monotonic_ns", "time_ns", "process_time"])
# Calls that touch files.
FILES = frozenset(
    "open io.open os.open numpy.save numpy.savez numpy.load numpy.memmap numpy.fromfile torch.save torch.load".split()
)
# Words that stand in a text only where it looks for the grader.
GRADER_WORDS = (
    "problem.py",
    "results.json",
    "docker.sock",
    "/proc/1/",
    "/proc/self/mem",
    "task.toml",
    "/sys/fs/cgroup",
)
# Characters of a name that are kept. chosen, well over any honest one, and over any that a task can forbid.
NAME_MAX = 200
SHOWN_MAX = 10  # names that a finding shows; chosen: a line or two


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What the parser said, checked.

    Attributes:
        broken: why there is nothing else; empty where the text could be compiled.
        broken_kind: "text" (cannot be decoded) or "syntax" (not Python).
        unread: why it could not be taken apart, though it is not broken; empty where it could.
        imports: modules as statements name them (`a.b` for `from a import b`, `a.*` for a star), and by their own names.
        standard: roots among them that are of the standard library of the Python inside.
        names: dotted names that are used, followed through imports and assignments.
        bound: names that the module binds, in whatever way.
        called: names that are called, followed in the same way.
        used: plain names that are read anywhere.
        bidi: characters that turn the reading direction.
        odd_names: names in other than ASCII letters.
        unseen: what could not be followed, in words.
        places: lines of classes and their methods (`Name.method`).
        cut: lists that are not whole.
    """

    broken: str = ""
    broken_kind: str = ""
    unread: str = ""
    imports: tuple[str, ...] = ()
    standard: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    bound: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    used: tuple[str, ...] = ()
    bidi: tuple[str, ...] = ()
    odd_names: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    strings: tuple[str, ...] = ()
    places: Mapping[str, int] | None = None
    cut: tuple[str, ...] = ()


def parse_report(body: bytes) -> SourceReport:
    """The report in the bytes that came out."""
    try:
        raw = parse_object(body)
    except InvalidJson:
        return SourceReport(unread="the parser gave no answer")
    for kind in ("text", "syntax"):
        if kind in raw:
            return SourceReport(broken=str(raw[kind])[:500], broken_kind=kind)
    if "unread" in raw:
        return SourceReport(unread=str(raw["unread"])[:500])
    places = raw.get("places")
    return SourceReport(
        imports=_names(raw.get("imports")),
        standard=_names(raw.get("standard")),
        names=_names(raw.get("names")),
        bound=_names(raw.get("bound")),
        called=_names(raw.get("called")),
        attributes=_names(raw.get("attributes")),
        used=_names(raw.get("used")),
        bidi=_names(raw.get("bidi")),
        odd_names=_names(raw.get("odd_names")),
        unseen=_names(raw.get("unseen")),
        strings=_names(raw.get("strings")),
        places={str(k): v for k, v in places.items() if isinstance(v, int)} if isinstance(places, dict) else {},
        cut=_names(raw.get("cut")),
    )


def possible_imports(report: SourceReport) -> tuple[str, ...] | None:
    """Names of the modules that a text may import, and of others; None where it cannot be told."""
    if report.broken or report.unread or {"imports", "strings"} & set(report.cut):
        return None
    return (*report.imports, *report.strings)  # strings: what is imported by a name that is put together elsewhere


def _names(value: Any) -> tuple[str, ...]:
    return tuple(str(name)[:NAME_MAX] for name in value) if isinstance(value, list) else ()


def check_source(task: Task, report: SourceReport) -> list[Finding]:
    """Every rule's finding, in the order of the documentation."""
    if report.broken:
        return [_text(report), *_syntax(report)]
    if report.unread:
        return [_complete(report), *_forbidden(task, report)]
    return [
        _text(report),
        *_syntax(report),
        _complete(report),
        _hidden(report),
        _imports(task, report),
        *_forbidden(task, report),
        _entry(task, report),
        _advice("no-dynamic-code", "builds code or names at run time", sorted(DYNAMIC & set(report.called))),
        _advice("no-introspection", "looks into the interpreter", _introspection(report)),
        _advice("no-clock", "reads or touches a clock", sorted(CLOCKS & (set(report.attributes) | set(report.used)))),
        _advice("no-files", "reads or writes files", sorted(FILES & set(report.called))),
        _advice("no-grader-names", "names what belongs to the grader", _grader_words(report)),
        *(_used(name, report) for name in task.file.components),
    ]


def _text(report: SourceReport) -> Finding:
    if report.broken_kind == "text":
        return Finding(
            check="source-text", subject="form", mark="fail", text=f"Not a text that Python reads: {report.broken}"
        )
    return Finding(check="source-text", subject="form", mark="pass", text="A text in the encoding that it declares")


def _syntax(report: SourceReport) -> list[Finding]:
    if report.broken_kind == "text":
        return []
    if report.broken_kind == "syntax":
        return [Finding(check="source-syntax", subject="form", mark="fail", text=f"Not valid Python: {report.broken}")]
    return [Finding(check="source-syntax", subject="form", mark="pass", text="Valid Python")]


def _complete(report: SourceReport) -> Finding:
    """Whether the other rules saw all of the text."""
    unknown = [
        *report.unseen,
        *([report.unread] if report.unread else []),
        *(f"all of its {cut}" for cut in report.cut),
    ]
    if unknown:
        return Finding(
            check="source-complete",
            subject="safety",
            mark="warn",
            text=f"The rules about the text do not know {_listed(unknown)}",
        )
    return Finding(
        check="source-complete", subject="safety", mark="pass", text="The rules about the text saw all of it"
    )


def _hidden(report: SourceReport) -> Finding:
    turns = [f"{char} (turns the reading direction)" for char in report.bidi]
    return _advice("no-hidden-text", "holds what does not read as it looks", [*turns, *report.odd_names])


def _grader_words(report: SourceReport) -> list[str]:
    return [word for word in GRADER_WORDS if any(word in text for text in report.strings)]


def _imports(task: Task, report: SourceReport) -> Finding:
    modules = task.file.imports.modules
    # What an allowed module lies in is imported with it.
    packages = {name.rsplit(".", cut)[0] for name in modules for cut in range(1, name.count(".") + 1)}
    standard = sys.stdlib_module_names | set(report.standard)
    foreign = [
        name
        for name in report.imports
        if name.split(".")[0] not in standard and not _within(name, modules) and name not in packages
    ]
    return _advice("imports-allowed", "imports what neither the task nor Python's standard library has", foreign)


def _forbidden(task: Task, report: SourceReport) -> list[Finding]:
    """The one rule about a text that fails a file; what could not be read does so, too, where something is forbidden."""
    forbidden = task.file.imports.forbidden
    if not forbidden:
        return []
    used = sorted({name for name in (*report.imports, *report.names) if _within(name, forbidden)})
    if used:
        text = f"Uses what the task forbids: {_listed(used)}"
        return [Finding(check="no-forbidden-names", subject="safety", mark="fail", text=text)]
    if report.unread or set(report.cut) & {"imports", "names"}:
        why = report.unread or "it has too many names to list"
        text = f"It cannot be told whether it uses what the task forbids ({_listed(forbidden)}): {why}"
        return [Finding(check="no-forbidden-names", subject="safety", mark="fail", text=text)]
    return [
        Finding(
            check="no-forbidden-names", subject="safety", mark="pass", text="Uses nothing that the task forbids by name"
        )
    ]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN_MAX} more" if len(names) > SHOWN_MAX else ""
    return f"{', '.join(names[:SHOWN_MAX])}{more}"


def _within(name: str, listed: Sequence[str]) -> bool:
    """Whether a dotted name is one of the listed ones or lies in one."""
    return any(name == entry or name.startswith(f"{entry}.") for entry in listed)


def _entry(task: Task, report: SourceReport) -> Finding:
    entry = task.file.call.entry
    if entry in report.bound:
        return Finding(check="entry-function", subject="form", mark="pass", text=f"Defines {entry}")
    return Finding(check="entry-function", subject="form", mark="warn", text=f"Does not define {entry} in plain sight")


def _introspection(report: SourceReport) -> list[str]:
    modules = {name.split(".")[0] for name in report.imports}
    return sorted((INTROSPECTION & modules) | (FRAME_ATTRIBUTES & set(report.attributes)))


def _advice(check: str, what: str, names: list[str]) -> Finding:
    if names:
        return Finding(check=check, subject="safety", mark="warn", text=f"The text {what}: {_listed(names)}")
    return Finding(check=check, subject="safety", mark="pass", text=f"Nothing in the text {what}")


def _used(name: str, report: SourceReport) -> Finding:
    if name in report.used:
        return Finding(
            check="component-used", subject="component", mark="pass", text=f"{name} is used in the text", about=name
        )
    return Finding(
        check="component-used", subject="component", mark="warn", text=f"{name} is used nowhere in the text", about=name
    )
