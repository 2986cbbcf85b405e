"""What a session of rounds takes, in which order, and what becomes of it: with containers that are only said to be there."""

import contextlib
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from runner.faults import InfrastructureFault, SandboxLost, SandboxWoke
from runner.grading import rounds
from runner.grading.checks.answers import slow_death
from runner.grading.checks.check_all import Checked
from runner.grading.checks.remade import Claimed
from runner.grading.context import Candidate
from runner.grading.measurement import measured_rounds
from runner.grading.recompute import recompute
from runner.grading.rounds import FROZEN_UNSEEN, grade, measure_rounds
from runner.grading.sample import SampleResult, SampleSpec
from runner.grading.schedule import REPEATS, SAMPLES_PER_ROUND
from runner.grading.session import Session
from runner.grading.shared_container import SharedContainers
from runner.grading.standing import Graded
from runner.grading.verdict import EDITION
from runner.grading.warm_pool import WarmSandbox
from runner.job.setup import load_task
from runner.records.grading import Certificate, Ending, Finding, Mark
from runner.settings import Settings
from runner.tasks.authoring import Answer, BadAnswer, Case
from runner.tasks.schema import DATA_SETS
from tests.fakes.paper import BASELINE_S, ORACLE_S, RULES, UNREMARKABLE, Paper, steady

pytestmark = pytest.mark.slow


@pytest.fixture
def graded_on(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[list[Graded], Paper]]:
    def run(
        seconds: Callable[[int, str], float],
        candidates: int = 1,
        others_s: Callable[[int], float] = lambda number: 0.0,
        attempt: tuple[int, int] = (1, 1),  # and of how many
        certificate: Certificate | None = None,
        batches: int = 1,  # one after the other
        ends: Callable[[int], Ending] = lambda number: Ending.ANSWERED,
        not_scored: tuple[Container[int], Exception] | None = None,  # which samples, and what `score` raises
    ) -> tuple[list[Graded], Paper]:
        paper = Paper(load_task(Settings(), "slow_nbody"), seconds, others_s, ends)
        paper.put_in_place(monkeypatch)
        own = (paper.task.oracle or b"") + b"# mine"
        files = [Candidate(run, own, attempt=attempt[0]) for run in range(1, candidates + 1)]
        context = replace(paper.context(), rules=replace(RULES, attempts=attempt[1], certificate=certificate))
        score = context.problem.score

        def scored(case: Case, answer: Answer) -> Any:
            if not_scored is not None and paper.count in not_scored[0]:
                raise not_scored[1]
            return score(case, answer)

        context = replace(context, problem=replace(context.problem, score=scored))
        return [graded for _ in range(batches) for graded in grade(context, files)], paper

    return run


def sides_of(graded: Graded) -> list[list[str]]:
    assert graded.grading.measurement is not None
    samples, count = graded.grading.measurement.samples, len(graded.grading.measurement.seeds)
    return [[sample.side for sample in samples if sample.round == number] for number in range(1, count + 1)]


ROUNDS = 2  # what a file far above the target takes
# What runs on each data set after them.
AUDITS = [{"sentinel", "candidate"}, *[{"candidate"}] * (DATA_SETS - ROUNDS - 1)]


def test_a_file_about_to_pass_is_audited_on_further_data(graded_on: Callable[..., tuple[list[Graded], Paper]]) -> None:
    (one, two), paper = graded_on(steady, candidates=2)
    for graded in (one, two):
        assert graded.grading.outcome.kind == "passed", graded.grading.outcome
        assert [set(sides) for sides in sides_of(graded)[ROUNDS:]] == AUDITS
        assert graded.grading.measurement is not None and measured_rounds(graded.grading.measurement.samples) == ROUNDS
        assert len(set(graded.grading.measurement.seeds)) == DATA_SETS
        assert recompute(graded.grading, graded.run) == graded.grading
    warm_max = paper.context().warm_max
    assert (
        paper.warmed == [*[2 + 2 * SAMPLES_PER_ROUND] * ROUNDS, 1 + 2 * (DATA_SETS - ROUNDS)]
        and warm_max >= paper.warmed[-1]
    )
    said = {step.text.split(":")[0] for step in paper.steps[1:]}
    assert said == {*(f"round {n}" for n in range(1, ROUNDS + 1)), f"audits on data sets {ROUNDS + 1} to {DATA_SETS}"}


