"""What strikes a job from outside, at each of its stages: signals, a disk that fills up or turns read-only, an engine that
goes. The job runs as a user starts it, on an engine that is none (`tests/fakes/docker_engine.py`), so that each stage can be
met exactly. Whatever it was: the exit status says it, what is final stays, nothing is left, and the job goes on.
"""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.sandbox.leftovers import is_alive
from runner.sandbox.spec import HOLDER_LABEL
from runner.store.journal import read_journal
from tests.conftest import Cli, wait_until
from tests.environment import clean_environment
from tests.fakes.docker_engine import FakeEngine
from tests.fakes.faulty_jobs import TIMEOUT_S, answer_of, final_runs, load

pytestmark = pytest.mark.slow

INTERRUPTED, INFRASTRUCTURE = 130, 3
ENDED = (0, 5)  # one round on this engine may decide nothing
GONE_S, ENDS_S = 5.0, 300.0
RUN = tuple("--runs 2 --agent oracle --task slow_nbody --scale small --max-rounds 1 --name j".split())
SHORT = ("--no-analysis", "--no-report", "--quiet")
# What a guest is asked at each stage of a job: (program, operation).
STAGES = {
    "starting": ("reader", "packages"),
    "playing": ("toolserver", "create"),
    "checking": ("reader", "read"),
    "warming": ("driver", "setup"),
    "measuring": ("driver", "go"),
}


class Stage:
    """One request to a guest, which waits for its answer while the test does something."""

    def __init__(self, name: str) -> None:
        self.wanted = STAGES[name]
        self.reached, self.over = threading.Event(), threading.Event()

    def __call__(self, program: str, op: str) -> None:
        if (program, op) == self.wanted and not self.over.is_set():
            self.reached.set()
            self.over.wait(ENDS_S)

    def wait_for(self, process: subprocess.Popen[str]) -> None:
        """Until the job is there; where it ends before, what it said."""
        wait_until(lambda: self.reached.is_set() or process.poll() is not None, ENDS_S)
        assert self.reached.is_set(), "\n".join(process.communicate())


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeEngine]:
    with FakeEngine(tmp_path / "docker.sock", answer_of(load())) as engine:
        yield engine


@pytest.fixture
def meet(fake: FakeEngine) -> Iterator[Callable[[str], Stage]]:
    """Stops the engine's guests at a stage."""
    made: list[Stage] = []

    def meet(name: str) -> Stage:
        made.append(Stage(name))
        fake.on_request = made[-1]
        return made[-1]

    yield meet
    for stage in made:
        stage.over.set()


@pytest.fixture
def job(start_plain: Cli, fake: FakeEngine, tmp_path: Path, home: str) -> Callable[..., subprocess.Popen[str]]:
    """Starts the job, or goes on with it."""

    def start(*arguments: str, **env: str) -> subprocess.Popen[str]:
        (Path(home) / ".cache" / "runner" / "bills").exists() and _forget(Path(home))
        flags = arguments or (*RUN, "--output", str(tmp_path))
        return start_plain(*flags, *SHORT, env={"DOCKER_HOST": fake.url, "RUNNER_ENGINE_TIMEOUT_S": "2", **env})

    return start


def _forget(home: Path) -> None:
    """So that the image's bill of materials is read again, by the first sandbox of a job."""
    for path in (home / ".cache" / "runner" / "bills").iterdir():
        path.unlink()


def hold(fake: FakeEngine, folder: Path, job: Callable[..., subprocess.Popen[str]]) -> None:
    """What must hold after any end of the job, and that it goes on."""
    wait_until(lambda: all(_is_orphan(each) for each in list(fake.containers.values())), GONE_S)
    before: dict[int, Any] = {}
    if (folder / "journal.jsonl").exists():
        before = final_runs(folder / "journal.jsonl")
        again = job("--resume", str(folder))
    else:  # it had not begun
        again = job()
    out, err = again.communicate(timeout=ENDS_S)
    assert again.returncode in ENDED, out + err
    results = {run["number"]: run for run in json.loads((folder / "results.json").read_text())["runs"]}
    assert sorted(results) == sorted(final_runs(folder / "journal.jsonl")) == [1, 2]
    assert read_journal((folder / "journal.jsonl").read_bytes()).damage == ()
    assert {number: results[number] for number in before} == before
    assert fake.containers == {}


