"""Tasks in the shapes of Harbor's, imported and played: who solves them passes, who does nothing or forges does not."""

import importlib.util
import json
import shutil
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from runner.bridges.harbor_import import import_task
from runner.bridges.harbor_task import read_harbor_task
from runner.cli.import_task import bases_of
from runner.faults import ImageFault
from runner.job.api import grade, run_job
from runner.job.task_check.check_task import check_folder, check_in_containers
from runner.records.run import Run
from runner.sandbox.engine import Engine
from runner.settings import Settings
from tests.bridges.harbor_examples import BASES, EXAMPLES, REWARD, SHARED, WORKSPACE, write

Files = Mapping[str, str]
Import = Callable[[str, Files], Path]


@pytest.fixture(scope="module")
def imported(engine: Engine, images: None, tmp_path_factory: pytest.TempPathFactory) -> Import:
    """Imports a task once; the folder of ours."""
    made: dict[str, Path] = {}

    def get(name: str, files: Files) -> Path:
        if name not in made:
            top = tmp_path_factory.mktemp(name)
            source, folder = write(top / "harbor", files), top / "task"
            task = read_harbor_task(source)
            import_task(engine, task, folder, source, bases_of(BASES), Settings(), print, network=False)
            made[name] = folder
        return made[name]

    return get


def play(task: Path, output: Path, agent: str) -> Run:
    """One run of a task, and how it ended."""
    settings = Settings(output=output)
    (run,) = run_job(str(task), 1, agent=agent, settings=settings, analysis=False, report=False).runs
    return run


def play_commands(task: Path, tmp_path: Path, *commands: str) -> Run:
    """The same of an agent that runs these commands, and submits."""
    folder = Path(shutil.copytree(task, tmp_path / "task"))
    calls = "".join(
        f'[[turns.calls]]\ntool = "bash"\ninput = {{ command = {json.dumps(text)} }}\n' for text in commands
    )
    submit = '[[turns]]\n[[turns.calls]]\ntool = "submit"\ninput = { path = "." }\n'
    (folder / "episodes").mkdir()
    (folder / "episodes" / "01.toml").write_text(f"[[turns]]\n{calls}{submit}")
    return play(folder, tmp_path / "output", "scripted")


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_oracle_passes_and_the_no_op_does_not(imported: Import, tmp_path: Path, name: str) -> None:
    task = imported(name, EXAMPLES[name])
    solved, untouched = (play(task, tmp_path, agent) for agent in ("oracle", "noop"))
    assert solved.outcome.kind == "passed", solved.outcome.reason
    assert untouched.outcome.kind == "inaccurate" and "Reward 0.0000" in untouched.outcome.reason
    assert solved.submission is not None and untouched.episode is not None
    lock = json.loads(next(tmp_path.glob("*/lock.json")).read_text())
    assert lock["task"]["imported"]["bases"]["ubuntu:24.04"] == "base"


def test_an_agent_finds_what_the_image_holds_and_nothing_of_the_tests(imported: Import, tmp_path: Path) -> None:
    look = "pwd; cat data.txt link.txt; ls -d /tests /solution/* 2>&1; ls -A /logs; id -u"
    run = play_commands(imported("workspace", WORKSPACE), tmp_path, look)
    transcript = next(tmp_path.glob("output/*/run_1/transcript.jsonl"))
    said = next(event["text"] for line in transcript.open() if (event := json.loads(line))["event"] == "answer")
    assert said.splitlines()[:3] == ["/workspace", "21", "21"] and said.count("No such file") == 2
    assert "check.py" not in said and "\n0\n" not in said and run.outcome.kind == "inaccurate"


FORGERIES = {
    "reward": "echo 1 > /logs/verifier/reward.txt; echo '{\"reward\": 1}' > /logs/verifier/reward.json",
    "link for the log folder": "rm -rf /workspace/.logs && mkdir away && echo 1 > away/reward.txt && "
    "ln -s /workspace/app/away /workspace/.logs; mkdir -p /logs/verifier; echo 1 > /logs/verifier/reward.txt",
    "a log folder in the work": "mkdir -p logs/verifier .logs/verifier && echo 1 > logs/verifier/reward.txt; "
    "echo 1 > .logs/verifier/reward.txt",
    "start-up files": "for name in conftest sitecustomize usercustomize; do "
    'echo \'open("/logs/verifier/reward.json", "w").write("{\\"reward\\": 1}")\' > $name.py; done',
    "home": "mkdir -p /workspace/.config; echo 'echo hello > /app/hello.txt' > /workspace/.bashrc; "
    "cp /workspace/.bashrc /workspace/.profile; cp /workspace/.bashrc .bashrc",
}


