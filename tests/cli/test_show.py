"""`show` reads a job in a terminal, in a pipe, and for a program."""

import json
import os
import pty
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

Run = Callable[..., CompletedProcess[str]]
TURN = {
    "event": "turn",
    "turn": 1,
    "say": "I look.",
    "calls": [{"id": "a", "tool": "bash", "input": {"command": "seq 40"}}],
}
EPISODE = {"turns": 2, "calls": 1, "seconds": 3.0, "ending": "submitted", "dollars": 0.25,
           "usage": {"input": 100, "cache_write": 0, "cache_read": 300, "output": 7}}  # fmt: skip
RUN = {"number": 1, "outcome": "passed", "reason": "5.00x speedup", "episode": EPISODE,
       "findings": [{"check": "c", "subject": "form", "mark": "pass", "text": "t"}], "samples": [], "seeds": [],
       "speedup": {"estimate": 5.0, "low": 4.5, "high": 5.6, "confidence": 0.95, "rounds": 3},
       "seconds": {"baseline": 5.0, "candidate": 1.0}}  # fmt: skip
RESULTS = {
    "job": {"task": "slow_nbody", "scale": "small", "agent": "model", "model": "m-1", "runs": 2, "dollars_max": 10.0,
            "started": "2026-01-01T00:00:00+00:00", "limits": {"turns": 30, "dollars": None}},
    "totals": {"runs": 1, "passed": 1, "failed": 0, "pass_rate": 1.0, "seconds": 61.0, "dollars": 0.25},
    "lock": {"runner": "0.1.0"},
    "runs": [RUN],
}  # fmt: skip


@pytest.fixture
def cli(in_process: Run) -> Run:
    """No test here needs an engine."""
    return in_process


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A job of two runs: one has its verdict, the other one goes on."""
    folder = tmp_path / "out" / "j"
    for number in (1, 2):
        events: list[dict[str, Any]] = [{"event": "start", "run": number, "agent": "model", "task": "slow_nbody"}, TURN]
        events.append({"event": "answer", "call": "a", "text": "\n".join(map(str, range(40))), "is_error": False})
        (folder / f"run_{number}").mkdir(parents=True)
        text = "".join(json.dumps(event) + "\n" for event in events)
        (folder / f"run_{number}" / "transcript.jsonl").write_text(text)
    (folder / "results.json").write_text(json.dumps(RESULTS))
    (folder.parent / "latest").symlink_to("j")
    return folder


def test_a_job_shows_what_was_asked_for_and_a_line_for_each_run(cli: Run, job: Path) -> None:
    done = cli("show", str(job.parent / "latest"))
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and lines[0] == "Job j: slow_nbody, scale small, agent model (m-1)"
    assert "  Pass Rate: 100.0%" in lines and "  Not finished: 1 of 2 runs" in done.stdout
    assert "  cost     $0.2500 of at most $10.00" in lines
    assert "  cache    75.0% of what was sent came from it" in lines
    rows = [line.split() for line in lines]
    assert ["1", "passed", "5.00x", "4.50x-5.60x", "-", "2", "$0.2500", "3s", "submitted"] in rows
    assert any(row[:4] == ["2", "no", "verdict", "yet"] and "goes" in row for row in rows)
    assert "\x1b" not in done.stdout


def test_a_job_is_known_by_its_name_too(cli: Run, job: Path) -> None:
    done = cli("show", "j", env={"RUNNER_OUTPUT": str(job.parent)})
    assert done.returncode == 0 and done.stdout.startswith("Job j: ")


def test_a_run_shows_its_episode_and_its_verdict(cli: Run, job: Path) -> None:
    done = cli("show", str(job), "1", "--lines", "2")
    assert "$ seq 40\n  │ 0\n  │ ... 38 more lines\n  │ 39\n" in done.stdout
    assert "✓ Run 1: SUCCESS - 5.00x speedup" in done.stdout
    assert cli("show", str(job), "1", "--full").stdout.count("  │ ") == 40


def test_a_program_gets_the_events(cli: Run, job: Path) -> None:
    events = json.loads(cli("show", str(job), "2", "--json").stdout)
    assert [event["event"] for event in events] == ["start", "turn", "answer"]
    overview = json.loads(cli("show", str(job), "--json").stdout)
    assert [row["outcome"] for row in overview["runs"]] == ["passed", None] and overview["cache_hit_rate"] == 0.75


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (("nowhere",), "nowhere is not the folder of a job"),
        ((".",), "has neither results.json nor a run"),
        (("JOB", "9"), "job j has no transcript of run 9"),
        (("JOB", "--lines", "0"), "--lines 0: must be at least 1"),
    ],
)
def test_what_is_not_there_is_said_with_a_hint(cli: Run, job: Path, arguments: tuple[str, ...], cause: str) -> None:
    done = cli("show", *(argument.replace("JOB", str(job)) for argument in arguments))
    assert done.returncode == 2 and cause in done.stderr and "hint: " in done.stderr and done.stdout == ""


def test_results_that_were_cut_off_are_explained(cli: Run, job: Path) -> None:
    (job / "results.json").write_text('{"job": {}, "totals": {}, "lock": {}, "runs": [{"number": "x"}]}')
    done = cli("show", str(job))
    assert done.returncode == 2 and "does not have the form of a job's results" in done.stderr


def in_a_terminal(project: Path, *arguments: str, **environment: str) -> str:
    """What the program writes to a terminal of its own."""
    ours, theirs = pty.openpty()
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", *arguments], cwd=project, env={**kept, "TERM": "xterm", **environment},
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    written = b""
    while select.select([ours], [], [], 60.0)[0]:
        try:
            part = os.read(ours, 65_536)
        except OSError:  # the terminal's other end is closed
            break
        written += part
        if not part:
            break
    assert process.wait(timeout=60) == 0, written
    os.close(ours)
    return written.decode()


@pytest.mark.slow
def test_a_terminal_gets_colours_and_a_pager_that_shows_them(project: Path, job: Path, tmp_path: Path) -> None:
    paged = tmp_path / "paged"
    in_a_terminal(project, "show", str(job), "1", PAGER=f"cat > {paged}; echo $LESS >> {paged}; true")
    assert "\x1b[" in paged.read_text() and paged.read_text().endswith("-RFX\n")
    plain = in_a_terminal(project, "show", str(job), "1", "--no-pager", PAGER="false")
    assert "\x1b[" in plain and "Turn 1" in plain


@pytest.mark.slow
def test_no_color_is_honoured(project: Path, job: Path) -> None:
    text = in_a_terminal(project, "show", str(job), "1", "--no-pager", NO_COLOR="1")
    assert "\x1b[36m" not in text and "$ seq 40" in text
