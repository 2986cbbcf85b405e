"""The driver of a job on several hosts, with hosts that are functions: what is kept, moved, given up and refused."""

import base64
import contextlib
import hashlib
import json
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from runner.budget.limits import Account
from runner.faults import InfrastructureFault
from runner.hosts.book import Book
from runner.hosts.cluster import Host, LocalBookKeeper
from runner.hosts.driver import HostsJob
from runner.hosts.messages import LineKind, file_lines
from runner.job.resume import read_remains
from runner.records.episode import EpisodeSummary
from runner.records.outcome import Outcome, OutcomeKind
from runner.records.run import JobConfig, Run, SubmissionRecord
from runner.store.job_folder import JobFolder, open_job_folder, reopen_job_folder
from runner.store.journal import EntryKind
from runner.store.results import run_json
from tests.conftest import wait_until
from tests.fakes.fake_cluster import FakeCluster, HostDied, Play, finished, numbers_of, say, started

WAITS = Outcome(OutcomeKind.INFRASTRUCTURE, "it was not graded yet")
SUMMARY = EpisodeSummary(turns=1, calls=1, seconds=1.0, ending="submitted", dollars=0.5)
FILE = b"x = 1\n"


def ended(number: int) -> Run:
    return Run(number=number, outcome=Outcome(OutcomeKind.NO_SUBMISSION, "it ended"), episode=SUMMARY)


def submitted(number: int) -> Iterator[bytes]:
    """An episode that is over, as a host tells of it, with its file."""
    record = SubmissionRecord(
        path="x.py", sha256=hashlib.sha256(FILE).hexdigest(), bytes=len(FILE), stored_at=f"there/run_{number}/x.py"
    )
    yield from file_lines(number, "x.py", FILE)
    run = Run(number=number, outcome=WAITS, submission=record, episode=SUMMARY)
    yield say(LineKind.SUBMITTED, run=run_json(run))


def plays_all(share: str, request: Mapping[str, Any]) -> Iterator[bytes]:
    yield started()
    for number in numbers_of(request):
        yield from file_lines(number, "transcript.jsonl", b'{"kind": "end"}\n')
        yield finished(ended(number))
    yield say(LineKind.ENDED, interrupted=False)


def dies_after(count: int) -> Play:
    def play(share: str, request: Mapping[str, Any]) -> Iterator[bytes]:
        yield started()
        for number in numbers_of(request)[:count]:
            yield finished(ended(number))
        raise HostDied

    return play


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[JobFolder]:
    folder = open_job_folder(tmp_path / "output", "job")
    yield folder
    folder.close()


def job(cluster: FakeCluster, folder: JobFolder | None, runs: int = 4, **more: Any) -> HostsJob:
    said: list[str] = []
    made = HostsJob(
        "1", JobConfig(task="t", runs=runs, name="job"), cluster, b"", folder, {}, lambda run: None, said.append, **more
    )
    made.said = said  # type: ignore[attr-defined]
    return made


def said(job: HostsJob) -> str:
    return "\n".join(job.said)  # type: ignore[attr-defined]


def test_every_run_is_played_once_and_names_its_host(folder: JobFolder) -> None:
    cluster = FakeCluster({"a": plays_all, "b": plays_all})
    made = job(cluster, folder, runs=5, share=1)
    assert not made.play()
    assert sorted(run.number for run in made.runs) == [1, 2, 3, 4, 5]
    assert {run.host for run in made.runs} <= {"a", "b"} and all(run.host for run in made.runs)
    kept = json.loads((folder.path / "results.json").read_text())
    assert [run["number"] for run in kept["runs"]] == [1, 2, 3, 4, 5] and set(kept["lock"]["hosts"]) <= {"a", "b"}
    assert (folder.path / "run_3" / "transcript.jsonl").read_bytes() == b'{"kind": "end"}\n'


@pytest.mark.slow
def test_a_finished_run_is_in_the_folder_before_the_share_goes_on(folder: JobFolder) -> None:
    seen = []

    def play(share: str, request: Mapping[str, Any]) -> Iterator[bytes]:
        yield started()
        yield finished(ended(1))
        wait_until(lambda: len(json.loads((folder.path / "results.json").read_text())["runs"]) == 1)
        seen.append(1)
        yield finished(ended(2))

    job(FakeCluster({"a": play}), folder, runs=2).play()
    assert seen == [1]


def test_a_lost_hosts_finished_runs_stay_and_the_rest_goes_once_to_another(folder: JobFolder) -> None:
    cluster = FakeCluster({"a": dies_after(1)})
    made = job(cluster, folder, runs=3)

    def join(text: str) -> None:
        if "a is lost" in text:
            cluster.plays["b"] = plays_all

    made.say = join
    assert not made.play()
    assert [(run.number, run.host, run.lost_on) for run in made.runs] == [
        (1, "a", ()), (2, "b", ("a",)), (3, "b", ("a",))
    ]  # fmt: skip
    assert [numbers_of(request) for _, request in cluster.requests] == [[1, 2, 3], [2, 3]]


