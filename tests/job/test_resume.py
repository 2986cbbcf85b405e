"""Resuming a job: what is final is kept as it was, what was over is graded, the rest is played again."""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from runner.cli.declaring import flags_in
from runner.cli.options import RunOptions, flag_of
from runner.cli.resolve import WITH_RESUME, check_resume_flags, resumed_config
from runner.faults import UsageFault
from runner.job.resume import Remains, answers_so_far, begun_entry, read_remains, submitted_entry
from runner.job.run_episode import NOT_GRADED, EndedEpisode
from runner.records.episode import Snapshot, Submission
from runner.records.events import (
    REPEATED_DOLLARS,
    BudgetEvent,
    NoteEvent,
    RequestEvent,
    ResponseEvent,
    StartEvent,
    TurnEvent,
)
from runner.records.outcome import infrastructure
from runner.records.run import JobConfig, Run, SnapshotRecord
from runner.sandbox.engine import Engine
from runner.store.folder_lock import FolderLock
from runner.store.job_folder import JobFolder, open_job_folder, reopen_job_folder
from runner.store.journal import EntryKind, read_journal
from runner.store.results import run_json
from tests.builders import make_run, make_ungraded
from tests.conftest import Cli, containers_of, wait_until
from tests.fakes.messages_server import MessagesServer, Stall, call, text

CONFIG = JobConfig(task="slow_nbody", agent="scripted", runs=4, concurrency=2, name="j")
CONTENT = b"x = 1\n"


@pytest.fixture
def folder(tmp_path: Path, project: Path) -> JobFolder:
    """A job in which run 1 is final, run 2 waits to be graded, run 3 was under way, and run 4 had not begun."""
    folder = open_job_folder(tmp_path, "j")
    folder.write_json("job.json", asdict(CONFIG))
    folder.journal.append(EntryKind.BEGUN, begun_entry(CONFIG, project / "problem_data" / "slow_nbody"), "now")
    folder.journal.append(EntryKind.FINISHED, run_json(make_run(1)), "now")
    submit(folder, 2)
    for number in (2, 3):
        folder.append_event(number, TurnEvent(turn=1, say="", dollars=0.25), "now")
    return folder


def submit(folder: JobFolder, number: int, content: bytes = CONTENT) -> None:
    stored = folder.keep_submission(number, "a.py", content)
    run = Run(number=number, outcome=infrastructure(NOT_GRADED, ""))
    episode = EndedEpisode(run=run, submission=Submission(path="./a.py", content=content))
    folder.journal.append(EntryKind.SUBMITTED, submitted_entry(episode, str(stored)), "now")


def remains_of(folder: JobFolder) -> Remains:
    folder.close()
    again = reopen_job_folder(folder.path)
    try:
        return read_remains(again)
    finally:
        again.close()


def test_what_is_final_is_kept_what_was_over_waits_and_the_rest_is_played(folder: JobFolder) -> None:
    remains = remains_of(folder)
    assert [json.dumps(run_json(run)) for run in remains.finished] == [json.dumps(run_json(make_run(1)))]
    assert [(episode.number, episode.submission) for episode in remains.waiting] == [
        (2, Submission(path="./a.py", content=CONTENT))
    ]
    assert remains.again == (3,) and remains.damage == () and remains.dollars == 0.5
    assert remains.words == "1 of 4 runs are final and kept, 1 are graded, 2 are played"


def test_a_run_that_was_finished_after_it_waited_is_final_and_once(folder: JobFolder) -> None:
    folder.journal.append(EntryKind.FINISHED, run_json(make_run(2)), "now")
    remains = remains_of(folder)
    assert [run.number for run in remains.finished] == [1, 2] and remains.waiting == ()


def test_a_second_verdict_on_a_run_is_damage_and_the_first_holds(folder: JobFolder) -> None:
    folder.journal.append(EntryKind.FINISHED, run_json(make_ungraded(1)), "now")
    remains = remains_of(folder)
    assert remains.finished[0].outcome.kind == "passed"
    assert remains.damage == ("the journal calls run 1 final twice; the first holds",)


