"""Rules about a submission's text, over a report that a parser inside a sandbox made of it. Pure.

The report comes out of a container: every value is taken for hostile and for the wrong type until it has been checked.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner.records.grading import Finding
from runner.tasks.task import Task

# Modules of the language itself, without a way to the outside: allowed everywhere.
LANGUAGE_MODULES = frozenset(
    "__future__ abc collections copy dataclasses enum functools itertools math numbers operator typing warnings".split()
)
DYNAMIC = frozenset(["exec", "eval", "compile", "__import__", "importlib.import_module", "globals", "vars", "setattr"])
INTROSPECTION = frozenset(["gc", "sys", "inspect", "ctypes", "mmap", "marshal", "pickle", "traceback"])
FRAME_ATTRIBUTES = frozenset(
    ["_getframe", "gi_frame", "f_back", "f_globals", "__globals__", "__subclasses__", "__code__", "modules"]
)
CLOCKS = frozenset(["perf_counter", "perf_counter_ns", "monotonic", "monotonic_ns", "time_ns", "process_time"])
# Calls that touch files.
FILES = frozenset("open io.open np.save np.savez np.load np.memmap np.fromfile torch.save torch.load os.open".split())
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
NAME_MAX = 100  # characters of a name that are kept; chosen, well over any honest one


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What the parser said, checked.

    Attributes:
        broken: why there is nothing else; empty where the text could be parsed.
        broken_kind: "text" (not UTF-8) or "syntax" (not Python).
        classes: methods by class.
        bound: names that the module binds at its top level.
        used: names that are read anywhere.
        bidi: characters that turn the reading direction.
        odd_names: names in other than ASCII letters.
    """

    broken: str = ""
    broken_kind: str = ""
    imports: tuple[str, ...] = ()
    classes: Mapping[str, tuple[str, ...]] | None = None
    bound: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    used: tuple[str, ...] = ()
    bidi: tuple[str, ...] = ()
    odd_names: tuple[str, ...] = ()
    strings: tuple[str, ...] = ()


def parse_report(body: bytes) -> SourceReport:
    """The report in the bytes that came out."""
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError):
        return SourceReport(broken="its text could not be parsed", broken_kind="text")
    if not isinstance(raw, dict):
        return SourceReport(broken="its text could not be parsed", broken_kind="text")
    for kind in ("text", "syntax"):
        if kind in raw:
            return SourceReport(broken=str(raw[kind])[:500], broken_kind=kind)
    classes = raw.get("classes")
    return SourceReport(
        imports=_names(raw.get("imports")),
        classes={str(k)[:NAME_MAX]: _names(v) for k, v in classes.items()} if isinstance(classes, dict) else {},
        bound=_names(raw.get("bound")),
        called=_names(raw.get("called")),
        attributes=_names(raw.get("attributes")),
        used=_names(raw.get("used")),
        bidi=_names(raw.get("bidi")),
        odd_names=_names(raw.get("odd_names")),
        strings=_names(raw.get("strings")),
    )


def _names(value: Any) -> tuple[str, ...]:
    return tuple(str(name)[:NAME_MAX] for name in value) if isinstance(value, list) else ()


def check_source(task: Task, report: SourceReport) -> list[Finding]:
    """Every rule's finding, in the order of the documentation."""
    if report.broken:
        return [_text(report), *_syntax(report)]
    return [
        _text(report),
        *_syntax(report),
        _hidden(report),
        _imports(task, report),
        _entry(task, report),
        _advice("no-dynamic-code", "builds code or names at run time", sorted(DYNAMIC & set(report.called))),
        _advice("no-introspection", "looks into the interpreter", _introspection(report)),
        _advice("no-clock", "reads or touches a clock", sorted(CLOCKS & (set(report.attributes) | set(report.used)))),
        _advice("no-files", "reads or writes files", sorted(FILES & set(report.called))),
        _advice("no-grader-names", "names what belongs to the grader", _grader_words(report)),
        *_components(task, report),
    ]


def _text(report: SourceReport) -> Finding:
    if report.broken_kind == "text":
        return Finding("source-text", "form", "fail", f"Not a UTF-8 text: {report.broken}")
    return Finding("source-text", "form", "pass", "UTF-8 text without NUL bytes")


def _syntax(report: SourceReport) -> list[Finding]:
    if report.broken_kind == "text":
        return []
    if report.broken_kind == "syntax":
        return [Finding("source-syntax", "form", "fail", f"Not valid Python: {report.broken}")]
    return [Finding("source-syntax", "form", "pass", "Valid Python")]


def _hidden(report: SourceReport) -> Finding:
    if report.bidi:
        text = f"The text turns its own reading direction: {', '.join(report.bidi)}"
        return Finding("no-hidden-text", "safety", "fail", text)
    return _advice("no-hidden-text", "has names in other than plain letters", list(report.odd_names))


def _grader_words(report: SourceReport) -> list[str]:
    return [word for word in GRADER_WORDS if any(word in text for text in report.strings)]


def _imports(task: Task, report: SourceReport) -> Finding:
    allowed = LANGUAGE_MODULES | set(task.file.imports.modules)
    foreign = [name for name in report.imports if not _within(name, allowed)]
    if foreign:
        return Finding(
            "imports-allowed", "safety", "fail", f"Import of a module that is not allowed: {', '.join(foreign)}"
        )
    return Finding("imports-allowed", "safety", "pass", "Imports only what the task allows")


def _within(name: str, allowed: set[str] | frozenset[str]) -> bool:
    """Whether a module is one of the allowed ones or lies in one."""
    parts = name.split(".")
    return any(".".join(parts[:count]) in allowed for count in range(1, len(parts) + 1))


def _entry(task: Task, report: SourceReport) -> Finding:
    entry = task.file.call.entry
    if entry in report.bound:
        return Finding("entry-function", "form", "pass", f"Defines {entry}")
    return Finding("entry-function", "form", "warn", f"Does not define {entry} in plain sight")


def _introspection(report: SourceReport) -> list[str]:
    modules = {name.split(".")[0] for name in report.imports}
    return sorted((INTROSPECTION & modules) | (FRAME_ATTRIBUTES & set(report.attributes)))


def _advice(check: str, what: str, names: list[str]) -> Finding:
    if names:
        return Finding(check, "safety", "warn", f"The text {what}: {', '.join(names)}")
    return Finding(check, "safety", "pass", f"Nothing in the text {what}")


def _components(task: Task, report: SourceReport) -> list[Finding]:
    return [_component(name, section.methods, report) for name, section in task.file.components.items()]


def _component(name: str, methods: list[str], report: SourceReport) -> Finding:
    if name not in report.bound:
        return Finding("component-present", "component", "fail", f"Missing required component: {name}", about=name)
    defined = (report.classes or {}).get(name)
    absent = [] if defined is None else [method for method in methods if method not in defined]
    if absent:
        text = f"{name} does not define {', '.join(absent)} itself"
        return Finding("component-present", "component", "warn", text, about=name)
    if name not in report.used:
        text = f"{name} is defined and used nowhere in the text"
        return Finding("component-present", "component", "warn", text, about=name)
    return Finding("component-present", "component", "pass", f"Defines {name} with {', '.join(methods)}", about=name)
