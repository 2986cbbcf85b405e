"""Tasks whose submission is a program: a job of each, with a speed target and without."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

Run = Callable[..., CompletedProcess[str]]


def play(run: Run, task: str, output: Path) -> tuple[list[dict[str, Any]], CompletedProcess[str]]:
    flags = ("--scale", "small", "--agent", "scripted", "--name", "three", "--output", str(output))
    done = run("--task", task, "--runs", "3", *flags)
    assert done.returncode == 0, done.stderr
    return json.loads((output / "three" / "results.json").read_text())["runs"], done


def test_hidden_cases_alone_decide_where_there_is_no_speed_target(cli: Run, tmp_path: Path) -> None:
    runs, done = play(cli, "hidden_expressions", tmp_path)
    assert [run["outcome"] for run in runs] == ["passed", "crashed", "inaccurate"]
    assert len(runs[0]["quality"]["rounds"]) == 3 and {sample["side"] for sample in runs[0]["samples"]} == {"candidate"}
    assert "ZeroDivisionError" in runs[1]["reason"] or "SyntaxError" in runs[1]["reason"]
    assert all(run["speedup"] is None for run in runs) and "Speedup" not in done.stdout
    assert (tmp_path / "three" / "run_1" / "calc").read_bytes().startswith(b"runner files 1\n")
    assert "only regular files count" in (tmp_path / "three" / "run_3" / "transcript.jsonl").read_text()
    again = cli("regrade", str(tmp_path / "three"), "--offline")
    assert again.returncode == 0, again.stdout + again.stderr


def test_a_program_with_a_speed_target_is_built_and_measured(cli: Run, tmp_path: Path) -> None:
    runs, _ = play(cli, "slow_pairs", tmp_path)
    assert runs[0]["outcome"] == "passed" and runs[0]["speedup"]["low"] > 4.0
    assert runs[1]["outcome"] == "too_slow" and runs[1]["speedup"]["high"] < 4.0
    assert runs[2]["outcome"] == "build_failed" and "expected" in runs[2]["reason"] and runs[2]["samples"] == []
    assert len(runs[2]["reason"]) < 5000