def test_a_submission_that_is_not_what_was_recorded_is_named_and_its_episode_played_again(folder: JobFolder) -> None:
    (folder.root / "run_2" / "a.py").write_bytes(b"other")
    remains = remains_of(folder)
    assert remains.waiting == () and remains.again == (2, 3)
    assert "run 2: its submission is not the one that was recorded; its episode is played again" in remains.damage


def test_a_submission_that_is_gone_is_named(folder: JobFolder) -> None:
    (folder.root / "run_2" / "a.py").unlink()
    assert any("run 2" in words and "cannot be read" in words for words in remains_of(folder).damage)


def test_a_final_run_whose_line_is_spoiled_is_taken_from_the_results(folder: JobFolder) -> None:
    folder.write_json("results.json", {"runs": [run_json(make_run(1))], "totals": {"seconds": 7.5}})
    path = folder.root / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"passed"', b'"failed"'))
    remains = remains_of(folder)
    assert [run.number for run in remains.finished] == [1] and remains.seconds == 7.5
    assert any("line 2: it is not what was written" in words for words in remains.damage)
    assert any("run 1, which is taken from results.json" in words for words in remains.damage)


def test_what_the_host_spoiled_is_not_final(folder: JobFolder) -> None:
    spoiled = Run(number=4, outcome=infrastructure("stopped before it was graded", ""))
    folder.write_json("results.json", {"runs": [run_json(make_run(1)), run_json(spoiled)]})
    assert [run.number for run in remains_of(folder).finished] == [1]


def test_a_job_that_was_asked_otherwise_than_its_file_says_is_refused(folder: JobFolder) -> None:
    folder.write_json("job.json", {**asdict(CONFIG), "runs": 9})
    with pytest.raises(UsageFault, match=r"job\.json is not what the job began with"):
        remains_of(folder)


def test_without_its_file_what_was_asked_for_is_taken_from_the_journal(folder: JobFolder) -> None:
    (folder.root / "job.json").unlink()
    remains = remains_of(folder)
    assert remains.config == CONFIG and "taken from the journal" in remains.damage[0]


def test_without_a_journal_what_was_asked_for_is_held_to_the_results(folder: JobFolder) -> None:
    folder.write_json("results.json", {"job": asdict(CONFIG), "runs": [run_json(make_run(4))]})
    (folder.root / "journal.jsonl").unlink()
    (folder.root / "job.json").write_text(json.dumps(asdict(replace(CONFIG, runs=1))))
    with pytest.raises(UsageFault, match=r"job.json is not what the job began with"):  # run 4 would be lost
        remains_of(folder)
    (folder.root / "job.json").unlink()
    remains = remains_of(folder)
    assert remains.config == CONFIG and [run.number for run in remains.finished] == [4]
    assert "taken from results.json" in remains.damage[0]


@pytest.mark.parametrize(
    "content", [{"runs": None}, {"runs": 7}, {"totals": {"seconds": math.nan}}, {"totals": {"seconds": math.inf}}]
)
def test_results_of_another_form_keep_no_job_from_going_on(folder: JobFolder, content: dict[str, Any]) -> None:
    (folder.root / "results.json").write_text(json.dumps(content))
    remains = remains_of(folder)
    assert [run.number for run in remains.finished] == [1] and remains.seconds == 0.0


@pytest.mark.parametrize(
    "content", ['{"runs": [', '{"runs": 7}', '{"runs": [{"number": 1, "outcome": "pased"}]}', "[]"]
)
def test_without_a_journal_results_that_are_spoiled_are_not_played_over(folder: JobFolder, content: str) -> None:
    (folder.root / "journal.jsonl").unlink()
    (folder.root / "job.json").write_text(json.dumps(asdict(CONFIG)))
    (folder.root / "results.json").write_text(content)
    with pytest.raises(UsageFault, match=r"results\.json cannot be read"):
        remains_of(folder)