@pytest.mark.parametrize("name", FORGERIES)
def test_what_an_agent_forges_beside_its_work_is_worth_nothing(imported: Import, tmp_path: Path, name: str) -> None:
    run = play_commands(imported("shared", SHARED), tmp_path, FORGERIES[name])
    refused = name == "link for the log folder"
    assert run.outcome.kind == ("no_submission" if refused else "inaccurate"), run.outcome


def test_a_link_among_the_work_is_refused_and_nothing_is_read_through_it(imported: Import, tmp_path: Path) -> None:
    run = play_commands(imported("shared", SHARED), tmp_path, "ln -s /etc/passwd hello.txt")
    assert run.outcome.kind == "no_submission"


def mended(body: str) -> str:
    """A command that writes a double.py which does something else before it answers wrong."""
    return f"cat > double.py <<'END'\n{body}\ndef double(value):\n    return value\nEND"


WRITE = "open('/logs/verifier/reward.txt', 'w').write('1')"
WRITE_JSON = "open('/logs/verifier/reward.json', 'w').write('{\"reward\": 1}')"
AT_TEST_TIME = {
    "a process that goes on": (
        f"import os, time\nif os.fork() == 0:\n    os.setsid()\n    while True:\n        {WRITE}\n",
        "unsafe",
        "still at work",
    ),
    "an end of the script": (
        f"import os, time\n{WRITE}\nos.kill(os.getppid(), 9)\ntime.sleep(60)\n",
        "unsafe",
        "still at work",
    ),
    "another log folder": (
        "import os\nos.rename('/logs/verifier', '/logs/old')\nos.mkdir('/logs/verifier')\n" + WRITE,
        "bad_answer",
        "another folder",
    ),
    "no log folder": ("import shutil\nshutil.rmtree('/logs/verifier')", "bad_answer", "is gone"),
    "a reward that is none": (
        "import os\nopen('/logs/verifier/reward.json', 'w').write('{\"reward\": NaN}')",
        "bad_answer",
        "is not a finite number",
    ),
    "a reward in the other format": (WRITE_JSON, "bad_answer", "says another one"),
    "a reward that cannot be changed": (
        f"import os\n{WRITE_JSON}\nos.chmod('/logs/verifier/reward.json', 0o444)\nos.chmod('/logs/verifier', 0o555)",
        "bad_answer",
        "cannot be written",
    ),
    "a reward, and no room for another": (
        f"{WRITE_JSON}\ntry:\n    for number in range(10**6):\n        open(f'/workspace/{{number}}', 'w').close()\n"
        "except OSError:\n    pass",
        "bad_answer",
        "the workspace is full",
    ),
    "a link for the reward": (
        "import os\nopen('/logs/one', 'w').write('{\"reward\": 1}')\nos.symlink('/logs/one', '/logs/verifier/reward.json')",
        "bad_answer",
        "is a link",
    ),
    "other tests": ("open('/tests/check.py', 'w').write('')", "inaccurate", "Reward 0.0000"),
}


@pytest.mark.parametrize("name", AT_TEST_TIME)
def test_what_the_work_does_while_it_is_tested_is_caught(imported: Import, tmp_path: Path, name: str) -> None:
    body, outcome, says = AT_TEST_TIME[name]
    run = play_commands(imported("workspace", WORKSPACE), tmp_path, mended(body))
    assert (run.outcome.kind, says in run.outcome.reason) == (outcome, True), run.outcome


def pytest_files() -> Files:
    """pytest itself as files of an image, since a build has no network."""
    alone = importlib.util.find_spec("py")
    assert alone is not None and alone.origin
    found = {"environment/site/py.py": Path(alone.origin).read_text(encoding="utf-8")}
    for name in ("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments"):
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.submodule_search_locations
        top = Path(next(iter(spec.submodule_search_locations)))
        for path in top.rglob("*.py"):
            found[f"environment/site/{name}/{path.relative_to(top).as_posix()}"] = path.read_text(encoding="utf-8")
    return found