def test_a_run_whose_host_is_lost_twice_is_infrastructure(folder: JobFolder) -> None:
    cluster = FakeCluster({"a": dies_after(0), "b": dies_after(0), "c": plays_all})
    made = job(cluster, folder, runs=1)
    made.play()
    (run,) = made.runs
    assert run.outcome.kind is OutcomeKind.INFRASTRUCTURE and "two hosts were lost" in run.outcome.reason
    assert run.lost_on == ("a", "b") and len(cluster.requests) == 2


def test_an_episode_that_was_over_is_graded_elsewhere_and_not_played_again(folder: JobFolder) -> None:
    def dies_before_grading(share: str, request: Mapping[str, Any]) -> Iterator[bytes]:
        yield started()
        yield from submitted(1)
        raise HostDied

    cluster = FakeCluster({"a": dies_before_grading, "b": plays_all})
    made = job(cluster, folder, runs=1)
    made.play()
    (_, first), (host, second) = cluster.requests
    assert (first["numbers"], first["waiting"]) == ([1], [])
    assert host == "b" and second["numbers"] == []
    (entry,) = second["waiting"]
    assert base64.b64decode(entry["submission"]) == FILE and entry["run"]["episode"]["dollars"] == 0.5
    assert entry["run"]["submission"]["stored_at"] == str(folder.path / "run_1" / "x.py")


def breaks_off(share: str, request: Mapping[str, Any]) -> Iterator[bytes]:
    """It has not heard from the book: one run is final, one waits to be graded, the rest is under way."""
    yield started()
    first, second, *_ = numbers_of(request)
    yield finished(ended(first))
    yield from submitted(second)
    yield say(LineKind.ENDED, interrupted=True)


def breaks_off_once() -> FakeCluster:
    """Its one host is well again afterwards."""

    def play(share: str, request: Mapping[str, Any]) -> Iterator[bytes]:
        cluster.plays["a"] = plays_all
        return breaks_off(share, request)

    cluster = FakeCluster({"a": play})
    return cluster


def test_a_share_that_ended_itself_loses_its_runs_to_another_and_none_of_them_vanishes(folder: JobFolder) -> None:
    cluster = breaks_off_once()
    made = job(cluster, folder, runs=4)
    assert not made.play()
    assert {run.number: run.lost_on for run in made.runs} == {1: (), 2: ("a",), 3: ("a",), 4: ("a",)}
    (_, _), (_, second) = cluster.requests
    assert second["numbers"] == [3, 4] and [entry["run"]["number"] for entry in second["waiting"]] == [2]
    assert "a is lost: its share ended before its end" in said(made)


def test_a_run_whose_shares_both_ended_themselves_is_infrastructure(folder: JobFolder) -> None:
    made = job(FakeCluster({"a": breaks_off}), folder, runs=4)
    assert not made.play()
    assert {run.number: run.outcome.kind.value for run in made.runs} == {
        1: "no_submission", 2: "infrastructure", 3: "no_submission", 4: "infrastructure"
    }  # fmt: skip
    assert made.runs[-1].lost_on == ("a", "a") and "two hosts were lost" in made.runs[-1].outcome.reason


def test_what_waits_is_graded_elsewhere_also_where_the_jobs_dollars_have_ended(folder: JobFolder) -> None:
    cluster = breaks_off_once()
    cluster.keeper.book.exhausted = True
    made = job(cluster, folder, runs=2)
    made.play()
    assert {run.number: run.lost_on for run in made.runs} == {1: (), 2: ("a",)}


def leaves_out_the_last(share: str, request: Mapping[str, Any]) -> Iterator[bytes]:
    yield started()
    for number in numbers_of(request)[:-1]:
        yield finished(ended(number))
    yield say(LineKind.ENDED, interrupted=False)


def test_a_run_that_a_share_left_out_without_a_reason_is_not_dropped(folder: JobFolder) -> None:
    made = job(FakeCluster({"a": leaves_out_the_last}), folder, runs=2)
    made.play()
    assert {run.number: run.outcome.kind.value for run in made.runs} == {1: "no_submission", 2: "infrastructure"}


def test_a_run_that_was_not_begun_since_the_dollars_had_ended_is_left_out(folder: JobFolder) -> None:
    cluster = FakeCluster({"a": leaves_out_the_last})
    cluster.keeper.book.exhausted = True
    made = job(cluster, folder, runs=2)
    made.play()
    assert [run.number for run in made.runs] == [1] and "runs 2 were not begun" in said(made)