def test_a_job_that_never_began_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match="does not say what was asked for"):
        remains_of(open_job_folder(tmp_path, "j"))


def test_states_of_the_file_come_back_where_they_are_graded_and_one_that_is_spoiled_is_named(tmp_path: Path) -> None:
    folder = open_job_folder(tmp_path, "j")
    config = replace(CONFIG, grade_snapshots=True)
    folder.journal.append(EntryKind.BEGUN, begun_entry(config, tmp_path), "now")
    folder.write_json("job.json", asdict(config))
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    stored = folder.keep_snapshot(1, f"{sha256}.py", CONTENT)
    record = SnapshotRecord.of(Snapshot(turn=1, content=CONTENT), str(stored))
    run = Run(number=1, outcome=infrastructure(NOT_GRADED, ""), snapshots=(record,))
    folder.journal.append(EntryKind.SUBMITTED, submitted_entry(EndedEpisode(run=run, snapshots=(CONTENT,)), ""), "now")
    remains = remains_of(folder)
    assert [(each.submission, each.snapshots, each.run) for each in remains.waiting] == [(None, (CONTENT,), run)]
    (folder.root / "run_1" / "snapshots" / f"{sha256}.py").write_bytes(b"other")
    spoiled = remains_of(reopen_job_folder(folder.path))
    assert spoiled.waiting == () and "not the state of its file that was recorded" in spoiled.damage[0]


def test_the_transcript_of_an_interrupted_episode_is_set_aside_and_its_dollars_count(folder: JobFolder) -> None:
    assert folder.set_transcript_aside(3) == folder.root / "run_3" / "transcript_1.jsonl"
    assert folder.set_transcript_aside(3) is None
    folder.append_event(3, BudgetEvent(turn=1), "now")
    folder.append_event(3, TurnEvent(turn=2, say="", dollars=0.125), "now")
    assert remains_of(folder).dollars == 0.25 + 0.25 + 0.125


def played(folder: JobFolder, turns: int, *, repeats: bool = False) -> None:
    """A transcript of run 3, after the one that is there; with so many whole turns, perhaps of those that it repeats."""
    folder.set_transcript_aside(3)
    folder.append_event(3, StartEvent(run=3), "now")
    if repeats:
        folder.append_event(3, NoteEvent(text="taken up again", more={REPEATED_DOLLARS: 1.0}), "now")
    for turn in range(1, turns + 1):
        asked, answered = RequestEvent(turn=turn, sha256=""), ResponseEvent(turn=turn, stop_reason="end_turn")
        for event in (asked, answered, TurnEvent(turn=turn, say=""), BudgetEvent(turn=turn)):
            folder.append_event(3, event, "now")


@pytest.mark.parametrize(
    ("episodes", "kept"),
    [
        ([(4, False)], 4),
        ([(4, False), (2, True)], 4),  # interrupted while it repeated what was paid
        ([(4, False), (0, True)], 4),
        ([(4, False), (0, False)], 4),
        ([(4, False), (6, True), (1, True)], 6),
        ([(4, False), *11 * [(1, True)]], 4),
        ([(4, False), (2, False)], 2),  # it started over
        ([(4, False), (2, False), (1, True)], 2),
    ],
)
def test_an_episode_that_is_interrupted_while_it_repeats_its_turns_keeps_all_that_were_paid(
    folder: JobFolder, episodes: list[tuple[int, bool]], kept: int
) -> None:
    for turns, repeats in episodes:
        played(folder, turns, repeats=repeats)
    assert [answer.turn for answer in answers_so_far(folder, remains_of(folder))[3]] == list(range(1, kept + 1))


def test_an_episode_whose_next_one_had_written_nothing_yet_keeps_its_turns(folder: JobFolder) -> None:
    played(folder, 4)
    folder.set_transcript_aside(3)
    assert len(answers_so_far(folder, remains_of(folder))[3]) == 4


