"""Bad input: a clear error that names the cause and a hint, exit 2 (or 3 for the host), and nothing begun."""

import errno
import os
import shutil
import stat
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


EMPTY = {
    "a flag of the main job": (("--agent", ""), "--agent is empty"),
    "a flag with an equals sign": (("--name=",), "--name is empty"),
    "a job to go on with": (("--resume", ""), "--resume is empty"),
    "a file to write": (("report", "{job}", "--output", ""), "--output is empty"),
    "a job": (("show", ""), "an argument is empty"),
    "a run": (("show", "{job}", ""), "an argument is empty"),
    "all": (("",), "an argument is empty"),
}


@pytest.mark.parametrize("kind", EMPTY)
def test_an_empty_argument_is_neither_the_default_nor_the_working_directory(
    in_process: Run, project: Path, kind: str
) -> None:
    arguments, cause = EMPTY[kind]
    job = project / "tests" / "old_jobs" / "schema_1"
    done = in_process(*(word.format(job=job) for word in arguments))
    assert done.returncode == 2 and f"error: {cause}\n" in done.stderr and done.stdout == ""


def test_where_an_empty_value_says_something_it_is_taken(in_process: Run) -> None:
    done = in_process("--runtime", "", "--agent", "noop", "--dry-run", env={"RUNNER_RUNTIME": "crun"})
    assert done.returncode == 3 and "there is no engine socket" in done.stderr
    done = in_process("--agent", "command", "--command", "--shown=", "--dry-run")
    assert done.returncode == 2 and "no model credentials" in done.stderr


@pytest.fixture(params=["a pipe", "a link to a pipe", "a link to an open file"])
def special(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """What may not be replaced by a file; devices are pipes here, since a failing test would take one from the machine."""
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    if request.param == "a pipe":
        return pipe
    link.symlink_to(pipe if request.param == "a link to a pipe" else "/proc/self/fd/1")
    return link


@pytest.mark.parametrize(
    "command",
    [
        ("report", "{job}", "--output"),
        ("export", "{job}", "--run", "1", "--output"),
        ("export", "{job}", "--format", "rollouts", "--output"),
        ("regrade", "{job}", "--offline", "--junit"),
        ("image", "save", "base", "--output"),
        ("mcp", "--output"),
    ],
    ids=lambda command: command[0] + command[-1],
)
def test_a_device_or_a_pipe_is_not_replaced_by_a_file(
    in_process: Run, project: Path, special: Path, command: tuple[str, ...]
) -> None:
    before = special.lstat()
    job = project / "tests" / "old_jobs" / "schema_1"
    done = in_process(*(word.format(job=job) for word in command), str(special))
    assert done.returncode == 2 and f"{special} is neither a file nor a folder" in done.stderr and done.stdout == ""
    after = special.lstat()
    assert (after.st_ino, stat.S_IFMT(after.st_mode)) == (before.st_ino, stat.S_IFMT(before.st_mode))


def test_a_file_that_is_there_and_a_link_to_one_are_still_replaced(
    in_process: Run, project: Path, tmp_path: Path
) -> None:
    job = project / "tests" / "old_jobs" / "schema_1"
    (tmp_path / "old.html").write_text("old")
    (tmp_path / "link.html").symlink_to("old.html")
    for name in ("old.html", "link.html", "new.html"):
        assert in_process("report", str(job), "--output", str(tmp_path / name)).returncode == 0
        assert (tmp_path / name).read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (("report", "{job}", "--output", "{folder}"), "is a folder"),
        (("analyze", "{job}", "--output", "{file}"), "is not a folder"),
        (("grade", "README.md", "--keep", "{file}"), "is not a folder"),
        (("export", "{job}", "--output", "{file}"), "its name does not end in .json"),
        (("export", "{job}", "--format", "rollouts", "--output", "{file}"), "its name does not end in .jsonl"),
        (("export", "{job}", "--scale", "small"), "--scale has no meaning for --format atif"),
        (
            ("export", "slow_nbody", "--format", "harbor", "--run", "1", "--output", "{folder}/task"),
            "--run has no meaning for --format harbor",
        ),
        (("image", "list", "--python", "python3"), "--python has no meaning for image list"),
        (("selftest", "--slower", "2"), "--slower has no meaning without --sandbox"),
        (("compare", "{job}", "{folder}/nowhere"), "has nothing to be compared with"),
        (("analyze", "{job}", "--want", "0.1..0.4"), "--want 0.1..0.4 is not a range of pass rates"),
        (("regrade", "{file}"), "{file} is not the folder of a job"),
        (("regrade", "{file}", "--offline"), "{file} is not the folder of a job"),
        (("--resume", "{folder}"), "{folder} is not the folder of a job"),
        (("--runs", "1000000000000"), "--runs: 1000000000000 is more than 100000"),
        (("--runs", "\udcff"), "is not UTF-8"),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, tuple) else None,
)
def test_what_cannot_be_meant_is_a_usage_error_before_anything_is_written(
    in_process: Run, project: Path, tmp_path: Path, arguments: tuple[str, ...], cause: str
) -> None:
    file, job = tmp_path / "file", tmp_path / "job"
    file.write_text("precious")
    shutil.copytree(project / "tests" / "old_jobs" / "schema_1", job)
    names, before = {"job": job, "folder": tmp_path, "file": file}, sorted(tmp_path.rglob("*"))
    done = in_process(*(word.format(**names) for word in arguments))
    assert done.returncode == 2 and cause.format(**names) in done.stderr and "hint: " in done.stderr
    assert "Errno" not in done.stderr and done.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before and file.read_text() == "precious"


@pytest.mark.parametrize(
    "command", [("report", "{job}", "--output"), ("export", "{job}", "--run", "1", "--output"),
                ("regrade", "{job}", "--offline", "--junit")], ids=lambda command: command[0],
)  # fmt: skip
def test_the_folder_of_a_file_to_write_is_made(
    in_process: Run, project: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    job, path = project / "tests" / "old_jobs" / "schema_1", tmp_path / "new" / "folder" / "file.json"
    assert in_process(*(word.format(job=job) for word in command), str(path)).returncode == 0
    assert path.stat().st_size > 0


def test_a_job_is_found_by_its_name_where_others_find_it(in_process: Run, project: Path) -> None:
    jobs = {"RUNNER_OUTPUT": str(project / "tests" / "old_jobs")}
    for arguments in (("show", "schema_1"), ("regrade", "schema_1", "--offline")):
        assert in_process(*arguments, env=jobs).returncode == 0, arguments
    done = in_process("regrade", "schema_2", "--offline", env=jobs)
    assert done.returncode == 2 and "schema_2/results.json does not exist" in done.stderr


def test_a_known_task_that_is_checked_by_its_name_is_pointed_to(in_process: Run, project: Path) -> None:
    done = in_process("check", "slow_nbody", "--no-containers")
    assert done.returncode == 2 and f"its folder is {project / 'problem_data' / 'slow_nbody'}" in done.stderr


def test_bytes_of_another_encoding_are_called_that(in_process: Run, tmp_path: Path) -> None:
    (tmp_path / "task.toml").write_bytes(b"[task]\nname = '\xff'\n")
    done = in_process("--task", str(tmp_path), "--dry-run")
    assert done.returncode == 2 and "is not UTF-8: byte 15 is wrong" in done.stderr
