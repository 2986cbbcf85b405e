"""The main job through the command line: real containers, real tools, real measurement, at a small scale."""

import json
import math
import resource
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from xml.etree import ElementTree

import pytest

from runner.grading.hiccups import counted_samples
from runner.sandbox.engine import Engine
from runner.store.results import read_run
from tests.conftest import CRASHES, Cli, containers_of, wait_until

SMALL = ("--task", "slow_nbody", "--scale", "small")


@pytest.fixture(scope="module")
def job(played_job: tuple[Path, CompletedProcess[str]]) -> tuple[Path, CompletedProcess[str]]:
    """One job of four scripted episodes; its folder and what it said."""
    return played_job


@pytest.fixture(scope="module")
def results(job: tuple[Path, CompletedProcess[str]]) -> dict[str, Any]:
    return json.loads((job[0] / "results.json").read_text())  # type: ignore[no-any-return]


def test_scripted_episodes_come_out_as_their_files_deserve(
    job: tuple[Path, CompletedProcess[str]], results: dict[str, Any]
) -> None:
    assert job[1].returncode == 0, job[1].stderr
    assert [run["outcome"] for run in results["runs"]] == ["passed", "too_slow", "no_submission", "passed"]
    assert [run["reward"] for run in results["runs"]] == [1.0, 0.0, 0.0, 1.0]
    totals = results["totals"]
    assert (totals["runs"], totals["counted"], totals["passed"], totals["failed"]) == (4, 4, 2, 2)
    assert totals["pass_rate"] == 0.5 and totals["dollars"] == 0.0 and totals["seconds"] > 0


def test_the_job_ends_with_a_page_of_it(job: tuple[Path, CompletedProcess[str]]) -> None:
    assert job[1].stdout.splitlines()[-1] == f"Report: {job[0] / 'report.html'}"
    page = (job[0] / "report.html").read_text()
    assert page.count('<details class="run"') == 4 and "Convergence" in page and "<ins>" in page


def test_the_figures_come_from_the_samples_beside_them(results: dict[str, Any]) -> None:
    for run in (run for run in results["runs"] if run["samples"]):
        grading = read_run(run).grading
        assert grading is not None and grading.measurement is not None
        samples = grading.measurement.samples
        # What the host held up counts by its repeats.
        counted = [*(s for s in samples if s.side == "baseline"), *counted_samples(samples, run["number"])]
        rounds: dict[int, dict[bool, list[float]]] = {}
        for sample in counted:
            rounds.setdefault(sample.round, {}).setdefault(sample.side == "baseline", []).append(sample.seconds)
        # An audit has no baseline: it is held to the others, and the estimate does not count it.
        differences = [
            statistics.fmean(map(math.log, sides[True])) - statistics.fmean(map(math.log, sides[False]))
            for sides in rounds.values()
            if True in sides
        ]
        assert run["speedup"]["estimate"] == pytest.approx(math.exp(sum(differences) / len(differences)))
        assert run["speedup"]["low"] <= run["speedup"]["estimate"] <= run["speedup"]["high"]
        assert len(run["seeds"]) == len(rounds) and len(differences) == run["speedup"]["rounds"] >= 1


def test_agent_baseline_and_candidate_were_the_same_kind_of_container(results: dict[str, Any]) -> None:
    for run in (run for run in results["runs"] if run["samples"]):
        enforced = run["enforced"]
        assert set(enforced) == {"agent", "baseline", "candidate"}
        assert enforced["agent"] == enforced["baseline"] == enforced["candidate"]
        assert enforced["agent"]["host_config"]["PidsLimit"] == 128


def test_the_folder_holds_everything(job: tuple[Path, CompletedProcess[str]], results: dict[str, Any]) -> None:
    import hashlib

    folder = job[0]
    assert (folder.parent / "latest").resolve() == folder
    assert json.loads((folder / "job.json").read_text())["runs"] == 4
    lock = json.loads((folder / "lock.json").read_text())
    assert {part["name"] for part in lock["image"]["sbom"]["components"]} >= {"numpy", "libc6"}
    assert lock["image"]["id"].startswith("sha256:") and len(lock["task"]["sha256"]) == 64
    for number in (1, 2, 4):
        kept = folder / f"run_{number}" / "optimized_nbody.py"
        assert hashlib.sha256(kept.read_bytes()).hexdigest() == results["runs"][number - 1]["submission"]["sha256"]
    assert not (folder / "run_3" / "optimized_nbody.py").exists()