# Through the command line


def test_a_flag_that_would_change_the_runs_is_refused_by_name(
    in_process: Callable[..., CompletedProcess[str]], folder: JobFolder
) -> None:
    folder.close()
    for flag in (("--runs", "3"), ("--agent", "noop"), ("--strict",), ("--seed-only",), ("--turns", "1")):
        done = in_process("--resume", str(folder.path), *flag)
        assert done.returncode == 2
        assert flag[0] in done.stderr


FREE = ["--allow-unenforced disk", "--no-report", "--no-analysis", "--junit x.xml", "--verbose", "--quiet", "--json",
        "--concurrency 1", "--fail-under 0.5", "--job-cost-limit 3", "--no-preflight", "--dry-run"]  # fmt: skip


def test_a_transcript_set_aside_takes_the_place_of_no_other(folder: JobFolder) -> None:
    for _ in range(2):
        folder.set_transcript_aside(3)
        folder.append_event(3, TurnEvent(turn=1, say="", dollars=0.25), "now")
    (folder.root / "run_3" / "transcript_1.jsonl").unlink()
    folder.set_transcript_aside(3)
    assert len(list((folder.root / "run_3").iterdir())) == 2


@pytest.mark.slow
@pytest.mark.parametrize("flag", FREE)
def test_a_flag_that_changes_no_run_may_be_given(
    in_process: Callable[..., CompletedProcess[str]], folder: JobFolder, flag: str
) -> None:
    folder.close()
    done = in_process("--resume", str(folder.path), *flag.split())
    assert done.returncode == 2 and "has changed since the job began" in done.stderr, "the flag is not what stops it"


@pytest.mark.parametrize("name", sorted({name for name, _, _ in flags_in(RunOptions)} - set(WITH_RESUME)))
def test_every_other_flag_is_refused_by_the_name_that_it_was_given_by(name: str) -> None:
    with pytest.raises(UsageFault, match="cannot be given with --resume") as fault:
        check_resume_flags(frozenset({name}))
    assert fault.value.cause.split()[0] == flag_of(name) == f"--{name.replace('_', '-')}" and fault.value.hint


def test_a_field_that_is_called_otherwise_than_its_flag_is_told_by_its_flag() -> None:
    assert (flag_of("page"), flag_of("analysis"), flag_of("runs")) == ("--report", "--analysis", "--runs")


def test_what_is_said_beside_resume_holds_for_the_rest_of_the_job() -> None:
    options = RunOptions(concurrency=3, fail_under=0.5, given=frozenset({"resume", "concurrency", "job_cost_limit"}))
    config = resumed_config(options, replace(CONFIG, agent="model", dollars_max=1.0))
    assert (config.concurrency, config.dollars_max, config.fail_under) == (3, options.limits.job_cost_limit, None)


def test_a_job_that_went_on_with_another_budget_goes_on_again(folder: JobFolder) -> None:
    changed = replace(CONFIG, dollars_max=7.0, concurrency=1, fail_under=0.5, preflight=False)
    folder.journal.append(EntryKind.BEGUN, begun_entry(changed, folder.root), "now")
    assert remains_of(folder).config == CONFIG


def test_a_second_runner_is_told_who_holds_the_folder(
    in_process: Callable[..., CompletedProcess[str]], folder: JobFolder
) -> None:
    done = in_process("--resume", str(folder.path))
    assert done.returncode == 2 and "another runner works on" in done.stderr and "since 20" in done.stderr
    folder.close()
    FolderLock(folder.path).release()


def test_a_task_that_has_changed_is_refused(
    in_process: Callable[..., CompletedProcess[str]], folder: JobFolder
) -> None:
    folder.close()
    done = in_process("--resume", str(folder.path))
    assert done.returncode == 2 and "has changed since the job began" in done.stderr


