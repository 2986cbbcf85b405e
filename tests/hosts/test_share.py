"""A share as its host runs it: a program of its own, through the relay that Ray's worker uses."""

import contextlib
import io
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import runner
from runner.budget.limits import Account
from runner.hosts import relay, share
from runner.hosts.book import Book
from runner.hosts.cluster import LocalBookKeeper
from runner.hosts.driver import HostsJob
from runner.hosts.messages import LINE_BYTES_MAX, Request, Waiting, read_line, request_line
from runner.hosts.relay import play_share
from runner.hosts.share_ledger import ShareLedger
from runner.hosts.task_archive import pack_task
from runner.job.setup import limits_of
from runner.records.outcome import Outcome, OutcomeKind, infrastructure
from runner.records.run import JobConfig, Run
from runner.sandbox.engine import Engine
from runner.sandbox.spec import SandboxSpec
from runner.store.job_folder import open_job_folder
from runner.tasks.task import Task, read_task
from tests.fakes.fake_cluster import FakeCluster, through_relay

pytestmark = pytest.mark.slow


def config_of(task: Task, runs: int = 2) -> JobConfig:
    return JobConfig(
        task=task.name, task_digest=task.digest, scale="small", agent="scripted", runs=runs, name="shared",
        limits=limits_of(task), target=task.target("small"),
    )  # fmt: skip


def test_a_share_plays_as_an_ordinary_job_and_its_files_come_back(
    engine: Engine, nbody_spec: SandboxSpec, make_task: Callable[..., Path], tmp_path: Path
) -> None:
    task = read_task(make_task("echo one", "echo two"))
    archive, keeper = pack_task(task), LocalBookKeeper(Book(Account(None)))
    cluster = FakeCluster({"a": through_relay(archive, keeper, {"DOCKER_HOST": engine.url})}, keeper=keeper)
    said: list[str] = []
    with contextlib.closing(open_job_folder(tmp_path / "output", "shared")) as folder:
        job = HostsJob(runner.__version__, config_of(task), cluster, archive, folder, {}, lambda run: None, said.append)
        assert not job.play()
    assert {run.number: (run.outcome.kind, run.host) for run in job.runs} == {
        1: ("no_submission", "a"),
        2: ("no_submission", "a"),
    }, said
    told = (tmp_path / "output" / "shared" / "run_2" / "transcript.jsonl").read_text()
    assert "echo two" in told
    lock = json.loads((tmp_path / "output" / "shared" / "lock.json").read_text())
    assert lock["hosts"]["a"]["image"]["id"] == nbody_spec.image_id and lock["hosts"]["a"]["certificate"] is None


@pytest.mark.parametrize(
    ("version", "archive", "words"),
    [("0.0.0", None, "this host has runner"), (None, b"no archive", "cannot be unpacked")],
)
def test_what_a_host_cannot_begin_with_is_refused_in_one_line(
    nbody: Task, version: str | None, archive: bytes | None, words: str
) -> None:

    request = Request(runner=version or runner.__version__, config=config_of(nbody), numbers=(1,))
    lines = list(play_share(request_line(request), archive or pack_task(nbody), lambda question: None))
    (refused,) = map(read_line, lines)
    assert refused["kind"] == "refused" and words in refused["cause"] and refused["hint"]


def test_a_variable_of_the_host_that_is_wrong_is_named(nbody: Task) -> None:
    request = Request(runner=runner.__version__, config=config_of(nbody), numbers=(1,))
    wrong = {"RUNNER_MAX_TOKENS": "many"}
    (refused,) = map(read_line, play_share(request_line(request), pack_task(nbody), lambda question: None, wrong))
    assert (
        refused["cause"].startswith("RUNNER_MAX_TOKENS: ") and refused["hint"] == "correct or unset RUNNER_MAX_TOKENS"
    )