def _is_orphan(container: Any) -> bool:
    """What the next job's start removes: never started, and of a runner that is dead."""
    return container.status == "created" and is_alive(container.labels[HOLDER_LABEL]) is False


# Signals


@pytest.mark.parametrize(
    ("stage", "number"),
    [
        ("starting", signal.SIGTERM),
        ("playing", signal.SIGHUP),
        ("checking", signal.SIGINT),
        ("warming", signal.SIGTERM),
        ("measuring", signal.SIGHUP),
    ],
)
def test_a_signal_at_any_stage_ends_the_job_as_ctrl_c_does(
    job: Callable[..., subprocess.Popen[str]],
    fake: FakeEngine,
    meet: Callable[[str], Stage],
    tmp_path: Path,
    stage: str,
    number: signal.Signals,
) -> None:
    at = meet(stage)
    process = job()
    at.wait_for(process)
    process.send_signal(number)
    out, err = process.communicate(timeout=ENDS_S)
    assert process.returncode == INTERRUPTED and "Traceback" not in out + err
    assert all(_is_orphan(each) for each in fake.containers.values()), "nothing is left when it has ended"
    at.over.set()
    if stage in ("starting", "warming"):  # before there is anything of the job, and with submissions that wait
        hold(fake, tmp_path / "j", job)


@pytest.mark.parametrize("stage", ["playing", "warming", "measuring"])
def test_two_signals_at_any_stage_end_the_process_at_once_and_the_job_goes_on(
    job: Callable[..., subprocess.Popen[str]],
    fake: FakeEngine,
    meet: Callable[[str], Stage],
    tmp_path: Path,
    stage: str,
) -> None:
    at = meet(stage)
    process = job()
    at.wait_for(process)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
    process.communicate(timeout=ENDS_S)
    assert process.returncode in (INTERRUPTED, -signal.SIGINT)
    at.over.set()
    hold(fake, tmp_path / "j", job)


# What starts a program with a signal ignored, and that signal: a shell does so with what a script sends to the background.
IGNORED = {
    "a closed terminal, under nohup": (("nohup",), signal.SIGHUP),
    "ctrl-c, in a script's background": (("sh", "-c", "trap '' INT; exec \"$@\"", "sh"), signal.SIGINT),
}


