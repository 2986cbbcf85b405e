"""Whose time is up where one run of a grading takes more than its share of it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from runner.budget.clock import SystemClock
from runner.grading.context import Candidate
from runner.grading.recompute import recompute
from runner.grading.rounds import grade
from runner.grading.sample import SampleResult
from runner.grading.time_shares import out_of_time
from runner.job.batch import SNAPSHOTS_FROM
from runner.job.setup import load_task
from runner.records.grading import Ending, Sample
from runner.settings import Settings
from tests.fakes.paper import RULES, Paper, steady

CUT_S = 0.5


def sample(run: int, seconds: float) -> Sample:
    return Sample(
        side="candidate" if run else "baseline", run=run, round=1, position=0, ending=Ending.ANSWERED, seconds=seconds
    )


@pytest.mark.parametrize(
    ("taken", "elapsed_s", "out"),
    [
        ([(0, 10), (1, 20), (2, 69)], 99, set()),
        ([(0, 80), (1, 20), (2, 20)], 120, {1, 2, 3, 21, 22}),
        ([(0, 0), (1, 80), (2, 0)], 120, {1}),
        ([(0, 0), (1, 10), (2, 90), (3, 20)], 120, {2, 21, 22}),
        ([(0, 0), (1, 10), (21, 60), (22, 40)], 120, {21, 22}),
        ([(0, 0), (1, 60), (2, 60), (3, 60)], 180, {1, 2, 3, 21, 22}),
        ([(1, 1), *[(21, 1)] * 4], 120, {21, 22}),
        ([], 120, {1, 2, 3, 21, 22}),
    ],
    ids=[
        "there is time", "the task's own files took it", "one run", "one with snapshots", "its snapshots alone",
        "all of them", "containers that each sample has", "nothing was measured",
    ],
)  # fmt: skip
def test_the_time_is_up_for_those_who_took_more_than_their_share_and_else_for_all(
    taken: list[tuple[int, float]], elapsed_s: float, out: set[int]
) -> None:
    owners = {1: 1, 2: 2, 3: 3, 21: 2, 22: 2}
    assert out_of_time(owners, [sample(*each) for each in taken], elapsed_s, seconds_max=100.0) == out


@dataclass
class TimeOf(SystemClock):
    """A clock that goes by what a grading on paper has measured."""

    paper: Paper

    def monotonic(self) -> float:
        return self.paper.busy_s


@pytest.fixture
def paper(monkeypatch: pytest.MonkeyPatch) -> Iterator[Paper]:
    found = Paper(load_task(Settings(), "slow_nbody"), steady)
    found.put_in_place(monkeypatch)
    yield found


@pytest.mark.slow
def test_a_run_with_dozens_of_slow_snapshots_leaves_the_others_their_time_and_is_judged_itself(paper: Paper) -> None:
    def run_sample(sandbox: Any, spec: Any, source: bytes, cutoff_s: float | None = None, /) -> SampleResult:
        if b"slow" not in source:
            return paper.run_sample(sandbox, spec, source, cutoff_s)
        paper.busy_s += CUT_S
        return SampleResult(Ending.CUT, CUT_S, detail="stopped")

    own = paper.task.oracle or b""
    files = [Candidate(1, own + b"# 1"), Candidate(2, own + b"# slow"), Candidate(3, own + b"# 3")]
    snapshots = [Candidate(SNAPSHOTS_FROM + each, own + b"# slow %d" % each, owner=2) for each in range(12)]
    rules = replace(RULES, seconds_max=12.0)
    context = replace(paper.context(), clock=TimeOf(paper), rules=rules, run_sample=run_sample)
    found = {graded.run: graded.grading for graded in grade(context, [*files, *snapshots])}
    assert {run: str(found[run].outcome.kind) for run in (1, 2, 3)} == {1: "passed", 2: "too_slow", 3: "passed"}
    assert {str(found[each.run].outcome.kind) for each in snapshots} == {"inconclusive"}
    for run, grading in found.items():
        assert recompute(grading, run) == grading
