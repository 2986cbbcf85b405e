"""Whose doubt an undecided file is, on simulated gradings: the rules, repeats and audits are the real ones."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.grading.doubt import judge_slowest
from runner.grading.hiccups import HICCUPS_MAX, counted_samples, repeats_due
from runner.grading.measurement import measured_rounds
from runner.grading.noise import Spread, chance_to_tell, more_rounds_to_tell
from runner.grading.recompute import recompute
from runner.grading.schedule import REPEATS, SLOW_AUDIT_REPEATS
from runner.grading.simulation import (
    RUN,
    DataSet,
    Host,
    RecordedHost,
    Setting,
    SimulatedHost,
    Submission,
    answer_lottery,
    coin,
    garbage_first,
    hang_once,
    honest,
    lottery,
    one_hiccup,
    simulate,
    slow_now_and_then,
)
from runner.grading.verdict import EDITION
from runner.records.grading import Ending, Grading, Rules, Sample
from runner.tasks.schema import DATA_SETS

pytestmark = pytest.mark.slow

RULES = Rules(
    target=33.0,
    confidence=0.95,
    quality="Accuracy",
    tolerance=0.02,
    minimum=None,
    rounds_max=12,
    seconds_max=1e9,
    edition=2,
    data_sets=DATA_SETS,
)
TRIALS = 60
SHORT_S, LONG_S = 0.4, 13.0  # of the baseline


@pytest.fixture(scope="module")
def host(project: Path) -> Host:
    """As noisy as the recorded one."""
    trace = project / "bench" / "traces" / "slow_nbody_small.json"
    return RecordedHost.of(json.loads(trace.read_text())["rounds"])


def gradings(
    host: Host, submission: Submission, baseline_s: float = SHORT_S, rules: Rules = RULES, trials: int = TRIALS
) -> list[Grading]:
    draw = np.random.default_rng(3)
    return [simulate(Setting(host, rules, baseline_s), submission, draw) for _ in range(trials)]


def shares(graded: Sequence[Grading]) -> Counter[str]:
    counts = Counter(grading.outcome.kind.value for grading in graded)
    return Counter({kind: count / len(graded) for kind, count in counts.items()})  # type: ignore[misc]


def rounds_of(grading: Grading) -> int:
    assert grading.measurement is not None
    return measured_rounds(grading.measurement.samples)


# Doubt that a file makes


@pytest.mark.parametrize("baseline_s", [SHORT_S, LONG_S])
@pytest.mark.parametrize(
    "submission",
    [
        *(garbage_first(ratio) for ratio in (0.5, 0.85)),
        *(hang_once(ratio) for ratio in (0.5, 0.85)),
        *(coin(ratio, 1.0, per_round=per_round) for ratio in (0.6, 0.85) for per_round in (True, False)),
        *(slow_now_and_then(ratio, 1 / 6, 9.0) for ratio in (0.3, 0.85)),
    ],
    ids=lambda submission: f"{submission.name} at {submission.ratio}",
)
def test_doubt_that_a_slow_file_makes_is_counted(host: Host, submission: Submission, baseline_s: float) -> None:
    came = shares(gradings(host, submission, baseline_s))
    assert came["inconclusive"] <= 0.05 and came["passed"] <= 0.1
    before = shares(gradings(host, submission, baseline_s, replace(RULES, edition=1, data_sets=1)))
    assert before["inconclusive"] + before["passed"] >= came["inconclusive"] + came["passed"]


def near_the_bar(submission: Submission) -> Submission:
    """The same file, with answers so much worse that the items do not tell whether they are good enough."""

    def data_set(draw: np.random.Generator, number: int) -> DataSet:
        answers = submission.data_set(draw, number)
        return lambda permutation: (answers(permutation)[0], answers(permutation)[1] - 0.012)

    return replace(submission, data_set=data_set)


@pytest.mark.parametrize(
    ("submission", "open_at_most"),
    [
        (hang_once(1.5), 0.05),
        *((coin(ratio, 1.0, per_round=per_round), 0.05) for ratio in (0.6, 0.85) for per_round in (True, False)),
        (slow_now_and_then(0.85, 1 / 6, 9.0), 0.05),
        (honest(1.5), 1.0),
        (honest(1.0), 1.0),
    ],
    ids=lambda each: f"{each.name} at {each.ratio}" if isinstance(each, Submission) else "",
)
def test_no_doubt_about_its_speed_that_a_file_makes_hides_behind_an_open_quality(
    host: Host, submission: Submission, open_at_most: float
) -> None:
    came, before = (
        shares(
            [
                simulate(Setting(host, replace(RULES, edition=edition), LONG_S, 0.015), near_the_bar(submission), draw)
                for draw in map(np.random.default_rng, range(TRIALS))
            ]
        )
        for edition in (EDITION, EDITION - 1)
    )
    assert before["inconclusive"] >= 0.3 and came["inconclusive"] <= open_at_most
    assert came["passed"] == before["passed"]
    if submission.kind == "honest":
        assert came["inconclusive"] >= before["inconclusive"] - 0.05


def test_the_reason_says_how_much_the_file_varies_and_how_much_the_host(host: Host) -> None:
    reasons = [g.outcome.reason for g in gradings(host, coin(0.9, 1.0, per_round=True)) if g.outcome.kind == "unstable"]
    assert reasons
    words = ("its own times vary by a factor of", "its slowest sample took", "on one data set it reached")
    assert all(any(word in why for word in words) for why in reasons)
    assert any("this host's by 1.0" in why or "this host's own slowest took 1." in why for why in reasons)


def test_garbage_in_one_round_is_inaccurate_at_once(host: Host) -> None:
    (grading,) = gradings(host, garbage_first(0.5), trials=1)
    assert grading.outcome.kind == "inaccurate" and "on the data of round 1" in grading.outcome.reason
    assert grading.measurement is not None and len(grading.measurement.seeds) == 1


def test_doubt_within_the_hosts_noise_stays_inconclusive_and_names_the_prospect(host: Host) -> None:
    graded = gradings(host, honest(1.0))
    assert shares(graded)["inconclusive"] >= 0.8 and shares(graded)["passed"] <= 0.06
    reasons = [grading.outcome.reason for grading in graded if grading.outcome.kind == "inconclusive"]
    assert all("more rounds might tell" in why or "no number of rounds" in why for why in reasons)
    rounds = [
        grading.measurement.speedup.rounds for grading in graded if grading.measurement and grading.measurement.speedup
    ]
    assert min(rounds) < RULES.rounds_max  # futility: some stop before the last one


# Honest work


@pytest.mark.parametrize("submission", [honest(1.15), honest(1.4, 0.1), honest(2.0), one_hiccup(1.15), one_hiccup(1.4)],
                         ids=lambda submission: f"{submission.name} at {submission.ratio}")  # fmt: skip
def test_honest_work_passes(host: Host, submission: Submission) -> None:
    assert shares(gradings(host, submission))["passed"] >= 0.95


@pytest.mark.parametrize("ratio", [0.5, 0.9])
def test_honest_work_under_the_target_never_passes(host: Host, ratio: float) -> None:
    assert shares(gradings(host, honest(ratio)))["too_slow"] >= 0.95


def test_a_noisier_host_makes_doubt_not_failures() -> None:
    came = shares(gradings(SimulatedHost(), honest(1.15)))
    assert came["unstable"] + came["too_slow"] <= 0.05 and came["passed"] >= 0.75


# Lotteries


@pytest.mark.parametrize(
    "submission",
    [lottery(0.75, 1.5, 0.1), lottery(0.75, 2.0, 0.5), lottery(0.75, 1.3, 0.7), answer_lottery(0.75, 1.5)],
    ids=lambda submission: submission.name,
)
def test_a_file_that_is_fine_on_three_data_sets_of_four_rarely_passes(host: Host, submission: Submission) -> None:
    assert shares(gradings(host, submission, trials=2 * TRIALS))["passed"] <= 0.1
    unaudited = shares(gradings(host, submission, rules=replace(RULES, edition=1, data_sets=1)))
    assert unaudited["passed"] >= 0.25


# The record


@pytest.mark.parametrize("submission", [honest(1.2), one_hiccup(1.4), coin(0.85, 1.0, per_round=True), honest(1.0),
                                        lottery(0.75, 1.3, 0.7), garbage_first(0.5)],
                         ids=lambda submission: submission.name)  # fmt: skip
def test_every_verdict_follows_from_its_record(host: Host, submission: Submission) -> None:
    for grading in gradings(host, submission, trials=8):
        again = recompute(grading, RUN)
        assert again == grading


# Repeats


def taken(*seconds: float, side: str = "candidate", number: int = 1, ending: Ending = Ending.ANSWERED) -> list[Sample]:
    return [
        Sample(side=side, run=RUN, round=number, position=at, ending=ending, seconds=value)
        for at, value in enumerate(seconds)
    ]  # type: ignore[arg-type]


BASELINE = Sample(side="baseline", run=0, round=1, position=9, ending=Ending.ANSWERED, seconds=0.4)


@pytest.mark.parametrize(
    ("seconds", "ending", "due"),
    [
        ((0.013, 0.117, 0.013), Ending.ANSWERED, True),
        ((0.013, 0.025, 0.013), Ending.ANSWERED, False),
        ((0.013, 0.117, 0.117), Ending.ANSWERED, False),  # the median is slow: it is what the file does
        ((1.0, 9.0, 1.0), Ending.ANSWERED, False),  # no hiccup takes that long
        ((0.013, 0.117, 0.013), Ending.CUT, False),
    ],
)
def test_a_slow_short_sample_is_repeated(seconds: tuple[float, ...], ending: Ending, due: bool) -> None:
    assert repeats_due([BASELINE, *taken(*seconds, ending=ending)], RUN, 1) == (REPEATS if due else 0)


FAST = [0.013] * REPEATS


def test_a_slow_sample_is_excused_once_it_has_its_repeats_and_one_among_them_has_its_own() -> None:
    first, fast = taken(0.013, 0.117, 0.013), taken(*FAST, side="repeat")
    assert max(sample.seconds for sample in counted_samples([*first, *fast], RUN)) == 0.013
    one_slow = taken(*FAST[1:], 0.1, side="repeat")
    assert max(sample.seconds for sample in counted_samples([*first, *one_slow], RUN)) == 0.117
    assert repeats_due([BASELINE, *first, *one_slow], RUN, 1) == REPEATS
    whole = [*first, *one_slow, *fast]
    assert repeats_due([BASELINE, *whole], RUN, 1) == 0
    assert max(sample.seconds for sample in counted_samples(whole, RUN)) == 0.013


def test_only_a_few_slow_samples_are_excused_in_one_grading() -> None:
    taken_so_far: list[Sample] = []
    for number in range(1, HICCUPS_MAX + 2):
        taken_so_far += [replace(BASELINE, round=number), *taken(0.013, 0.117, 0.013, number=number)]
        assert repeats_due(taken_so_far, RUN, number) == (REPEATS if number <= HICCUPS_MAX else 0)
        taken_so_far += taken(*FAST, side="repeat", number=number)
    assert [sample.seconds for sample in counted_samples(taken_so_far, RUN) if sample.seconds > 0.1] == [0.117]


def test_an_audit_that_is_slow_is_repeated_and_all_of_it_counts() -> None:
    measured, audit = [BASELINE, *taken(0.013, 0.013, 0.013)], taken(0.017, number=2)
    assert repeats_due([*measured, *audit], RUN, 2) == SLOW_AUDIT_REPEATS
    assert repeats_due([*measured, replace(BASELINE, round=2), *audit], RUN, 2) == 0
    repeats = taken(*[0.017] * SLOW_AUDIT_REPEATS, side="repeat", number=2)
    assert repeats_due([*measured, *audit, *repeats], RUN, 2) == 0
    assert len(counted_samples([*measured, *audit, *repeats], RUN)) == 4 + SLOW_AUDIT_REPEATS


@pytest.mark.parametrize(
    ("others_s", "beside_the_baseline_s", "outcome"),
    [
        (0.11, 0.1, "inconclusive"),
        (0.11, 0.0, "unstable"),  # nothing else ran on this host: the kernel may have worked for the file
        (0.11, None, "unstable"),
        (0.01, 0.1, "unstable"),
        (None, 0.1, "unstable"),
    ],
)
def test_a_slow_sample_that_waited_for_others_is_not_held_against_the_file(
    others_s: float | None, beside_the_baseline_s: float | None, outcome: str
) -> None:
    slow = Sample(
        side="candidate", run=RUN, round=1, position=3, ending=Ending.ANSWERED, seconds=0.13, cpu_s=0.01, others_s=others_s
    )  # fmt: skip
    baseline = replace(BASELINE, others_s=beside_the_baseline_s)
    samples = [baseline, replace(BASELINE, side="sentinel", seconds=0.01), *taken(0.013, 0.013), slow]
    assert judge_slowest("slow", samples, RUN, 4.0).kind == outcome


@pytest.mark.parametrize(("hosts_slowest_s", "outcome"), [(0.3, "unstable"), (0.5, "unstable"), (0.9, "inconclusive")])
def test_a_host_that_holds_up_the_tasks_own_files_may_have_held_up_this_one(
    hosts_slowest_s: float, outcome: str
) -> None:
    of_host = [replace(BASELINE, round=number) for number in range(2, 5)]
    held_up = replace(BASELINE, round=5, seconds=hosts_slowest_s)
    samples = [BASELINE, *of_host, held_up, *taken(0.013, 0.013, 0.06)]
    assert judge_slowest("slow", samples, RUN, 4.0).kind == outcome


# Futility


@given(st.floats(-2.0, 2.0), st.floats(1e-4, 1.0), st.integers(3, 12))
def test_the_chance_to_tell_is_a_probability_and_grows_with_the_distance(
    distance: float, variance: float, rounds: int
) -> None:
    spread = Spread(variance, rounds - 1)
    near, far = (chance_to_tell(d, spread, rounds, 12, 0.01) for d in (distance, 2.0 * distance))
    assert 0.0 <= near <= far + 1e-9 <= 1.0 + 1e-9
    assert rounds < 12 or near == 0.0


def test_how_many_more_rounds_might_tell() -> None:
    spread = Spread(0.01, 11)
    assert more_rounds_to_tell(0.05, spread, 12, 0.01) == 10  # (2.33 * 0.1 / 0.05)**2 = 21.6
    assert more_rounds_to_tell(0.001, spread, 12, 0.01) is None and more_rounds_to_tell(0.0, spread, 12, 0.01) is None