@pytest.mark.parametrize("what", IGNORED)
def test_a_signal_that_was_ignored_does_not_end_a_job(
    project: Path, home: str, fake: FakeEngine, meet: Callable[[str], Stage], tmp_path: Path, what: str
) -> None:
    before, number = IGNORED[what]
    at = meet("measuring")
    command = [sys.executable, "-m", "runner", *RUN, "--output", str(tmp_path), *SHORT]
    process = subprocess.Popen(
        [*before, *command], cwd=project, env=clean_environment(home, DOCKER_HOST=fake.url), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    at.wait_for(process)
    process.send_signal(number)
    at.over.set()
    out, err = process.communicate(timeout=ENDS_S)
    assert process.returncode in ENDED, out + err


# The disk


@pytest.fixture
def on_own_disk(
    project: Path, home: str, fake: FakeEngine, tmp_path: Path
) -> Iterator[Callable[[str], tuple[subprocess.Popen[str], Callable[[], None]]]]:
    """Starts the job on an output that is a disk of its own, in a mount namespace; (the process, what strikes that disk).

    What is on the disk at the job's end is copied to `kept`.
    """
    disk, kept, begin, done = (tmp_path / name for name in ("disk", "kept", "begin", "done"))
    disk.mkdir()
    os.mkfifo(begin)
    started: list[subprocess.Popen[str]] = []

    def start(what: str) -> tuple[subprocess.Popen[str], Callable[[], None]]:
        command = [sys.executable, "-m", "runner", *RUN, "--output", str(disk), *SHORT]
        script = f"""
            mount -t tmpfs -o size=400k none {disk} || exit 99
            (read -r _ < {begin}; cd {disk}; {what}; touch {done}) > /dev/null 2>&1 &
            {shlex.join(command)}
            status=$?
            cp -a {disk} {kept}
            exit $status
        """
        started.append(
            subprocess.Popen(
                ["unshare", "--map-root-user", "--mount", "sh", "-c", script], cwd=project,
                env=clean_environment(home, DOCKER_HOST=fake.url), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True,
            )
        )  # fmt: skip

        def strike() -> None:
            begin.write_text("now\n")
            wait_until(done.exists, GONE_S)

        return started[-1], strike

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.communicate()


DISKS = {
    "full": ("dd if=/dev/zero of=filler bs=4k", "No space left on device"),
    "read-only": (". ; mount --bind . . && mount -o remount,bind,ro .", "Read-only file system"),
}


@pytest.mark.parametrize(
    ("disk", "stage"), [("full", "measuring"), ("read-only", "playing"), ("read-only", "measuring")]
)
def test_a_disk_that_fills_up_or_turns_read_only_ends_the_job_with_its_cause_and_what_is_there_is_whole(
    on_own_disk: Callable[[str], tuple[subprocess.Popen[str], Callable[[], None]]],
    job: Callable[..., subprocess.Popen[str]],
    fake: FakeEngine,
    meet: Callable[[str], Stage],
    tmp_path: Path,
    disk: str,
    stage: str,
) -> None:
    what, cause = DISKS[disk]
    at = meet(stage)
    process, strike = on_own_disk(what)
    at.wait_for(process)
    strike()
    at.over.set()
    out, err = process.communicate(timeout=ENDS_S)
    assert process.returncode == INFRASTRUCTURE, out + err
    assert f"cannot be written: {cause}" in err and "make room or give permission" in err and "Traceback" not in err
    kept = tmp_path / "kept" / "j"
    final = final_runs(kept / "journal.jsonl")
    results = {run["number"]: run for run in json.loads((kept / "results.json").read_text())["runs"]}
    assert all(results.get(number, run) == run for number, run in final.items())
    assert read_journal((kept / "journal.jsonl").read_bytes()).damage == ()
    hold(fake, kept, job)


# The engine


def _stop(fake: FakeEngine) -> None:
    fake.restart()
    fake.path.rename(fake.path.with_suffix(".stopped"))


def _hang(fake: FakeEngine) -> None:
    fake.hang_s, fake.plan = 60.0, dict.fromkeys(range(fake.calls, fake.calls + 1000), "hang")


def _refuse(fake: FakeEngine) -> None:
    fake.refusing = True


ENGINES: dict[str, tuple[Callable[[FakeEngine], None], str]] = {
    "restarted": (lambda fake: fake.restart(), ""),
    "stopped": (_stop, ""),
    "hung": (_hang, ""),
    "refusing": (_refuse, ""),
}


@pytest.mark.parametrize(
    ("how", "stage"),
    [
        ("restarted", "measuring"),
        ("stopped", "playing"),
        ("stopped", "measuring"),
        ("hung", "measuring"),
        ("refusing", "starting"),
    ],
)
def test_an_engine_that_goes_is_the_hosts_fault_and_the_job_goes_on_when_it_is_back(
    job: Callable[..., subprocess.Popen[str]],
    fake: FakeEngine,
    meet: Callable[[str], Stage],
    tmp_path: Path,
    how: str,
    stage: str,
) -> None:
    at = meet(stage)
    # Each container of a round is asked for several times before it is given up: where all calls hang, that is all the time.
    process = job(RUNNER_ENGINE_TIMEOUT_S=str(TIMEOUT_S)) if how == "hung" else job()
    at.wait_for(process)
    ENGINES[how][0](fake)
    at.over.set()
    out, err = process.communicate(timeout=ENDS_S)
    assert "Traceback" not in out + err
    if how == "restarted":  # one round is repeated, and what the bill lacks is no fault
        assert process.returncode in (INFRASTRUCTURE, *ENDED), out + err
    else:
        assert process.returncode == INFRASTRUCTURE, out + err
    folder = tmp_path / "j"
    if (folder / "results.json").exists():
        runs = json.loads((folder / "results.json").read_text())["runs"]
        spoiled = [run for run in runs if run["outcome"] not in ("inconclusive", "passed", "too_slow", "unstable")]
        assert {run["outcome"] for run in spoiled} <= {"infrastructure"} and all(run["hint"] for run in spoiled)
    fake.plan, fake.hang_s, fake.refusing = {}, 1.4, False
    if not fake.path.exists():
        fake.path.with_suffix(".stopped").rename(fake.path)
    hold(fake, folder, job)