def test_what_is_no_job_is_refused(in_process: Callable[..., CompletedProcess[str]], tmp_path: Path) -> None:
    done = in_process("--resume", str(tmp_path / "nothing"))
    assert done.returncode == 2 and "is not the folder of a job" in done.stderr


# With the engine


def stages(results: Path) -> dict[str, bool]:
    """Where a job of two scripted runs is."""
    folder = results.parent
    journal = folder / "journal.jsonl"
    text = journal.read_text() if journal.exists() else ""
    return {
        "playing": (folder / "run_1" / "transcript.jsonl").exists(),
        "waiting": '"submitted"' in text,
        "graded": '"kind": "finished"' in text,
    }


@pytest.mark.parametrize("stage", ["playing", "waiting", "graded"])
def test_a_job_that_was_killed_goes_on_and_ends_as_if_nothing_had_happened(
    start: Cli, engine: Engine, tmp_path: Path, stage: str
) -> None:
    results = tmp_path / "killed" / "results.json"
    flags = (
        "--agent",
        "scripted",
        "--task",
        "slow_nbody",
        "--scale",
        "small",
        "--max-rounds",
        "1",
        "--concurrency",
        "1",
    )
    process = start("--runs", "3", *flags, "--name", "killed", "--output", str(tmp_path), "--no-analysis")
    wait_until(lambda: stages(results)[stage], 120)
    process.kill()
    process.communicate()
    before = {run["number"]: run for run in json.loads(results.read_text())["runs"]}
    again = start("--resume", str(results.parent), "--no-analysis")
    _, err = again.communicate(timeout=300)
    assert again.returncode in (0, 5), err
    after = {run["number"]: run for run in json.loads(results.read_text())["runs"]}
    assert sorted(after) == [1, 2, 3] and "are final and kept" in err
    assert {number: after[number] for number in before} == before
    assert len(read_journal((results.parent / "journal.jsonl").read_bytes()).damage) == 0
    wait_until(lambda: containers_of(engine, "killed") == [])


def test_a_models_whole_turns_are_repeated_from_the_record_and_not_paid_again(
    start: Cli, engine: Engine, tmp_path: Path
) -> None:
    script = [
        [call("bash", "toolu_a", command="echo one > kept")],
        [call("bash", "toolu_b", command="cat kept")],
        [text("done")],
    ]
    folder = tmp_path / "asking"
    transcript = folder / "run_1" / "transcript.jsonl"
    with MessagesServer(script, faults=[None, None, None, Stall(120)]) as server:
        env = {"ANTHROPIC_API_KEY": "sk-ant-none", "ANTHROPIC_BASE_URL": server.url, "NO_PROXY": "127.0.0.1"}
        flags = ("--agent", "model", "--task", "slow_nbody", "--scale", "small", "--no-analysis")
        process = start("--runs", "1", *flags, "--name", "asking", "--output", str(tmp_path), env=env)
        wait_until(lambda: len(server.requests) == 4, 60)
        process.kill()
        process.communicate()
        wait_until(lambda: containers_of(engine, "asking") == [])
        again = start("--resume", str(folder), "--resume-episodes", "--no-analysis", env=env)
        _, err = again.communicate(timeout=120)
        assert again.returncode == 0, err
        assert len(server.requests) == 6 and server.complaints == [], "the preflight, and the turn that was under way"
    run = json.loads((folder / "results.json").read_text())["runs"][0]
    assert (run["outcome"], run["episode"]["turns"]) == ("no_submission", 3)
    events = [json.loads(line) for line in transcript.read_text().splitlines()]
    assert [event["text"] for event in events if event["event"] == "answer"][1].startswith("one\n")
    assert any("taken up again after 2 turns" in event.get("text", "") for event in events)
    price = run["episode"]["dollars"] / 3
    spent = json.loads((folder / "results.json").read_text())["totals"]["dollars"]
    assert spent == pytest.approx(4 * price), "three turns and a preflight"