@pytest.mark.parametrize(
    ("seconds", "asked"),
    [
        (steady, True),
        # Half as fast as it must be: nothing that it made lets it pass.
        (lambda number, side: steady(number, side) * (10 if side == "candidate" else 1), False),
        # Only one of its samples is fast enough, which may be the one that has its answers from elsewhere.
        (lambda number, side: steady(number, side) * (10 if side == "candidate" and number != 5 else 1), True),
    ],
    ids=["fast", "slow", "fast once"],
)
def test_only_what_was_fast_enough_is_made_again(
    graded_on: Callable[..., tuple[list[Graded], Paper]],
    monkeypatch: pytest.MonkeyPatch,
    seconds: Callable[[int, str], float],
    asked: bool,
) -> None:
    made: list[int] = []

    def make_again(*arguments: Any, **_: Any) -> dict[int, list[Finding]]:
        made.append(len(arguments[4][1].answers))
        return {}

    for name, value in (("remade_names", ("answer-remade:positions",)), ("obligations", ("answer-remade:positions",))):
        monkeypatch.setattr(rounds, name, lambda *_, value=value: value)
    monkeypatch.setattr(rounds, "make_again", make_again)
    monkeypatch.setattr(Session, "check_spec", lambda self: None)
    graded_on(seconds)
    assert (made[:1] == [SAMPLES_PER_ROUND]) is asked