def test_a_stopped_job_keeps_what_waits_and_resume_finds_it(folder: JobFolder) -> None:
    def never_graded(share: str, request: Mapping[str, Any]) -> Iterator[bytes]:
        yield started()
        yield from submitted(1)
        wait_until(lambda: cluster.keeper.book.stopping)
        yield finished(Run(number=1, outcome=Outcome(OutcomeKind.INFRASTRUCTURE, "stopped", "elsewhere")))
        yield say(LineKind.ENDED, interrupted=True)

    cluster = FakeCluster({"a": never_graded})
    made = job(cluster, folder, runs=2, share=1)
    note = made._note

    def interrupt(kind: EntryKind, content: dict[str, Any]) -> None:
        note(kind, content)
        raise KeyboardInterrupt

    made._note = interrupt  # type: ignore[method-assign]
    folder.write_json("job.json", asdict(made.config))
    assert made.play()
    (run,) = made.runs
    assert run.outcome.hint == f"python -m runner --resume {folder.path}"
    folder.close()
    with contextlib.closing(reopen_job_folder(folder.path)) as again:
        (waits,) = read_remains(again).waiting
    assert waits.number == 1 and waits.submission is not None and waits.submission.content == FILE


def test_a_host_that_cannot_begin_gets_no_more_and_nothing_is_held_against_its_runs(folder: JobFolder) -> None:
    def refuses(share: str, request: Mapping[str, Any]) -> Iterator[bytes]:
        yield say(LineKind.REFUSED, cause="no engine answers", hint="start it")

    cluster = FakeCluster({"a": refuses, "b": plays_all})
    made = job(cluster, folder, runs=4, share=1)
    made.play()
    assert {run.host for run in made.runs} == {"b"} and all(run.lost_on == () for run in made.runs)
    # A second share may have been on its way to it when it refused the first.
    assert [host for host, _ in cluster.requests].count("a") <= 2 and "no engine answers (start it)" in said(made)


@pytest.mark.slow
def test_where_no_host_is_left_the_rest_is_infrastructure_and_says_why(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.hosts.driver.PLACED_S", 0.2)

    def refuses(share: str, request: Mapping[str, Any]) -> Iterator[bytes]:
        yield say(LineKind.REFUSED, cause="this host has runner 2, the driver 1", hint="install the same")

    made = job(FakeCluster({"a": refuses}), folder, runs=2)
    made.play()
    assert [run.outcome.kind for run in made.runs] == [OutcomeKind.INFRASTRUCTURE] * 2
    assert "this host has runner 2" in made.runs[0].outcome.reason


@pytest.mark.slow
@pytest.mark.parametrize(("key", "words"), [("", "1 of 2 hosts are there: a"), ("anthropic", "without a key")])
def test_too_few_hosts_are_told_and_nothing_starts(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch, key: str, words: str
) -> None:
    monkeypatch.setattr("runner.hosts.driver.PLACED_S", 0.1)
    cluster = FakeCluster({"a": plays_all})
    with pytest.raises(InfrastructureFault, match=words):
        job(cluster, folder, hosts_min=2, key=key).play()
    assert cluster.requests == []


def test_a_host_without_a_key_gets_no_share(folder: JobFolder) -> None:
    cluster = FakeCluster({"a": plays_all}, keys={"a": frozenset({"anthropic"})})
    made = job(cluster, folder, runs=1, key="anthropic")
    made.play()
    assert [run.host for run in made.runs] == ["a"]


def test_a_share_that_no_host_takes_up_is_told_of_once(folder: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.hosts.driver.PLACED_S", 0.1)
    cluster = FakeCluster({"a": plays_all}, busy={"a"})  # another driver's job has it
    made = job(cluster, folder, runs=1)

    def say_it(text: str) -> None:
        made.said.append(text)  # type: ignore[attr-defined]
        if "waits for a host" in text:
            cluster.busy.clear()

    made.say = say_it
    made.play()
    assert said(made).count("waits for a host") == 1 and len(made.runs) == 1


def test_what_a_lost_share_had_set_aside_is_charged_and_said(folder: JobFolder) -> None:
    keeper = LocalBookKeeper(Book(Account(5.0)))

    def reserves_and_dies(share: str, request: Mapping[str, Any]) -> Iterator[bytes]:
        keeper.book.answer(share, {"ask": "reserve", "token": "t", "amount": 1.25})
        yield started()
        raise HostDied

    cluster = FakeCluster({"a": reserves_and_dies, "b": plays_all}, keeper=keeper)
    made = job(cluster, folder, runs=1)
    made.play()
    assert "$1.25 that it had set aside are charged" in said(made) and made.totals().dollars == 1.25


def odd_run(**odd: Any) -> bytes:
    """A measured run of which one part is not what it must be."""
    submission = asdict(SubmissionRecord(path="x.py", sha256="0", bytes=1, stored_at=""))
    measured = {"seconds": {"baseline": 1.0, "candidate": 1.0}, "samples": [], "seeds": [], "guards": {}}
    return say(LineKind.FINISHED, run={**run_json(ended(1)), "submission": submission, **measured, **odd})


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        b"no json\n",
        b'{"kind": "finished", "run": {"number": 9, "outcome": "passed"}}\n',  # another's run
        b'{"kind": "finished", "run": {"number": 1, "outcome": "splendid"}}\n',
        b'{"kind": "file", "run": 1, "name": "../../results.json", "part": "", "last": true}\n',
        b'{"kind": "file", "run": 1, "name": "/etc/passwd", "part": "", "last": true}\n',
        b'{"kind": "file", "run": 1, "name": "snapshots", "part": "", "last": true}\n',
        b'{"kind": "file", "run": 1, "name": ".hidden", "part": "", "last": true}\n',
        b'{"kind": "file", "run": 7, "name": "x.py", "part": "", "last": true}\n',
        b'{"kind": "file", "run": 1, "name": "x.py", "part": "!!", "last": true}\n',
        b'{"kind": "placed"}\n',
        b'{"kind": "finished", "run": 5}\n',
        odd_run(seconds={"baseline": "fast", "candidate": 1.0}),
        odd_run(seconds={"baseline": 1.0, "candidate": 10**400}),
        odd_run(guards={"median_ratio": [1]}),
        odd_run(seeds=[1]),
        odd_run(episode={**asdict(SUMMARY), "turns": 10**400}),
        odd_run(enforced=5),
        b'{"kind": "started", "lock": {"image": "one"}, "no_certificate": ""}\n',
        b'{"kind": "started", "lock": 5, "no_certificate": ""}\n',
        b'{"kind": "submitted", "run": {"number": 1, "outcome": "infrastructure", "submission": {"path": "x", '
        b'"sha256": "0", "bytes": 1, "stored_at": "gone.py"}}}\n',
    ],
)
def test_a_host_that_says_what_it_may_not_loses_its_share(folder: JobFolder, line: bytes) -> None:
    def odd(share: str, request: Mapping[str, Any]) -> Iterator[bytes]:
        yield started()
        yield line
        wait_until(lambda: share in cluster.dropped)

    cluster = FakeCluster({"a": odd, "b": plays_all})
    made = job(cluster, folder, runs=1)
    made.play()
    assert [run.outcome.kind for run in made.runs] == [OutcomeKind.NO_SUBMISSION] and made.runs[0].lost_on == ("a",)
    assert not (folder.path.parent / "results.json").exists()


