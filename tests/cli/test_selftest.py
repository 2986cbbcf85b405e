"""The corpus of attacks and honest work: large enough, well formed, and a part of it run on the real path."""

import json
from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

from runner.cli.options import SelftestOptions
from runner.cli.selftest import DEFENCES, TASKS, chosen, result_of
from runner.grading.standing import Graded
from runner.job.setup import load_task
from runner.records.grading import Finding
from runner.selftest.corpus import Case, read_corpus
from runner.settings import Settings
from tests.builders import make_grading


@pytest.fixture(scope="module")
def corpus() -> list[Case]:
    return list(read_corpus({name: load_task(Settings(), name) for name in TASKS}))


def test_there_are_at_least_eighty_cheats_and_thirty_honest_ones_all_different(corpus: list[Case]) -> None:
    honest = [case for case in corpus if case.is_honest]
    assert len(corpus) - len(honest) >= 80 and len(honest) >= 30
    assert len({case.id for case in corpus}) == len({case.content for case in corpus if case.says}) == len(corpus)


def test_every_class_of_cheat_is_there_and_says_what_it_tries(corpus: list[Case]) -> None:
    kinds = {case.kind for case in corpus}
    assert kinds == {
        "timing",
        "process",
        "wire",
        "cache",
        "answer",
        "leak",
        "environment",
        "precision",
        "text",
        "labels",
        "component",
        "honest",
    }
    assert all(case.says for case in corpus)
    assert all(expected.partition(":")[0] in {*DEFENCES, "unsafe"} for case in corpus for expected in case.expected)


def test_what_is_not_detected_by_design_says_why(corpus: list[Case]) -> None:
    assert all(case.note for case in corpus if case.is_undetected)


def case_of(kind: str, *expected: str) -> Case:
    return Case("id", kind, "slow_nbody", "says", expected, "", b"")


@pytest.mark.parametrize(
    ("case", "graded", "right"),
    [
        (case_of("timing", "too_slow"), Graded(1, make_grading("too_slow")), True),
        (case_of("timing", "too_slow"), Graded(1, make_grading("passed")), False),
        (
            case_of("labels", "unsafe:control"),
            Graded(
                1,
                make_grading(
                    "unsafe", Finding(check="control", subject="safety", mark="fail", text="x", origin="data")
                ),
            ),
            True,
        ),
        (
            case_of("labels", "unsafe:control"),
            Graded(
                1,
                make_grading(
                    "unsafe", Finding(check="answer-witness", subject="safety", mark="fail", text="x", origin="data")
                ),
            ),
            False,
        ),
        (case_of("honest", "passed"), Graded(1, make_grading("passed")), True),
        (case_of("honest", "passed"), Graded(1, make_grading("inconclusive")), True),
        (case_of("honest", "passed"), Graded(1, make_grading("too_slow")), False),
        (
            case_of("honest", "passed"),
            Graded(
                1,
                make_grading(
                    "passed",
                    Finding(check="no-forbidden-names", subject="safety", mark="warn", text="x", switched_off=True),
                ),
            ),
            False,
        ),
    ],
)
def test_a_case_is_right_only_for_the_right_reason(case: Case, graded: Graded, right: bool) -> None:
    assert result_of(case, graded).right is right


# One of each class, so that every defence is met once; the whole corpus is `make redteam`.
PART = (
    "patch-time-module",
    "thread-fills-later",
    "forged-answer",
    "shm-cache",
    "too-many-rows",
    "hunt-in-frames",
    "shadow-modules",
    "half-precision-inside",
    "joined-names",
    "network-one-hot",
    "witness-offset",
    "gutted-activation",
    "prints-progress",
    "works-in-place",
)


def test_a_part_of_every_class_comes_out_as_it_must(
    cli: Callable[..., CompletedProcess[str]], corpus: list[Case]
) -> None:
    assert {case.kind for case in corpus if case.id in PART} == {case.kind for case in corpus}
    done = cli("selftest", *(word for case in PART for word in ("--only", case)), "--json")
    results = json.loads(done.stdout)
    assert f"{len(PART)} of {len(PART)}: " in done.stderr
    assert [(r["id"], r["verdict"], r["reason"]) for r in results if not r["right"]] == []
    assert done.returncode == 0 and sorted(r["id"] for r in results) == sorted(PART)


def test_quick_is_every_sixth_case_and_no_flag_is_all_of_them(corpus: list[Case]) -> None:
    quick = chosen(corpus, SelftestOptions(quick=True))
    assert [corpus.index(case) for case in quick] == list(range(0, len(corpus), 6)) and len(quick) >= 20
    assert {case.task for case in quick} == set(TASKS) and {True, False} == {case.is_honest for case in quick}
    assert chosen(corpus, SelftestOptions()) == corpus
    assert [case.id for case in chosen(corpus, SelftestOptions(only=["zeros", "echo"]))] == ["echo", "zeros"]