def test_a_request_that_is_none_is_refused(nbody: Task) -> None:
    empty = json.dumps({"runner": runner.__version__}).encode()
    (refused,) = map(read_line, play_share(empty, pack_task(nbody), lambda question: None))
    assert "not a request" in refused["cause"] and refused["hint"]


def test_a_mistake_of_ours_in_a_share_is_not_called_the_requests_and_ends_it(nbody: Task) -> None:
    request = json.loads(request_line(Request(runner=runner.__version__, config=config_of(nbody))))
    request["work"], request["seeds"], request["waiting"] = "play", [], [{"run": None}]
    mistaken = json.dumps(request).encode() + b"\n"
    (refused,) = map(read_line, play_share(mistaken, pack_task(nbody), lambda question: None))
    assert "ended with status 1: KeyError" in refused["cause"] and "doctor" in refused["hint"]


def test_a_task_that_is_not_the_one_that_was_asked_for_is_refused(nbody: Task, make_task: Callable[..., Path]) -> None:

    other = pack_task(read_task(make_task("echo one")))
    request = Request(runner=runner.__version__, config=config_of(nbody), numbers=(1,))
    (refused,) = map(read_line, play_share(request_line(request), other, lambda question: None))
    assert "a digest other than" in refused["cause"]


def test_a_request_is_as_long_as_the_work_that_waits_in_it(nbody: Task) -> None:
    waiting = Waiting(run={"number": 1}, submission=bytes(LINE_BYTES_MAX))
    request = request_line(Request(runner="0.0.0", config=config_of(nbody), waiting=(waiting,)))
    assert len(request) > LINE_BYTES_MAX
    (refused,) = map(read_line, play_share(request, pack_task(nbody), lambda question: None))
    assert "this host has runner" in refused["cause"]


@pytest.mark.parametrize(
    ("fenced", "stopping", "told", "sent"),
    [
        (False, False, False, True),  # the host's fault, and nobody ends anything
        (True, False, False, False),
        (False, True, False, False),  # ended on its host
        (False, True, True, True),  # the driver stops, and lists what waited
    ],
)
def test_what_a_share_spoils_by_its_own_end_is_not_called_final(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fenced: bool, stopping: bool, told: bool, sent: bool
) -> None:
    monkeypatch.setattr(share, "stopped_since_s", lambda: 1.0 if stopping else None)
    ledger, sink = ShareLedger(lambda question: None, lambda: None), io.BytesIO()
    ledger.fenced, ledger.told_to_stop = fenced, told
    with contextlib.closing(open_job_folder(tmp_path, "j")) as folder:
        outgoing = share._Outgoing(share.Pipe(io.BytesIO(), sink), folder, ledger)
        outgoing.report(Run(number=1, outcome=infrastructure("stopped before it was graded", "resume")))
        outgoing.report(Run(number=2, outcome=Outcome(OutcomeKind.NO_SUBMISSION, "it ended")))
    assert [read_line(line)["run"]["number"] for line in sink.getvalue().splitlines()] == ([1, 2] if sent else [2])


CUT_OFF = """import os, sys
sys.stdin.buffer.readline()
sys.stdout.write({line!r})
sys.stdout.flush()
os._exit(9)
"""


@pytest.mark.parametrize("line", ['{"kind": "ask", "id": 1, "quest', '{"kind": "ask"}\n'])
def test_a_share_that_is_killed_in_the_middle_of_a_question_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    program = [sys.executable, "-c", CUT_OFF.format(line=line)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    monkeypatch.setattr(relay, "_start", lambda environment: subprocess.Popen(program, **pipes))
    said: queue.SimpleQueue[list[bytes]] = queue.SimpleQueue()
    threading.Thread(target=lambda: said.put(list(play_share(b"{}", b"", lambda question: None))), daemon=True).start()
    (last,) = map(read_line, said.get(timeout=60))
    assert last["kind"] == "refused" and "ended with status 9" in last["cause"]
