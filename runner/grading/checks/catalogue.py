"""Every check by name: what it looks at, what it says, and what comes of it. The documents list it; a test compares it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

LooksAt = Literal["text", "behaviour", "answers", "engine"]


@dataclass(frozen=True, slots=True)
class CheckFacts:
    """What is to be known of a check.

    Attributes:
        looks_at: `text` (parsed in a sandbox, before anything of the file ran), `behaviour` (what its components return
            when they are called), `answers` (what it returned when it was timed), `engine` (the kernel's counts).
        fails_as: the outcome of a submission that fails it; empty for advice, which decides nothing without --strict.
        meaning: what holds where the check passed, one sentence.
    """

    looks_at: LooksAt
    fails_as: str
    meaning: str


ADVICE = ""
_CHECKS: tuple[tuple[str, LooksAt, str, str], ...] = (
    ("source-text", "text", "crashed", "The file is a text that Python can read."),
    ("source-syntax", "text", "crashed", "The text is valid Python of the sandbox's interpreter."),
    (
        "source-complete",
        "text",
        ADVICE,
        "The rules about the text saw all of it; what was cut or not followed is named.",
    ),
    ("no-hidden-text", "text", ADVICE, "No character turns the reading direction, and no name has odd letters."),
    ("imports-allowed", "text", ADVICE, "The text imports only the task's modules and Python's standard library."),
    (
        "no-forbidden-names",
        "text",
        "unsafe",
        "The text uses nothing that the task forbids by name (imports.forbidden). Made only where a task forbids something.",
    ),
    ("entry-function", "text", ADVICE, "The function that is timed is defined in plain sight."),
    ("no-dynamic-code", "text", ADVICE, "The text builds no code and no names at run time."),
    ("no-introspection", "text", ADVICE, "The text does not look into the interpreter."),
    ("no-clock", "text", ADVICE, "The text neither reads nor changes a clock."),
    ("no-files", "text", ADVICE, "The text neither reads nor writes files."),
    ("no-grader-names", "text", ADVICE, "The text names nothing that belongs to the grader."),
    ("component-used", "text", ADVICE, "The text uses each required class."),
    ("source-runs", "behaviour", "crashed", "The file can be run as a module. Made only where that fails."),
    (
        "component-present",
        "behaviour",
        "missing_component",
        "The module has each required class, with its methods, however they were bound.",
    ),
    (
        "component-works",
        "behaviour",
        "missing_component",
        "Each required method, called on fresh inputs, returns the declared form and depends on inputs and parameters.",
    ),
    (
        "equivalence",
        "behaviour",
        "not_equivalent",
        "The component computes what the baseline's does, with the same parameters. It fails a file where that is required.",
    ),
    ("builds", "behaviour", "build_failed", "The program builds, in a sandbox of its own, within its limits."),
    ("answer-form", "answers", "bad_answer", "A file that is the answer itself has the form that the task declares."),
    (
        "tests-alone",
        "engine",
        "unsafe",
        "When the script that tests the work has ended, nothing is at work any more that could write a reward.",
    ),
    (
        "tests-unsteered",
        "answers",
        ADVICE,
        "The work holds nothing that Python or pytest takes up by itself; what does is not taken over where it is tested.",
    ),
    (
        "tests-reward",
        "answers",
        "bad_answer",
        "The task's script wrote a reward: finite numbers, in a file of its own.",
    ),
    ("answer-witness", "answers", "unsafe", "The answer follows from the evidence that came with it (weights, say)."),
    (
        "answer-remade",
        "answers",
        "unsafe",
        "What a component is said to have made of the answer, it makes again in a process of its own, without the labels.",
    ),
    (
        "control",
        "answers",
        "unsafe",
        "On data with nothing to learn (shuffled labels) the same file knows nothing. Too slow there is `timed_out`.",
    ),
    ("same-in-any-order", "answers", "unsafe", "The same items get the same answers in another order."),
    ("answers-change", "answers", "unsafe", "Data sets on which the baseline's answers differ get different answers."),
    ("degenerate", "answers", ADVICE, "The answer is an attempt, neither a constant nor chance. The quality decides."),
    (
        "too-good",
        "answers",
        ADVICE,
        "Not several times as fast as the task's own solution, which a person should look at.",
    ),
    ("ends-when-killed", "engine", "unsafe", "Once it has answered and is killed, the kernel soon has ended it all."),
    ("processes", "engine", ADVICE, "No more processes and threads than the baseline has."),
    ("disk-writes", "engine", ADVICE, "No more is written to disks than by the baseline."),
)
CATALOGUE: Mapping[str, CheckFacts] = MappingProxyType({name: CheckFacts(*facts) for name, *facts in _CHECKS})  # type: ignore[arg-type]