def test_a_host_with_another_image_is_told_of(folder: JobFolder) -> None:
    def other(share: str, request: Mapping[str, Any]) -> Iterator[bytes]:
        yield started("sha256:two")
        yield from list(plays_all(share, request))[1:]

    made = job(FakeCluster({"a": plays_all, "b": other}), folder, runs=6, share=3)
    made.play()
    assert ("runs image sha256:two" in said(made)) or {run.host for run in made.runs} == {"a"}


class Twins(FakeCluster):
    """Its hosts have one name, and the cluster avoids both by it."""

    def hosts(self) -> Sequence[Host]:
        return [Host("a", node) for node in self.plays]

    def start(self, share: str, request: bytes, archive: bytes, key: str, avoid: Collection[str], only: str) -> None:
        super().start(share, request, archive, key, tuple(self.plays) if "a" in avoid else (), only)


def test_two_hosts_of_one_name_are_told_apart_wherever_they_are_named(folder: JobFolder) -> None:
    both = threading.Barrier(2, timeout=60)

    def beside_the_other(share: str, request: Mapping[str, Any]) -> Iterator[bytes]:
        both.wait()
        yield from plays_all(share, request)

    made = job(Twins({"node-1": beside_the_other, "node-2-of-two": beside_the_other}), folder, runs=4, share=2)
    assert not made.play()
    assert {run.host for run in made.runs} == {"a", "a-node-2-o"} == set(made.lock["hosts"])
    assert said(made).count("two hosts are called a") == 1 and "host --name" in said(made)


@pytest.mark.slow
def test_where_one_of_two_hosts_of_a_name_is_refused_the_other_gets_nothing_and_the_job_ends(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(share: str, request: Mapping[str, Any]) -> Iterator[bytes]:
        yield say(LineKind.REFUSED, cause="no engine", hint="start one")

    monkeypatch.setattr("runner.hosts.driver.PLACED_S", 0.2)
    made = job(Twins({"node-1": refuses, "node-2-of-two": refuses}), folder, runs=2, share=1)
    assert not made.play()
    assert {run.outcome.kind for run in made.runs} == {OutcomeKind.INFRASTRUCTURE}