def test_every_tool_call_is_in_the_transcript_with_its_answer(job: tuple[Path, CompletedProcess[str]]) -> None:
    lines = (job[0] / "run_1" / "transcript.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    asked = [call["id"] for event in events if event["event"] == "turn" for call in event["calls"]]
    assert asked == [event["call"] for event in events if event["event"] == "answer"]
    assert events[-1]["event"] == "end" and events[-1]["ending"] == "submitted"
    assert any("largest error" in event.get("text", "") for event in events)


def test_the_report_is_on_stdout_and_progress_on_stderr(job: tuple[Path, CompletedProcess[str]]) -> None:
    done = job[1]
    for line in ("Running 4 test iterations", "Pass Rate: 50.0%", "✓ Run 1: SUCCESS", "✗ Run 3: FAILURE - No answer"):
        assert line in done.stdout
    assert "the scripted episodes" in done.stderr
    assert "run 1: episode over (submitted, " in done.stderr and "[00:" not in done.stdout
    assert "\x1b" not in done.stderr  # no terminal: plain lines


def test_into_a_pipe_progress_is_a_line_a_round_and_a_few_for_each_run(job: tuple[Path, CompletedProcess[str]]) -> None:
    lines = job[1].stderr.splitlines()
    rounds = [line for line in lines if "round " in line]
    assert any("round 1: warming" in line for line in rounds) and len(rounds) == len(set(rounds))
    assert not any("measuring" in line for line in rounds) and len(lines) - len(rounds) <= 20, job[1].stderr


def test_json_is_the_only_thing_on_stdout_when_asked_for_and_a_low_pass_rate_is_exit_1(
    cli: Callable[..., CompletedProcess[str]], tmp_path: Path, broken_task: Path
) -> None:
    flags = ("--json", "--quiet", "--fail-under", "0.5", "--output", str(tmp_path))
    done = cli("--runs", "1", "--task", str(broken_task), "--scale", "small", *flags)
    assert json.loads(done.stdout)["runs"][0]["outcome"] == "crashed"
    assert done.returncode == 1


def test_grade_prints_one_run_as_json_and_a_seed_replays_its_data(
    cli: Callable[..., CompletedProcess[str]], project: Path
) -> None:
    file = str(project / "problem_data" / "slow_nbody" / "solution" / "optimized_nbody.py")
    first = json.loads(cli("grade", file, *SMALL, "--json", "--quiet").stdout)
    assert first["outcome"] == "passed" and first["speedup"]["low"] > 3.0
    again = json.loads(
        cli("grade", file, *SMALL, "--json", "--quiet", "--max-rounds", "2", "--seed", first["seeds"][0]).stdout
    )
    assert again["seeds"][0] == first["seeds"][0] and again["seeds"][1] != first["seeds"][1]


def test_ctrl_c_keeps_and_reports_what_is_finished(start: Cli, engine: Engine, tmp_path: Path, sleepy: Path) -> None:
    process = start("--runs", "2", "--concurrency", "1", "--task", str(sleepy), "--scale", "small", "--grade-after", "0",
                    "--name", "stopped", "--output", str(tmp_path))  # fmt: skip
    results = tmp_path / "stopped" / "results.json"
    assert process.stdout is not None and process.stderr is not None
    assert any("✗ Run 1: FAILURE" in line for line in process.stdout)
    wait_until(lambda: containers_of(engine, "stopped") == ["agent"])
    process.send_signal(signal.SIGINT)
    out, err = process.stdout.read(), process.stderr.read()
    assert process.wait(30) == 130, err
    assert "Not finished: 1 of 2 runs" in out and "what is finished is kept" in err
    assert [run["outcome"] for run in json.loads(results.read_text())["runs"]] == ["crashed"]
    assert containers_of(engine, "stopped") == []


def test_ctrl_c_keeps_a_submission_that_was_not_graded_yet(
    start_ungraded: Cli, engine: Engine, tmp_path: Path, sleepy: Path
) -> None:
    process = start_ungraded("--runs", "2", "--concurrency", "2", "--task", str(sleepy), "--scale", "small",
                             "--grade-after", "end", "--name", "kept", "--output", str(tmp_path))  # fmt: skip
    submission = tmp_path / "kept" / "run_1" / "optimized_nbody.py"
    wait_until(submission.exists, 60)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert submission.read_text() == CRASHES
    assert containers_of(engine, "kept") == []


def test_the_agent_that_ruins_its_sandbox_has_failed_and_the_job_goes_on(
    cli_ungraded: Callable[..., CompletedProcess[str]], tmp_path: Path, make_task: Callable[..., Path]
) -> None:
    task = make_task(
        'python3 -c \\"x = bytearray(1 << 40)\\"; :', "head -c 600000000 /dev/zero > /workspace/full; echo kept on"
    )
    done = cli_ungraded(
        "--runs", "2", "--task", str(task), "--scale", "small", "--name", "ruin", "--output", str(tmp_path)
    )
    outcomes = [run["outcome"] for run in json.loads((tmp_path / "ruin" / "results.json").read_text())["runs"]]
    assert outcomes == ["no_submission", "no_submission"] and done.returncode == 0


def test_a_container_that_somebody_removes_is_infrastructure(
    start_ungraded: Cli, engine: Engine, tmp_path: Path, make_task: Callable[..., Path]
) -> None:
    task = make_task("sleep 60")
    process = start_ungraded(
        "--runs", "1", "--task", str(task), "--scale", "small", "--name", "removed", "--output", str(tmp_path)
    )
    wait_until(lambda: bool(engine.client.api.containers(filters={"label": "runner.job=removed"})))
    found = engine.client.api.containers(filters={"label": "runner.job=removed"})
    wait_until(lambda: "sleep 60" in str(engine.client.api.top(found[0]["Id"])))
    engine.client.api.remove_container(found[0]["Id"], force=True)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 3 and "was killed from outside" in out
    run = json.loads((tmp_path / "removed" / "results.json").read_text())["runs"][0]
    assert (run["outcome"], run["reward"]) == ("infrastructure", None)


@pytest.mark.usefixtures("measuring_cpu")
def test_a_disk_that_fills_up_ends_the_job_with_its_cause_and_keeps_whole_files(
    project: Path, tmp_path: Path, nbody_spec: object
) -> None:
    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))  # over lock.json, under results.json

    flags = ("--agent", "noop", "--max-rounds", "1", "--name", "full", "--output", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "runner", "--runs", "1", *SMALL, *flags], cwd=project, capture_output=True, text=True,
        timeout=120, check=False, preexec_fn=small_files,
    )  # fmt: skip
    assert done.returncode == 3
    assert "results.json cannot be written: File too large" in done.stderr and "make room" in done.stderr
    assert json.loads((tmp_path / "full" / "results.json").read_text())["job"]["name"] == "full"


@pytest.fixture
def sleepy(make_task: Callable[..., Path]) -> Path:
    """Run 1 submits at once, run 2 sleeps."""
    return make_task("echo x = 1 > optimized_nbody.py", "sleep 60", submits=[1])


def test_a_ci_is_told_of_a_job_as_its_results_have_it(
    cli: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    junit, summary = tmp_path / "junit.xml", tmp_path / "summary.md"
    flags = (*SMALL, "--runs", "1", "--agent", "noop", "--name", "a", "--output", str(tmp_path), "--junit", str(junit))
    done = cli(*flags, "--no-analysis", "--no-report", env={"GITHUB_STEP_SUMMARY": str(summary)})
    (run,) = json.loads((tmp_path / "a" / "results.json").read_text())["runs"]
    (case,) = ElementTree.parse(junit).getroot().findall("./testsuite/testcase")
    failure = case.find("failure")
    assert done.returncode == 0 and failure is not None
    assert (failure.get("type"), failure.get("message")) == (run["outcome"], run["reason"])
    assert "0 of 1 passed" in summary.read_text() and done.stderr.count("::error title=") == 1
