"""The judge's order: what disqualifies comes before how it ran, that before how good it was, speed last."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.grading.measurement import correctness, measurement
from runner.grading.verdict import judge
from runner.records.finding import Finding
from runner.records.outcome import Outcome, Verdict, reward
from runner.records.sample import Ending, Sample
from runner.task import QualitySection

QUALITY = QualitySection(name="Accuracy", tolerance=0.02)
BAD = {
    "safety": Finding("imports-allowed", "safety", "fail", "Import of a module that is not allowed: socket"),
    "form": Finding("source-syntax", "form", "fail", "Not valid Python"),
    "component": Finding("component-present:X", "component", "fail", "Missing required component: X"),
}
FINE = Finding("source-text", "form", "pass", "UTF-8 text")


def samples(
    ratio: float, rounds: int = 3, quality: float = 0.9, ending: Ending = "answered", at: int = 1, spread: float = 0.0
) -> list[Sample]:
    """Rounds of one baseline and two candidate samples; `ending` replaces the candidate's first one of round `at`."""
    found = []
    for number in range(1, rounds + 1):
        wobble = 1.0 + spread * (-1) ** number
        found.append(Sample("baseline", 0, number, 1, "answered", 10.0, 0.9))
        for position in (0, 2):
            how: Ending = ending if (number, position) == (at, 0) else "answered"
            seconds = 10.0 / ratio * wobble
            found.append(Sample("candidate", 1, number, position, how, seconds, None if how != "answered" else quality))
    return found


def verdict(
    found: list[Sample], findings: tuple[Finding, ...] = (FINE,), rounds: int = 3, rounds_max: int = 12,
    target: float | None = 33.0,
) -> Verdict | None:  # fmt: skip
    measured = measurement(found, 1, 0.95, list(range(rounds)))
    return judge(findings, measured, correctness(measured.samples, QUALITY), 1, target, rounds, rounds_max)


def name_of(judged: Verdict | None) -> str | None:
    return judged.name if judged is not None else None


@pytest.mark.parametrize(
    ("found", "findings", "expected"),
    [
        (samples(50.0), (FINE,), "passed"),
        (samples(10.0), (FINE,), "too_slow"),
        (samples(50.0, quality=0.8), (FINE,), "inaccurate"),
        (samples(10.0, quality=0.8), (FINE,), "inaccurate"),
        (samples(50.0, ending="crashed"), (FINE,), "crashed"),
        (samples(50.0, ending="out_of_memory"), (FINE,), "out_of_memory"),
        (samples(50.0, quality=0.8, ending="timed_out"), (FINE,), "timed_out"),
        (samples(50.0, ending="bad_answer", at=3), (FINE,), "bad_answer"),
        (samples(50.0, ending="crashed"), (BAD["component"],), "missing_component"),
        (samples(50.0), (BAD["component"], BAD["form"]), "crashed"),
        (samples(50.0), (BAD["component"], BAD["form"], BAD["safety"]), "unsafe"),
    ],
)
def test_the_order_of_judgement(found: list[Sample], findings: tuple[Finding, ...], expected: str) -> None:
    assert name_of(verdict(found, findings)) == expected


def test_too_few_rounds_decide_nothing_about_speed() -> None:
    assert verdict(samples(50.0, rounds=2), rounds=2) is None


def test_an_interval_that_holds_the_target_asks_for_more_rounds_until_there_are_no_more() -> None:
    found = samples(33.0, spread=0.2)
    assert verdict(found) is None
    last = verdict(found, rounds_max=3)
    assert name_of(last) == "inconclusive" and "holds the target 33.0x" in last.reason  # type: ignore[union-attr]


def test_without_a_target_quality_alone_decides() -> None:
    assert name_of(verdict(samples(0.5), target=None)) == "passed"
    assert name_of(verdict(samples(0.5, quality=0.1), target=None)) == "inaccurate"


@given(
    ratio=st.floats(0.1, 1000.0),
    quality=st.floats(0.0, 1.0),
    ending=st.sampled_from(get_args(Ending)),
    spread=st.floats(0.0, 0.5),
    bad=st.lists(st.sampled_from(sorted(BAD)), max_size=3),
    rounds=st.integers(1, 12),
)
def test_a_pass_needs_everything(
    ratio: float, quality: float, ending: Ending, spread: float, bad: list[str], rounds: int
) -> None:
    found = samples(ratio, rounds, quality, ending, 1, spread)
    judged = verdict(found, (FINE, *(BAD[name] for name in bad)), rounds, rounds_max=12)
    if name_of(judged) == "passed":
        interval = measurement(found, 1, 0.95, list(range(rounds))).speedup
        assert not bad and ending == "answered" and quality >= 0.88 - 1e-9
        assert interval is not None and interval.low is not None and interval.low >= 33.0
    if rounds == 12:
        assert judged is not None


def test_each_outcome_has_its_own_name_and_a_reward() -> None:
    kinds = [kind for part in get_args(Outcome) for kind in (get_args(part) or (part,))]
    assert len({kind.name for kind in kinds}) == len(kinds) == 13
    rewards = {kind.name: reward(kind("because")) for kind in kinds}
    assert {name for name, value in rewards.items() if value == 1.0} == {"passed"}
    assert {name for name, value in rewards.items() if value is None} == {"inconclusive", "infrastructure"}
