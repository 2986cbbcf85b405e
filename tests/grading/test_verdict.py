"""The judge's order: what disqualifies comes before how it ran, that before how good it was, speed last."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.grading.measurement import summarize_quality, summarize_times
from runner.grading.verdict import judge
from runner.records.grading import Certificate, Ending, Equivalence, Finding, QualityRound, Rules, Sample
from runner.records.outcome import Outcome

RULES = Rules(
    target=33.0, confidence=0.95, quality="Accuracy", tolerance=0.02, minimum=None, rounds_max=12, seconds_max=3600.0
)
# What a sample lasts that is cut beside a baseline of ten seconds: three times what is allowed.
CUT_S = 3.0 * 10.0 / 33.0
BAD = {
    "safety": Finding(
        check="no-forbidden-names", subject="safety", mark="fail", text="Uses what the task forbids: socket"
    ),
    "form": Finding(check="source-syntax", subject="form", mark="fail", text="Not valid Python"),
    "component": Finding(
        check="component-present", subject="component", mark="fail", text="Missing required component: X", about="X"
    ),
}
FINE = Finding(check="source-text", subject="form", mark="pass", text="UTF-8 text")


def samples(
    ratio: float,
    rounds: int = 3,
    quality: float = 0.9,
    ending: Ending = Ending.ANSWERED,
    at: int = 1,
    spread: float = 0.0,
) -> list[Sample]:
    """Rounds of one baseline and two candidate samples; `ending` replaces the candidate's first one of round `at`."""
    recorded = []
    for number in range(1, rounds + 1):
        wobble = 1.0 + spread * (-1) ** number
        recorded.append(
            Sample(side="baseline", run=0, round=number, position=1, ending=Ending.ANSWERED, seconds=10.0, quality=0.9)
        )
        for position in (0, 2):
            how = ending if (number, position) == (at, 0) else Ending.ANSWERED
            seconds = CUT_S if how is Ending.CUT else 10.0 / ratio * wobble
            recorded.append(
                Sample(
                    side="candidate",
                    run=1,
                    round=number,
                    position=position,
                    ending=how,
                    seconds=seconds,
                    quality=None if how is not Ending.ANSWERED else quality,
                )
            )
    return recorded


def qualities(recorded: list[Sample]) -> list[QualityRound]:
    """What the answered samples say, on data sets without any spread."""
    answered = {s.round: s.quality for s in recorded if s.side == "candidate" and s.quality is not None}
    return [
        QualityRound(round=number, baseline=0.9, candidate=value, difference=value - 0.9, variance=0.0)
        for number, value in answered.items()
    ]


def verdict(
    recorded: list[Sample], findings: tuple[Finding, ...] = (FINE,), rounds: int = 3, rules: Rules = RULES
) -> Outcome | None:
    measured = summarize_times(recorded, 1, rules, list(range(rounds)))
    correct = summarize_quality(qualities(recorded), rules)
    return judge(findings, measured, correct, 1, rules, rounds, last=rounds >= rules.rounds_max)


def name_of(outcome: Outcome | None) -> str | None:
    return outcome.kind if outcome is not None else None


@pytest.mark.parametrize(
    ("recorded", "findings", "expected"),
    [
        (samples(50.0), (FINE,), "passed"),
        (samples(10.0), (FINE,), "too_slow"),
        (samples(50.0, quality=0.8), (FINE,), "inaccurate"),
        (samples(10.0, quality=0.8), (FINE,), "inaccurate"),
        (samples(50.0, ending=Ending.CRASHED), (FINE,), "crashed"),
        (samples(50.0, ending=Ending.OUT_OF_MEMORY), (FINE,), "out_of_memory"),
        (samples(50.0, quality=0.8, ending=Ending.TIMED_OUT), (FINE,), "timed_out"),
        (samples(50.0, ending=Ending.BAD_ANSWER, at=3), (FINE,), "bad_answer"),
        (samples(50.0, ending=Ending.CRASHED), (BAD["component"],), "missing_component"),
        (samples(50.0), (BAD["component"], BAD["form"]), "crashed"),
        (samples(50.0), (BAD["component"], BAD["form"], BAD["safety"]), "unsafe"),
    ],
)
def test_the_order_of_judgement(recorded: list[Sample], findings: tuple[Finding, ...], expected: str) -> None:
    assert name_of(verdict(recorded, findings)) == expected


@pytest.mark.parametrize(
    ("speedup", "rounds", "expected"),
    [(50.0, 1, None), (35.0, 2, None), (31.0, 2, None), (33.0, 2, None), (150.0, 2, "passed"), (6.0, 2, "too_slow")],
)
def test_two_rounds_decide_only_what_is_far_from_the_target(speedup: float, rounds: int, expected: str | None) -> None:
    found = verdict(samples(speedup, rounds=rounds, spread=0.02), rounds=rounds)
    assert (None if found is None else name_of(found)) == expected


def test_what_two_rounds_leave_open_is_nobodys_doubt_and_no_quality_is_judged_by_them() -> None:
    shaky = [replace(sample, seconds=sample.seconds * (9.0 if sample.round == 2 and sample.run else 1.0))
             for sample in samples(50.0, rounds=2, spread=0.02)]  # fmt: skip
    assert verdict(shaky, rounds=2) is None
    assert verdict(samples(150.0, rounds=2, quality=0.5), rounds=2) is None
    assert verdict(samples(150.0, rounds=2), rounds=2, rules=replace(RULES, target=None)) is None


