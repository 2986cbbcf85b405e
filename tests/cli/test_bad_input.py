"""Bad input: a clear error that names the cause and a hint, exit 2 (or 3 for the host), and nothing begun."""

import errno
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from runner.tasks.starter import write_starter

Run = Callable[..., CompletedProcess[str]]


@pytest.mark.parametrize(
    ("arguments", "cause", "hint"),
    [
        (("--runs", "0"), "--runs 0: must be at least 1", "--help` lists"),
        (("--runs", "-3"), "--runs -3: must be at least 1", "--help` lists"),
        (("--concurrency", "-1"), "--concurrency -1: must be at least 0", "--help` lists"),
        (("--max-rounds", "0"), "--max-rounds 0: must be at least 1", "--help` lists"),
        (("--fail-under", "40"), "--fail-under 40: must be at most 1", "--help` lists"),
        (("--task", "slow_nbodi"), "no task 'slow_nbodi'", "did you mean slow_nbody?"),
        (("--scale", "tiny"), "has no scale 'tiny'", "full, small"),
        (("--agent", "clever"), "no agent 'clever'", "model, command, human, scripted, oracle, noop, replay:PATH"),
        (("--grade-after", "soon"), "--grade-after: soon is neither a number of seconds nor `end`", "--help` lists"),
        (("--name", "a/b"), "'a/b' cannot be the name of a job", "use letters"),
        (("grade", "nowhere.py"), "nowhere.py is not a file", "name the file"),
        (("grade", "a" * 300), "is too long for a path", "a shorter one"),
        (("--task", "a" * 5000), "is too long for a path", "a shorter one"),
        (("--resume", "a" * 300), "is too long for a path", "a shorter one"),
        (("--agent", "a" * 300 + ".py:X"), "is too long for a path", "a shorter one"),
        (("--name", "a" * 300), "is too long for the name of a job", "at most 200"),
        (("grade",), "Missing argument", "runner grade --help` lists"),
        (("--api", "soap"), "--api soap: 'soap' is not one of 'anthropic', 'openai'", "--help` lists"),
        (("--agent", "model", "--base-url", "me:secret@host"), "--base-url '***@host' is not a URL", "https://host"),
        (("--time-limit", "inf"), "--time-limit inf: must be greater than 0 and finite", "default"),
        (("selftest", "--only", "witness-ofset"), "no case witness-ofset", "did you mean witness-offset"),
        (("grade", "."), ". is not a file", "name the file"),
        (("grade", "README.md", "--seed", "x"), "--seed: x is not a seed", "runner grade --help` lists"),
        (("grade", "README.md", "--seed", "-1"), "-1 is not a seed", "runner grade --help` lists"),
    ],
)
def test_a_wrong_flag_is_explained_and_begins_nothing(
    in_process: Run, tmp_path: Path, arguments: tuple[str, ...], cause: str, hint: str
) -> None:
    where = () if arguments[0] in ("grade", "selftest") else ("--output", str(tmp_path))
    done = in_process(*arguments, *where)
    assert done.returncode == 2, done.stderr
    assert cause in done.stderr and "hint: " in done.stderr and hint in done.stderr
    assert done.stdout == "" and list(tmp_path.iterdir()) == []


def test_an_unknown_flag_and_a_wrong_number_are_usage_errors(plain_cli: Run) -> None:
    for arguments in (("--rums", "3"), ("--runs", "three")):
        done = plain_cli(*arguments)
        assert done.returncode == 2 and arguments[0] in done.stderr


def test_a_job_folder_that_exists_is_left_alone(in_process: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note").write_text("precious")
    done = in_process("--task", "slow_nbody", "--name", "mine", "--output", str(tmp_path))
    assert done.returncode == 2 and "exists already" in done.stderr
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["note"]


def test_an_output_that_cannot_be_written_is_explained(in_process: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = in_process("--task", "slow_nbody", "--output", str(tmp_path / "file"))
    assert done.returncode == 2 and "is not a directory" in done.stderr and "--output" in done.stderr


def test_an_engine_that_is_not_there_is_infrastructure(plain_cli: Run, tmp_path: Path) -> None:
    nowhere = {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    done = plain_cli("--task", "slow_nbody", "--output", str(tmp_path / "out"), env=nowhere)
    assert done.returncode == 3 and "there is no engine socket" in done.stderr and "hint: " in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_image_that_cannot_be_built_is_infrastructure(cli_ungraded: Run, tmp_path: Path) -> None:
    (tmp_path / "images" / "base").mkdir(parents=True)
    (tmp_path / "images" / "base" / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nRUN exit 3\n")
    done = cli_ungraded(
        *("--task", "slow_nbody", "--output", str(tmp_path / "out")), env={"RUNNER_IMAGES": str(tmp_path / "images")}
    )
    assert done.returncode == 3 and "cannot be built" in done.stderr and "returned a non-zero code: 3" in done.stderr


def test_a_file_that_is_too_large_is_refused(in_process: Run, tmp_path: Path) -> None:
    (tmp_path / "large.py").write_bytes(b"#" * 70_000)
    done = in_process("grade", str(tmp_path / "large.py"), "--task", "slow_nbody")
    assert done.returncode == 2 and "70000 bytes, the task allows 65536" in done.stderr


@pytest.mark.parametrize("command", [("--runs", "1"), ("grade", "{folder}/baseline.py")])
def test_data_that_differ_between_two_makes_of_one_seed_stop_it_before_anything_starts(
    in_process: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    folder, output = tmp_path / "my task", tmp_path / "out"
    write_starter(folder, "python")
    problem = folder / "problem.py"
    problem.write_text(problem.read_text().replace("draw.random((", "np.random.default_rng().random(("))
    arguments = [word.format(folder=folder) for word in command] + ["--task", str(folder)]
    done = in_process(*arguments, env={"RUNNER_OUTPUT": str(output)})
    assert done.returncode == 2 and not output.exists()
    assert f"{problem}: make gives other data for the same seed: points, counts" in done.stderr
    assert "generators(seed, count) of runner.tasks" in done.stderr


def test_help_names_every_flag_and_every_exit_status(plain_cli: Run) -> None:
    said = " ".join((plain_cli("--help").stdout + plain_cli("run", "--help").stdout).split())
    for words in (
        "--runs",
        "--task",
        "--scale",
        "--agent",
        "--concurrency",
        "--json",
        "grade",
        "doctor",
        "130 interrupted",
    ):
        assert words in said


def test_what_may_not_be_read_is_a_usage_error_and_no_failure_of_ours(
    in_process: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refused(*given: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", "/closed/task")

    monkeypatch.setattr("runner.cli.check.check", refused)
    done = in_process("check", str(tmp_path))
    assert done.returncode == 2 and "error: /closed/task: Permission denied" in done.stderr
    assert "Traceback" not in done.stderr