@dataclass
class Made:
    """What is made again, by what a file says in its samples and what its components do."""

    claimed: list[Claimed]
    honest: Callable[[int], bool]  # by how many times it was asked before

    def make_again(self, *arguments: Any, **_: Any) -> dict[int, list[Finding]]:
        mark: Mark = "pass" if self.honest(len(self.claimed)) else "fail"
        self.claimed.append(arguments[4][1])
        said = Finding(check="answer-remade", subject="safety", mark=mark, text="as it is", about="positions")
        return {1: [said]}

    def put_in_place(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("remade_names", "obligations"):
            monkeypatch.setattr(rounds, name, lambda *_: ("answer-remade:positions",))
        monkeypatch.setattr(rounds, "make_again", self.make_again)
        monkeypatch.setattr(Session, "check_spec", lambda self: None)


def test_what_audits_answered_is_made_again_too(
    graded_on: Callable[..., tuple[list[Graded], Paper]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Made([], honest=lambda asked: True)
    made.put_in_place(monkeypatch)
    (graded,), _ = graded_on(steady)
    assert graded.grading.outcome.kind == "passed", graded.grading.outcome
    audits = DATA_SETS - ROUNDS
    assert [len(each.answers) for each in made.claimed] == [*[SAMPLES_PER_ROUND] * ROUNDS, audits]
    assert len({id(case) for case, _ in made.claimed[-1].answers}) == audits
    assert all(each.seconds >= ORACLE_S * len(each.answers) for each in made.claimed)


def test_a_file_that_does_the_work_in_measured_rounds_alone_does_not_pass(
    graded_on: Callable[..., tuple[list[Graded], Paper]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Made([], honest=lambda asked: asked < ROUNDS)
    made.put_in_place(monkeypatch)
    (graded,), _ = graded_on(steady)
    assert graded.grading.outcome.kind == "unsafe", graded.grading.outcome
    assert recompute(graded.grading, 1) == graded.grading


@pytest.mark.parametrize(
    "ends",
    [
        lambda number: Ending.BAD_ANSWER if number == 2 + ROUNDS * (2 + SAMPLES_PER_ROUND) + 2 else Ending.ANSWERED,
        None,
    ],
    ids=["an audit failed", "each audit has a container of its own"],
)
def test_audits_are_made_again_only_where_a_container_for_that_is_there(
    graded_on: Callable[..., tuple[list[Graded], Paper]],
    monkeypatch: pytest.MonkeyPatch,
    ends: Callable[[int], Ending] | None,
) -> None:
    made = Made([], honest=lambda asked: True)
    made.put_in_place(monkeypatch)
    if ends is None:
        monkeypatch.setattr(SharedContainers, "are_possible", False)
    graded_on(steady, **({} if ends is None else {"ends": ends}))
    assert [len(each.answers) for each in made.claimed] == [SAMPLES_PER_ROUND] * ROUNDS


def test_the_repeats_of_a_sample_are_made_again_with_it(
    graded_on: Callable[..., tuple[list[Graded], Paper]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Made([], honest=lambda asked: True)
    made.put_in_place(monkeypatch)
    graded_on(lambda number, side: steady(number, side) + 0.2 * (number == 4))
    assert len(made.claimed[0].answers) == SAMPLES_PER_ROUND + REPEATS


def test_a_sample_that_was_held_up_is_repeated_in_its_round(
    graded_on: Callable[..., tuple[list[Graded], Paper]],
) -> None:
    (graded,), _ = graded_on(lambda number, side: steady(number, side) + 0.2 * (number == 4))
    assert sides_of(graded)[0][-REPEATS:] == ["repeat"] * REPEATS
    assert graded.grading.outcome.kind == "passed", graded.grading.outcome
    assert recompute(graded.grading, 1) == graded.grading


def test_each_of_several_attempts_passes_where_the_file_is_fast_enough_by_wider_intervals_than_the_only_one(
    graded_on: Callable[..., tuple[list[Graded], Paper]],
) -> None:
    bounds = []
    for attempt in ((1, 1), (1, 3), (2, 3), (3, 3)):
        (graded,), _ = graded_on(steady, attempt=attempt)
        assert graded.grading.outcome.kind == "passed", graded.grading.outcome
        assert graded.grading.rules is not None and graded.grading.rules.attempt == attempt[0]
        assert recompute(graded.grading, 1) == graded.grading
        assert graded.grading.measurement is not None and graded.grading.measurement.speedup is not None
        bounds.append(graded.grading.measurement.speedup.low or 0.0)
    assert bounds[0] > max(bounds[1:]) and min(bounds) > 3.0


def test_a_certificate_that_does_not_fit_is_told_of_once_however_many_batches_do_without_it(
    graded_on: Callable[..., tuple[list[Graded], Paper]],
) -> None:
    slow = Certificate(id="slow", variance=1e-4, df=6, sentinel_log_mean=np.log(5 * ORACLE_S), sentinel_log_sd=0.02)
    graded, _ = graded_on(steady, certificate=slow, batches=2)
    assert [sum("slow is not used" in note for note in each.grading.notes) for each in graded] == [1, 0]
    for each in graded:
        assert each.grading.outcome.kind == "passed" and each.grading.rules is not None
        assert each.grading.rules.certificate is None and "level differs" in each.grading.rules.no_certificate


def test_what_was_measured_while_a_sample_was_held_up_says_nothing_of_the_host(
    graded_on: Callable[..., tuple[list[Graded], Paper]],
) -> None:
    (graded,), paper = graded_on(steady, others_s=lambda number: 0.3 * (number == 1))
    assert graded.grading.outcome.kind == "passed" and any("repeated" in note for note in graded.grading.notes)
    assert paper.learnt == []


def test_what_was_measured_without_a_certificate_is_told_once_everything_is_decided(
    graded_on: Callable[..., tuple[list[Graded], Paper]],
) -> None:
    (graded,), paper = graded_on(steady)
    assert graded.grading.measurement is not None
    assert [len(samples) for samples in paper.learnt] == [len(graded.grading.measurement.samples)]


def test_a_sample_beside_which_others_had_the_cpu_is_measured_again(
    graded_on: Callable[..., tuple[list[Graded], Paper]],
) -> None:
    (graded,), paper = graded_on(steady, others_s=lambda number: 0.3 * (number in (1, 4)))
    assert graded.grading.outcome.kind == "passed", graded.grading.outcome
    assert graded.grading.measurement is not None and graded.grading.measurement.slowest_over_median is not None
    assert graded.grading.measurement.slowest_over_median < 1.1, "it has left no trace among the times"
    assert [note.split(" was ")[0] for note in graded.grading.notes] == [
        "a sample of sentinel", "a sample of candidate of run 1"
    ]  # fmt: skip
    assert paper.count == len(graded.grading.measurement.samples) + 2


@pytest.mark.parametrize(
    ("others_s", "kind"), [(0.3, "passed"), (0.0, "timed_out")], ids=["others had the CPU", "nobody else had it"]
)
def test_a_sample_whose_time_was_up_since_others_had_the_cpu_is_measured_again(
    others_s: float, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = Paper(load_task(Settings(), "slow_nbody"), steady, lambda number: others_s * (number in (1, 4)))
    paper.put_in_place(monkeypatch)

    def run_sample(sandbox: Any, spec: SampleSpec, source: bytes, cutoff_s: float | None = None, /) -> SampleResult:
        result = paper.run_sample(sandbox, spec, source, cutoff_s)
        if paper.count != 4:
            return result
        return replace(result, ending=Ending.TIMED_OUT, arrays=None, seconds=0.3, detail="no answer within 0.3 s")

    context = replace(paper.context(), run_sample=run_sample)
    (graded,) = grade(context, [Candidate(1, (paper.task.oracle or b"") + b"# mine")])
    assert graded.grading.outcome.kind == kind, graded.grading.outcome
    assert recompute(graded.grading, 1) == graded.grading


@pytest.mark.parametrize(
    ("faults", "decided"),
    [([SandboxWoke] * 3, True), ([SandboxLost], True), ([SandboxWoke, SandboxLost, SandboxWoke], True),
     ([SandboxLost] * 2, False)],
    ids=["three episodes, each ended", "one fault of the host", "both", "two faults of the host"],
)  # fmt: skip
def test_episodes_that_wake_one_after_the_other_spoil_nobodys_verdict(
    faults: list[type[SandboxLost]], decided: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = Paper(load_task(Settings(), "slow_nbody"), steady)
    paper.put_in_place(monkeypatch)
    left = list(faults)

    def check_frozen(since_s: float) -> bool:
        if left:
            raise left.pop()(cause="something ran", hint="nothing")
        return True

    context = paper.context()
    monkeypatch.setattr(context.fleet, "check_frozen", check_frozen)
    with contextlib.nullcontext() if decided else pytest.raises(SandboxLost):
        (graded,) = grade(context, [Candidate(1, (paper.task.oracle or b"") + b"# mine")])
        assert graded.grading.outcome.kind == "passed", graded.grading.outcome
        assert sum("repeated after a host fault" in note for note in graded.grading.notes) == len(faults)
        assert recompute(graded.grading, 1) == graded.grading


def test_an_engine_that_counts_no_cpu_time_is_noted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    paper = Paper(load_task(Settings(), "slow_nbody"), steady)
    paper.put_in_place(monkeypatch)
    context = paper.context()
    monkeypatch.setattr(context.fleet, "check_frozen", lambda since_s: False)
    (graded,) = grade(context, [Candidate(1, (paper.task.oracle or b"") + b"# mine")])
    assert [note for note in graded.grading.notes if "counts no CPU time" in note] == [FROZEN_UNSEEN]


def test_on_an_idle_host_no_sample_of_a_candidate_is_taken_for_held_up(
    graded_on: Callable[..., tuple[list[Graded], Paper]],
) -> None:
    (graded,), paper = graded_on(steady, others_s=lambda number: 0.3 * (number == 4))
    assert graded.grading.notes == () and graded.grading.measurement is not None
    assert paper.count == len(graded.grading.measurement.samples)
    assert sides_of(graded)[0][-REPEATS:] == ["repeat"] * REPEATS, "it is treated as any slow sample is"


def test_a_file_that_is_slow_in_its_audits_does_not_pass(
    graded_on: Callable[..., tuple[list[Graded], Paper]],
) -> None:
    before = ROUNDS * (2 + SAMPLES_PER_ROUND) + 2

    def slow(number: int, side: str) -> float:
        return steady(number, side) * (10.0 if side == "candidate" and number > before else 1.0)

    (graded,), _ = graded_on(slow)
    assert graded.grading.outcome.kind == "unstable", graded.grading.outcome
    assert recompute(graded.grading, 1) == graded.grading


@pytest.mark.parametrize(
    ("failing", "kind"),
    [((3,), "passed"), ((3, 9), "out_of_memory"), ((3, 1 + DATA_SETS - ROUNDS), "out_of_memory")],
    ids=["once", "in two of them", "in its own container, too"],
)
def test_an_audit_that_fails_beside_others_is_made_again_alone_once(
    failing: tuple[int, ...], kind: str, graded_on: Callable[..., tuple[list[Graded], Paper]]
) -> None:
    before = ROUNDS * (2 + SAMPLES_PER_ROUND) + 1  # and the sentinel of the audits

    def ends(number: int) -> Ending:
        return Ending.OUT_OF_MEMORY if number - before in failing else Ending.ANSWERED

    (graded,), _ = graded_on(steady, ends=ends)
    assert graded.grading.outcome.kind == kind, graded.grading.outcome
    [note] = graded.grading.notes
    assert note == (
        "an audit of run 1 ended without an answer (out of memory); it was made again in a container of its own"
    )
    assert recompute(graded.grading, 1) == graded.grading


@dataclass
class Crowded(Paper):
    """There is too little memory for the candidate's file wherever its samples share a container."""

    shared: list[bool] = field(default_factory=list)  # of the samples of candidates that were run

    @contextlib.contextmanager
    def warm_pool(self, context: Any, samples: Any, *arguments: Any) -> Iterator[list[WarmSandbox]]:
        with super().warm_pool(context, samples, *arguments) as pool:
            yield [
                WarmSandbox(SimpleNamespace(**vars(warm.sandbox), scheduled=scheduled), warm.close)  # type: ignore[arg-type]
                for warm, scheduled in zip(pool, samples, strict=True)
            ]

    def run_sample(self, sandbox: Any, spec: SampleSpec, source: bytes, cutoff_s: float | None = None) -> SampleResult:
        if sandbox.scheduled.side == "candidate":
            self.shared.append(sandbox.scheduled.shared)
        if sandbox.scheduled.shared:
            return SampleResult(Ending.OUT_OF_MEMORY, 0.01, detail="too little")
        return super().run_sample(sandbox, spec, source, cutoff_s)


@pytest.mark.parametrize("memory_bytes", [2**35, 2**32], ids=["all of them warm at once", "few of them"])
def test_a_file_that_needs_all_the_memory_is_audited_alone_from_its_first_such_audit_on(
    memory_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = Crowded(load_task(Settings(), "slow_nbody"), steady)
    paper.put_in_place(monkeypatch)
    context = replace(paper.context(), memory_bytes=memory_bytes)
    (graded,) = grade(context, [Candidate(1, (paper.task.oracle or b"") + b"# mine")])
    assert graded.grading.outcome.kind == "passed", graded.grading.outcome
    assert paper.shared.count(True) == 1, "nobody is told twice"
    assert len([note for note in graded.grading.notes if "container of its own" in note]) == 1
    assert recompute(graded.grading, 1) == graded.grading


def test_an_audit_with_a_wrong_answer_beside_others_is_not_made_again(
    graded_on: Callable[..., tuple[list[Graded], Paper]],
) -> None:
    before = ROUNDS * (2 + SAMPLES_PER_ROUND) + 1

    def ends(number: int) -> Ending:
        return Ending.BAD_ANSWER if number - before == 3 else Ending.ANSWERED

    (graded,), _ = graded_on(steady, ends=ends)
    assert graded.grading.outcome.kind == "bad_answer" and graded.grading.notes == ()


@pytest.mark.parametrize(
    ("raised", "kind"),
    [(BadAnswer("no number"), "bad_answer"), (ValueError("invalid literal"), "infrastructure")],
    ids=["takes it for none", "fails on it"],
)
def test_an_answer_that_the_task_cannot_score_is_one_runs_outcome_and_no_others(
    raised: Exception, kind: str, graded_on: Callable[..., tuple[list[Graded], Paper]]
) -> None:
    graded, _ = graded_on(steady, candidates=2, not_scored=([3], raised))
    hit, other = sorted(graded, key=lambda one: one.grading.outcome.kind == "passed")
    assert hit.grading.outcome.kind == kind and str(raised) in hit.grading.outcome.reason
    assert other.grading.outcome.kind == "passed"


def test_an_answer_of_the_tasks_own_that_cannot_be_scored_is_the_tasks_fault(
    graded_on: Callable[..., tuple[list[Graded], Paper]],
) -> None:
    with pytest.raises(InfrastructureFault, match=r"score of problem\.py of slow_nbody failed on an answer"):
        graded_on(steady, not_scored=(range(100), ValueError("invalid literal")))


def test_a_study_of_files_measures_so_many_rounds_and_cuts_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"baseline": BASELINE_S, "sentinel": ORACLE_S, "candidate": 2.0 * BASELINE_S}
    paper = Paper(load_task(Settings(), "slow_nbody"), lambda number, side: seconds[side])
    unsafe = Checked((Finding(check="text", subject="safety", mark="fail", text="it cheats"),), ())
    paper.put_in_place(monkeypatch, {1: UNREMARKABLE, 2: unsafe, 3: UNREMARKABLE})
    oracle = paper.task.oracle or b""
    files = [Candidate(1, oracle + b"# 1"), Candidate(2, oracle + b"# 2"), Candidate(3, oracle + b"# 3", samples=1)]
    slow, failed, seldom = measure_rounds(paper.context(), files, 4)
    assert (slow.grading.outcome.kind, failed.grading.outcome.kind) == ("passed", "unsafe")
    assert slow.grading.rules is not None and slow.grading.rules.target is None
    assert [side.count("candidate") for side in sides_of(slow)] == [SAMPLES_PER_ROUND] * 4
    assert [side.count("candidate") for side in sides_of(seldom)] == [1] * 4
    assert failed.grading.measurement is not None and failed.grading.measurement.samples == ()
    assert slow.grading.measurement is not None and slow.grading.measurement.speedup is not None
    assert slow.grading.measurement.speedup.estimate == pytest.approx(0.5)


def test_a_file_that_dies_slowly_where_it_is_checked_has_failed_and_runs_nowhere_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paper = Paper(load_task(Settings(), "slow_nbody"), steady)
    died = slow_death(60.0)
    assert died is not None
    paper.put_in_place(monkeypatch, {1: Checked((died,), ()), 2: UNREMARKABLE})
    own = (paper.task.oracle or b"") + b"# mine"
    found = {graded.run: graded.grading for graded in grade(paper.context(), [Candidate(1, own), Candidate(2, own)])}
    assert {run: str(grading.outcome.kind) for run, grading in found.items()} == {1: "unsafe", 2: "passed"}
    assert found[1].measurement is not None and found[1].measurement.samples == ()
    assert recompute(found[1], 1).outcome == found[1].outcome


@pytest.mark.parametrize("shared", [True, False])
def test_a_file_that_dies_slowly_where_its_components_make_again_has_failed(
    shared: bool, graded_on: Callable[..., tuple[list[Graded], Paper]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Made([], honest=lambda asked: True)
    made.put_in_place(monkeypatch)
    sandbox = SimpleNamespace(pin=lambda cpuset: None, dying_cpu_s=0.0, spec=None)

    @contextlib.contextmanager
    def warm(*_: Any, **__: Any) -> Iterator[Any]:
        yield sandbox
        sandbox.dying_cpu_s = 60.0

    def end(*_: Any) -> None:
        sandbox.dying_cpu_s = 60.0

    def make_again(*arguments: Any, sandbox_of: Any, **_: Any) -> dict[int, list[Finding]]:
        with sandbox_of(1):
            return made.make_again(*arguments)

    container = SimpleNamespace(begin=lambda spec: sandbox)
    monkeypatch.setattr(rounds, "make_again", make_again)
    monkeypatch.setattr(rounds, "warm_sandbox", warm)
    monkeypatch.setattr(Session, "check_spec", lambda self: SampleSpec(self.context.task, None, (), b"", (), 1.0, ()))
    monkeypatch.setattr(SharedContainers, "are_possible", shared)
    monkeypatch.setattr(SharedContainers, "of", lambda self, run, spec: container)
    monkeypatch.setattr(SharedContainers, "leave", end)
    (graded,), _ = graded_on(steady)
    assert graded.grading.outcome.kind == "unsafe", graded.grading.outcome
    assert [finding.check for finding in graded.grading.findings if finding.mark == "fail"] == ["ends-when-killed"]


def test_a_host_fault_in_an_audit_repeats_all_audits_of_its_batch(
    graded_on: Callable[..., tuple[list[Graded], Paper]],
) -> None:
    def fails_once(number: int, side: str) -> float:
        if number == ROUNDS * (2 + SAMPLES_PER_ROUND) + 5:
            raise InfrastructureFault(cause="the engine hiccuped", hint="none")
        return steady(number, side)

    (graded,), _ = graded_on(fails_once)
    assert graded.grading.outcome.kind == "passed"
    assert graded.grading.notes == (
        f"audits on data sets {ROUNDS + 1} to {DATA_SETS}: repeated after a host fault: the engine hiccuped",
    )
    assert [set(sides) for sides in sides_of(graded)[ROUNDS:]] == AUDITS
    assert replace(graded.grading, notes=()) == replace(recompute(graded.grading, 1), notes=())


@dataclass
class Hanging(Paper):
    """A file whose control never answers; its timed samples are cut from some sample on."""

    cut_from: int = 0
    timed: int = 0

    def run_sample(self, sandbox: Any, spec: SampleSpec, source: bytes, cutoff_s: float | None = None) -> SampleResult:
        doing = self.steps[-1].text
        if "measuring control" in doing:
            ending = Ending.TIMED_OUT if cutoff_s is None else Ending.CUT
            return SampleResult(ending, cutoff_s or 180.0, detail="it hangs")
        if "measuring candidate" in doing:
            self.timed += 1
            if self.timed > self.cut_from:
                return SampleResult(Ending.CUT, cutoff_s or 1.0, detail="far past what the target allows")
        return super().run_sample(sandbox, spec, source, cutoff_s)


@pytest.mark.parametrize(
    ("cut_from", "controls", "kind"),
    [(0, 1, "too_slow"), (SAMPLES_PER_ROUND, 2, "timed_out"), (1, 2, "timed_out"), (1000, 2, "timed_out")],
    ids=["never answers in time", "answers in one round", "answers once", "always answers in time"],
)
def test_a_control_that_hangs_is_named_and_gets_all_the_time_there_is_once_at_the_most(
    cut_from: int, controls: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = Hanging(load_task(Settings(), "slow_nbody"), steady, cut_from=cut_from)
    paper.put_in_place(monkeypatch)
    context = replace(paper.context(), rules=replace(RULES, edition=EDITION))
    problem = replace(context.problem, control=lambda case, rng: case, judge_control=lambda *_: None)
    [graded] = grade(replace(context, problem=problem), [Candidate(1, (paper.task.oracle or b"") + b"# mine")])
    assert graded.grading.outcome.kind == kind, graded.grading.outcome
    assert graded.grading.measurement is not None
    samples = graded.grading.measurement.samples
    assert [sample.side for sample in samples].count("control") == controls
    assert "nothing to learn" in graded.grading.outcome.reason or "control" in graded.grading.outcome.reason
    assert recompute(graded.grading, 1).outcome == graded.grading.outcome