def test_a_planted_conftest_and_planted_settings_of_pytest_change_no_verdict(imported: Import, tmp_path: Path) -> None:
    files = {
        **SHARED,
        **pytest_files(),
        "task.toml": 'version = "1.0"\n',
        "environment/Dockerfile": "FROM ubuntu:24.04\nCOPY site /opt/site/\nWORKDIR /app\nCOPY test_it.py tests/\n"
        "RUN echo /opt/site > $(python3 -c 'import site; print(site.getsitepackages()[0])')/site.pth\n",
        "environment/test_it.py": "def test_it():\n    assert open('hello.txt').read() == 'hello\\n'\n",
        "tests/test.sh": "#!/bin/bash\ncd /app\n"
        + REWARD.format(test="python3 -m pytest -q -p no:cacheprovider /app/tests"),
        "solution/solve.sh": "#!/bin/bash\necho hello > hello.txt\n",
    }
    task = imported("pytest", files)
    solved = play(task, tmp_path / "oracle", "oracle")
    assert solved.outcome.kind == "passed", solved.grading
    hook = "def pytest_runtest_call(item): item.obj = lambda: None\\ndef pytest_pyfunc_call(pyfuncitem): return True\\n"
    planted = [
        f"printf '{hook}' > conftest.py; cp conftest.py tests/; cp conftest.py evil.py",
        "printf '[pytest]\\naddopts = -p evil\\n' > pytest.ini",
        "mkdir evil-1.dist-info; printf '[pytest11]\\nevil = evil\\n' > evil-1.dist-info/entry_points.txt; "
        "printf 'Name: evil\\nVersion: 1\\n' > evil-1.dist-info/METADATA",
    ]
    run = play_commands(task, tmp_path, *planted)
    assert run.outcome.kind == "inaccurate" and run.grading is not None
    (finding,) = [found for found in run.grading.findings if found.check == "tests-unsteered"]
    assert finding.mark == "warn" and "app/conftest.py" in finding.text and "app/tests/conftest.py" in finding.text


def test_tests_that_give_no_reward_for_anything_are_the_tasks_own_fault(imported: Import, tmp_path: Path) -> None:
    for number, script in enumerate(("true", "echo > /logs/verifier/reward.txt", "sleep 600 & true", "kill -9 $$"), 1):
        files = {**SHARED, "tests/test.sh": f"#!/bin/bash\n{script}\n"}
        run = play(imported(f"broken {number}", files), tmp_path, "oracle")
        assert run.outcome.kind == "infrastructure" and "untouched workspace" in run.outcome.reason, script


def test_a_folder_laid_out_as_the_workspace_is_graded_without_an_agent(imported: Import, tmp_path: Path) -> None:
    task = imported("shared", SHARED)
    write(tmp_path / "right", {"app/hello.txt": "hello\n", "beside.txt": "not collected"})
    write(tmp_path / "wrong", {"app/hello.txt": "no\n", ".logs/verifier/reward.txt": "1"})
    found = grade([tmp_path / "right", tmp_path / "wrong", b"no files"], str(task))
    assert [one.outcome.kind for one in found] == ["passed", "inaccurate", "bad_answer"]
    assert [one.reward for one in found] == [1.0, 0.0, 0.0]


def test_two_imports_of_one_task_make_one_image_and_the_same_task(
    imported: Import, engine: Engine, tmp_path: Path
) -> None:
    first = imported("shared", SHARED)
    source = first.with_name("harbor")
    again = import_task(
        engine, read_harbor_task(source), tmp_path / "again", source, bases_of(BASES), Settings(), print, network=False
    )
    assert (first / "task.toml").read_text() == (again.task.folder / "task.toml").read_text()
    assert not stat.S_IMODE((again.task.folder / "task.toml").stat().st_mode) & 0o022


def test_an_image_that_is_not_here_is_named_with_what_stands_in_its_place(engine: Engine, tmp_path: Path) -> None:
    files = {**WORKSPACE, "environment/Dockerfile": "FROM nowhere.invalid/x:1\nWORKDIR /app\n"}
    source = write(tmp_path / "harbor", files)
    with pytest.raises(ImageFault) as fault:
        import_task(engine, read_harbor_task(source), tmp_path / "t", source, {}, Settings(), print, network=False)
    assert "nowhere.invalid/x:1" in fault.value.cause and "--base 'nowhere.invalid/x:1=base'" in fault.value.hint
    assert not (tmp_path / "t").exists()


def test_check_proves_an_imported_task_by_its_solution_and_by_nothing(
    imported: Import, engine: Engine, tmp_path: Path
) -> None:
    task = imported("workspace", WORKSPACE)
    sound, remarks = check_folder(task, "full", 3)
    assert sound is not None and [remark.mark for remark in remarks] == ["ok"]
    found = list(check_in_containers(engine, Settings(), sound, 1.0, lambda step: None, lambda text: None))
    assert [(remark.check, remark.mark) for remark in found] == [("solution", "ok"), ("nothing done", "ok")], found