def test_an_interval_that_holds_the_target_asks_for_more_rounds_until_there_are_no_more() -> None:
    recorded = samples(33.0, spread=0.2)
    assert verdict(recorded) is None
    last = verdict(recorded, rules=replace(RULES, rounds_max=3))
    assert name_of(last) == "inconclusive" and "holds the target 33.0x" in last.reason  # type: ignore[union-attr]


def test_without_a_target_quality_alone_decides() -> None:
    assert name_of(verdict(samples(0.5), rules=replace(RULES, target=None))) == "passed"
    assert name_of(verdict(samples(0.5, quality=0.1), rules=replace(RULES, target=None))) == "inaccurate"


@given(
    ratio=st.floats(0.1, 1000.0),
    quality=st.floats(0.0, 1.0),
    ending=st.sampled_from(Ending),
    spread=st.floats(0.0, 0.5),
    bad=st.lists(st.sampled_from(sorted(BAD)), max_size=3),
    rounds=st.integers(1, 12),
)
def test_a_pass_needs_everything(
    ratio: float, quality: float, ending: Ending, spread: float, bad: list[str], rounds: int
) -> None:
    recorded = samples(ratio, rounds, quality, ending, 1, spread)
    outcome = verdict(recorded, (FINE, *(BAD[name] for name in bad)), rounds)
    if name_of(outcome) == "passed":
        interval = summarize_times(recorded, 1, RULES, list(range(rounds))).speedup
        assert not bad and ending is Ending.ANSWERED and quality >= 0.88 - 1e-9
        assert interval is not None and interval.low is not None and interval.low >= 33.0
    if rounds == 12:
        assert outcome is not None


# Guards, cuts, policies


def with_slow_samples(factor: float) -> list[Sample]:
    """Fast, but for one sample of attribute round."""
    return [
        replace(s, seconds=s.seconds * factor) if s.side == "candidate" and s.position == 2 else s
        for s in samples(1000.0, rounds=6)
    ]


def test_fast_only_now_and_then_is_no_pass() -> None:
    outcome = verdict(with_slow_samples(200.0), rounds=6, rules=replace(RULES, rounds_max=6))
    assert name_of(outcome) == "inconclusive"


def test_the_slowest_sample_bounds_a_pass() -> None:
    recorded = samples(400.0, rounds=6)
    recorded[2] = replace(recorded[2], seconds=recorded[2].seconds * 5.0)
    outcome = verdict(recorded, rounds=6, rules=replace(RULES, rounds_max=6))
    assert name_of(outcome) == "inconclusive" and "slowest sample took 5.0 times" in outcome.reason  # type: ignore[union-attr]


def test_samples_that_were_cut_count_for_time_and_make_too_slow() -> None:
    recorded = [replace(s, ending=Ending.CUT, quality=None) if s.side == "candidate" else s for s in samples(11.0)]
    assert name_of(verdict(recorded)) == "too_slow"


def test_quality_that_is_not_told_apart_from_the_bar_is_inconclusive_at_the_end() -> None:
    rules = replace(RULES, rounds_max=3)
    recorded = samples(50.0)
    measured = summarize_times(recorded, 1, rules, [1, 2, 3])
    rounds = [
        QualityRound(round=n, baseline=0.9, candidate=0.9 + d, difference=d, variance=1e-4)
        for n, d in ((1, -0.035), (2, -0.02), (3, -0.005))
    ]
    outcome = judge((FINE,), measured, summarize_quality(rounds, rules), 1, rules, 3, last=True)
    assert name_of(outcome) == "inconclusive" and "difference in accuracy lies between" in outcome.reason  # type: ignore[union-attr]


OTHER = Finding(
    check="equivalence",
    subject="equivalence",
    mark="warn",
    text="C.m computes something else than the baseline's does",
    about="C.m",
)
WARNED = Finding(check="no-clock", subject="safety", mark="warn", text="The text reads a clock")


@pytest.mark.parametrize(
    ("finding", "change", "expected"),
    [
        (OTHER, {}, "passed"),
        (OTHER, {"equivalence": Equivalence("enforce")}, "not_equivalent"),  # as a record of an earlier version says it
        (replace(OTHER, mark="fail"), {}, "not_equivalent"),
        (OTHER, {"strict": True}, "not_equivalent"),
        (WARNED, {}, "passed"),
        (WARNED, {"equivalence": Equivalence.REQUIRED}, "passed"),
        (WARNED, {"strict": True}, "unsafe"),
    ],
)
def test_policies_decide_what_a_warning_means(finding: Finding, change: dict[str, object], expected: str) -> None:
    assert name_of(verdict(samples(50.0), (FINE, finding), rules=replace(RULES, **change))) == expected  # type: ignore[arg-type]


def test_two_rounds_decide_more_with_a_certificate_than_without() -> None:
    certificate = Certificate(id="c", variance=0.002, df=6, sentinel_log_mean=0.0, sentinel_log_sd=0.1)
    recorded = samples(45.0, rounds=2, spread=0.02)
    assert verdict(recorded, rounds=2) is None
    assert name_of(verdict(recorded, rounds=2, rules=replace(RULES, certificate=certificate))) == "passed"


@given(st.data())
def test_nothing_that_a_container_claims_changes_a_verdict(data: st.DataObject) -> None:
    recorded = samples(data.draw(st.sampled_from([10.0, 33.0, 60.0])), rounds=4, spread=0.05)
    guests = [attribute.name for attribute in fields(Sample) if attribute.metadata["origin"] == "guest"]
    assert guests == ["detail"]
    changed = [replace(s, **{name: data.draw(st.text(max_size=30)) for name in guests}) for s in recorded]
    assert verdict(changed, rounds=4) == verdict(recorded, rounds=4)
