"""Many files at once, and going on where an earlier command stopped."""

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from xml.etree import ElementTree

import pytest

from tests.conftest import Cli, wait_until

SMALL = ("--task", "slow_nbody", "--scale", "small")


def test_many_files_share_rounds_and_come_out_in_a_table(
    cli: Callable[..., CompletedProcess[str]], project: Path
) -> None:
    folder = project / "problem_data" / "slow_nbody"
    files = [str(folder / "solution" / "optimized_nbody.py"), str(folder / "baseline.py")]
    done = cli("grade", *files, *SMALL, "--quiet")
    table = done.stdout.splitlines()[-2:]
    assert [line.split()[1] for line in table] == ["passed", "too"] and table[0].endswith(files[0])
    assert done.returncode == 0


def test_a_ci_is_told_of_each_file_and_no_name_of_one_is_a_command_to_it(
    cli: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    bad = tmp_path / "##[group]\n::error::x \x1b[2J]]>`|\udcff.py"
    bad.write_text("x = 1\n")
    junit, summary = tmp_path / "junit.xml", tmp_path / "summary.md"
    done = cli("grade", str(bad), *SMALL, "--junit", str(junit), env={"GITHUB_STEP_SUMMARY": str(summary)})
    (case,) = ElementTree.parse(junit).getroot().iter("testcase")
    assert (case[0].tag, case[0].get("type")) == ("failure", "crashed")
    assert "\n::error::x \\x1b[2J]]>" in str(case.get("name"))
    assert summary.read_text().startswith("### grade") and "0 of 1 passed" in summary.read_text()
    commands = [line for line in (done.stdout + done.stderr).splitlines() if re.search(r"^\s*::|##[A-Za-z]*\[", line)]
    assert [line.split(" title=")[0] for line in commands] == ["::error", "::notice"] and done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr


def test_an_interrupted_grading_goes_on_with_what_is_left(
    start: Cli, cli: Callable[..., CompletedProcess[str]], project: Path, tmp_path: Path
) -> None:
    quick = tmp_path / "quick.py"
    quick.write_text("def simulate(**given):\n    return None\n")
    # The first round decides the quick one; the slow one takes two more, in which it is interrupted.
    slow = project / "problem_data" / "slow_nbody" / "baseline.py"
    command = ("grade", str(quick), str(slow), *SMALL, "--keep", str(tmp_path / "k"))
    results = tmp_path / "k" / "results.json"
    first = start(*command)
    wait_until(results.exists, 60)
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=60)
    assert first.returncode == 130 and "1 of 2 files are graded" in said and "--keep" in said
    kept = json.loads(results.read_text())["runs"]
    assert [run["outcome"] for run in kept] == ["bad_answer"]
    done = cli(*command, "--json")
    runs = json.loads(done.stdout)["runs"]
    assert [run["outcome"] for run in runs] == ["bad_answer", "too_slow"] and runs[0] == kept[0]
    assert "checking 1 submission(s)" in done.stderr


def test_seeds_replay_a_gradings_data_round_by_round(cli: Callable[..., CompletedProcess[str]], project: Path) -> None:
    path = str(project / "problem_data" / "slow_nbody" / "baseline.py")
    done = cli("grade", path, *SMALL, "--seed", "0x1f", "--seed", "0x2a", "--max-rounds", "3", "--json")
    seeds = json.loads(done.stdout)["seeds"]
    # A certificate that an earlier grading made decides in two rounds, which have these seeds; without one there are more.
    assert seeds[:2] == ["0x1f", "0x2a"] and len(set(seeds)) == len(seeds)


def test_results_of_another_task_are_not_mixed(
    in_process: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "k").mkdir()
    (tmp_path / "k" / "results.json").write_text(json.dumps({"task": "other", "scale": "small", "runs": []}))
    (tmp_path / "x.py").write_text("x = 1")
    done = in_process("grade", str(tmp_path / "x.py"), *SMALL, "--keep", str(tmp_path / "k"))
    assert done.returncode == 2 and "holds gradings of other" in done.stderr


def test_results_of_another_form_are_refused_by_name(
    in_process: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "k").mkdir()
    (tmp_path / "k" / "results.json").write_text("[]")
    (tmp_path / "x.py").write_text("x = 1")
    done = in_process("grade", str(tmp_path / "x.py"), *SMALL, "--keep", str(tmp_path / "k"))
    assert done.returncode == 2 and "results.json cannot be read: it is no object" in done.stderr


@pytest.mark.parametrize(
    ("content", "cause"),
    [(b"", "is empty"), (b" \n\t\n", "is empty"), (b"x = '\xff'", "is not UTF-8"), (b"#" * 70_000, "70000 bytes")],
)
def test_a_file_that_cannot_be_meant_is_refused(
    in_process: Callable[..., CompletedProcess[str]], tmp_path: Path, content: bytes, cause: str
) -> None:
    (tmp_path / "x.py").write_bytes(content)
    done = in_process("grade", str(tmp_path / "x.py"), *SMALL)
    assert done.returncode == 2 and cause in done.stderr and "hint: " in done.stderr
