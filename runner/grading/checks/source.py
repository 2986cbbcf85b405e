"""Rules about a submission's text, over facts that were parsed inside a sandbox. Pure.

The facts come out of a container: every value is taken for hostile and for the wrong type until it has been checked.
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
# Calls that touch files, and words that only somebody who looks for the grader writes.
FILES = frozenset("open io.open np.save np.savez np.load np.memmap np.fromfile torch.save torch.load os.open".split())
GRADER_WORDS = (
    "problem.py",
    "results.json",
    "docker.sock",
    "/proc/1/",
    "/proc/self/mem",
    "task.toml",
    "/sys/fs/cgroup",
)
NAME_MAX = 100


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What the parser said, checked; `broken` says why there is nothing else."""

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
    """Facts from the bytes that came out."""
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError):
        return SourceReport(broken="its text could not be examined", broken_kind="text")
    if not isinstance(raw, dict):
        return SourceReport(broken="its text could not be examined", broken_kind="text")
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


def check_source(task: Task, facts: SourceReport) -> list[Finding]:
    """Every rule's finding, in the order of the documentation."""
    if facts.broken:
        return [_text(facts), *_syntax(facts)]
    return [
        _text(facts),
        *_syntax(facts),
        _hidden(facts),
        _imports(task, facts),
        _entry(task, facts),
        _advice("no-dynamic-code", "builds code or names at run time", sorted(DYNAMIC & set(facts.called))),
        _advice("no-introspection", "looks into the interpreter", _introspection(facts)),
        _advice("no-clock", "reads or touches a clock", sorted(CLOCKS & (set(facts.attributes) | set(facts.used)))),
        _advice("no-files", "reads or writes files", sorted(FILES & set(facts.called))),
        _advice("no-grader-names", "names what belongs to the grader", _grader_words(facts)),
        *_components(task, facts),
    ]


def _text(facts: SourceReport) -> Finding:
    if facts.broken_kind == "text":
        return Finding("source-text", "form", "fail", f"Not a UTF-8 text: {facts.broken}")
    return Finding("source-text", "form", "pass", "UTF-8 text without NUL bytes")


def _syntax(facts: SourceReport) -> list[Finding]:
    if facts.broken_kind == "text":
        return []
    if facts.broken_kind == "syntax":
        return [Finding("source-syntax", "form", "fail", f"Not valid Python: {facts.broken}")]
    return [Finding("source-syntax", "form", "pass", "Valid Python")]


def _hidden(facts: SourceReport) -> Finding:
    if facts.bidi:
        text = f"The text turns its own reading direction: {', '.join(facts.bidi)}"
        return Finding("no-hidden-text", "safety", "fail", text)
    return _advice("no-hidden-text", "has names in other than plain letters", list(facts.odd_names))


def _grader_words(facts: SourceReport) -> list[str]:
    return [word for word in GRADER_WORDS if any(word in text for text in facts.strings)]


def _imports(task: Task, facts: SourceReport) -> Finding:
    allowed = LANGUAGE_MODULES | set(task.file.imports.modules)
    foreign = [name for name in facts.imports if not _within(name, allowed)]
    if foreign:
        return Finding(
            "imports-allowed", "safety", "fail", f"Import of a module that is not allowed: {', '.join(foreign)}"
        )
    return Finding("imports-allowed", "safety", "pass", "Imports only what the task allows")


def _within(name: str, allowed: set[str] | frozenset[str]) -> bool:
    """Whether a module is one of the allowed ones or lies in one."""
    parts = name.split(".")
    return any(".".join(parts[:count]) in allowed for count in range(1, len(parts) + 1))


def _entry(task: Task, facts: SourceReport) -> Finding:
    entry = task.file.call.entry
    if entry in facts.bound:
        return Finding("entry-function", "form", "pass", f"Defines {entry}")
    return Finding("entry-function", "form", "warn", f"Does not define {entry} in plain sight")


def _introspection(facts: SourceReport) -> list[str]:
    modules = {name.split(".")[0] for name in facts.imports}
    return sorted((INTROSPECTION & modules) | (FRAME_ATTRIBUTES & set(facts.attributes)))


def _advice(check: str, what: str, names: list[str]) -> Finding:
    if names:
        return Finding(check, "safety", "warn", f"The text {what}: {', '.join(names)}")
    return Finding(check, "safety", "pass", f"Nothing in the text {what}")


def _components(task: Task, facts: SourceReport) -> list[Finding]:
    return [_component(name, section.methods, facts) for name, section in task.file.components.items()]


def _component(name: str, methods: list[str], facts: SourceReport) -> Finding:
    check = f"component-present:{name}"
    if name not in facts.bound:
        return Finding(check, "component", "fail", f"Missing required component: {name}")
    defined = (facts.classes or {}).get(name)
    absent = [] if defined is None else [method for method in methods if method not in defined]
    if absent:
        return Finding(check, "component", "warn", f"{name} does not define {', '.join(absent)} itself")
    if name not in facts.used:
        return Finding(check, "component", "warn", f"{name} is defined and used nowhere in the text")
    return Finding(check, "component", "pass", f"Defines {name} with {', '.join(methods)}")
