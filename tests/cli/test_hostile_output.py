"""Whatever standard output and error are, a command does its work, and ends with the status that it would have had."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from runner.sandbox.engine import Engine
from tests.conftest import NOWHERE, Cli
from tests.environment import clean_environment

pytestmark = pytest.mark.slow

FULL = Path("/dev/full")


def gone_reader() -> int:
    read, write = os.pipe()
    os.close(read)
    return write


def read_only() -> int:
    return os.open(os.devnull, os.O_RDONLY)


def full_disk() -> int:
    return os.open(FULL, os.O_WRONLY)


def close_output() -> None:
    os.close(1)


def close_all() -> None:
    for number in (0, 1, 2):
        os.close(number)


# What a command's descriptors are: (stdout, stderr, what the child does to its own).
DESCRIPTORS: dict[str, tuple[Callable[[], int] | None, Callable[[], int] | None, Callable[[], None] | None]] = {
    "reader-gone": (gone_reader, None, None),
    "both-readers-gone": (gone_reader, gone_reader, None),
    "disk-full": (full_disk, None, None),
    "both-full": (full_disk, full_disk, None),
    "read-only": (read_only, read_only, None),
    "closed": (None, None, close_output),
    "all-closed": (None, None, close_all),
}
ENCODINGS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "strict-ascii": {"PYTHONIOENCODING": "ascii:strict"},
    "c-locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}
# (arguments, status that it has into a pipe); no engine is there.
COMMANDS: dict[str, tuple[tuple[str, ...], int]] = {
    "show": (("show", "{job}"), 0),
    "show-json": (("show", "{job}", "--json"), 0),
    "doctor-json": (("doctor", "--json"), 3),
    "help": (("--help",), 0),
    "usage": (("--no-such-flag",), 2),
    "grade": (("grade", "{job}/run_1/optimized_nbody.py", "--task", "slow_nbody"), 3),
}


@pytest.fixture
def run_with(project: Path, home: str) -> Callable[..., tuple[int, str, str]]:
    """Run the program with these descriptors; (its status, stdout, stderr, where these are pipes)."""
    job = project / "tests" / "old_jobs" / "schema_1"

    def run(arguments: tuple[str, ...], kind: str = "", env: Mapping[str, str] | None = None) -> tuple[int, str, str]:
        out, err, inside = DESCRIPTORS.get(kind, (None, None, None))
        handles = [subprocess.PIPE if make is None else make() for make in (out, err)]
        try:
            done = subprocess.run(
                [sys.executable, "-m", "runner", *(argument.format(job=job) for argument in arguments)],
                cwd=project, env={**clean_environment(home), "DOCKER_HOST": NOWHERE, **(env or {})},
                stdin=subprocess.DEVNULL, stdout=handles[0], stderr=handles[1], preexec_fn=inside, timeout=120,
                check=False,
            )  # fmt: skip
        finally:
            for handle in (handle for handle in handles if handle != subprocess.PIPE):
                os.close(handle)
        return done.returncode, (done.stdout or b"").decode("latin-1"), (done.stderr or b"").decode("latin-1")

    return run


Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("kind", DESCRIPTORS)
@pytest.mark.parametrize("command", COMMANDS)
def test_no_descriptor_changes_how_a_command_ends(run_with: Run, command: str, kind: str) -> None:
    arguments, status = COMMANDS[command]
    ended, out, err = run_with(arguments, kind)
    assert ended == status
    assert "Traceback" not in out + err and "Exception ignored" not in out + err


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("command", ["show", "doctor", "help"])
def test_no_encoding_changes_how_a_command_ends(run_with: Run, command: str, encoding: str) -> None:
    arguments, status = {**COMMANDS, "doctor": (("doctor",), 3)}[command]
    ended, out, err = run_with(arguments, env=ENCODINGS[encoding])
    assert ended == status and "Traceback" not in err and len(out) > 100


def test_what_a_small_encoding_cannot_show_is_written_as_its_escape(run_with: Run) -> None:
    assert "\\u2717 engine" in run_with(("doctor",), env=ENCODINGS["ascii"])[1]


def test_a_lost_output_is_named_and_a_reader_that_left_is_not(run_with: Run) -> None:
    _, _, full = run_with(("doctor", "--json"), "disk-full")
    assert "standard output cannot be written: No space left on device" in full and "hint: make room" in full
    assert run_with(("doctor", "--json"), "reader-gone")[2] == ""


def test_a_slow_reader_of_a_non_blocking_pipe_gets_everything(project: Path, tmp_path: Path) -> None:
    program = "from runner.report.output import unbreakable_output\nwith unbreakable_output(): print('x' * 1_000_000)"
    read, write = os.pipe()
    os.set_blocking(write, False)
    with subprocess.Popen([sys.executable, "-c", program], cwd=project, stdout=write) as process:
        os.close(write)
        with os.fdopen(read, "rb") as reader:
            assert len(reader.read()) == 1_000_001
    assert process.returncode == 0


# What others leave, and readers that do not read

OTHERS = """
import atexit, ctypes, os, sys, threading
from runner.report.output import main_threads_output, unbreakable_output

def theirs():
    sys.__stdout__.write("written to the stream, and left in its buffer\\n")
    ctypes.CDLL(None).printf(b"left in a buffer of C's\\n")
    if os.fork() == 0:
        print("said by a child", flush=True)
        os._exit(0)
    os.wait()

with unbreakable_output():
    with main_threads_output():
        atexit.register(lambda: print("said at the end"))
        thread = threading.Thread(target=theirs)
        thread.start()
        thread.join()
        print("ours")
    print("ours, too")
"""


def test_what_others_leave_in_buffers_and_say_at_the_end_is_not_among_the_output(project: Path) -> None:
    done = subprocess.run([sys.executable, "-c", OTHERS], cwd=project, capture_output=True, text=True, check=True)
    assert done.stdout == "ours\nours, too\n"
    for words in ("left in its buffer", "left in a buffer of C's", "said by a child", "said at the end"):
        assert words in done.stderr


def test_what_others_say_at_the_end_into_a_pipe_without_a_reader_changes_no_status(project: Path) -> None:
    gone = gone_reader()
    status = subprocess.run(
        [sys.executable, "-c", OTHERS], cwd=project, stdout=gone, stderr=gone, check=False
    ).returncode
    os.close(gone)
    assert status == 0


# What scripts begin with, so that they print UTF-8, and other things that end a stream.
WAYS_WITH_STREAMS = {
    "wrapped": "sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8')",
    "both wrapped": "sys.stdout, sys.stderr = [io.TextIOWrapper(s.buffer) for s in (sys.stdout, sys.stderr)]",
    "detached": "sys.stdout = codecs.getwriter('utf-8')(sys.stdout.detach())",
    "opened again": "sys.stdout = open(sys.stdout.fileno(), 'w', encoding='utf8', buffering=1)",
    "opened by number": "sys.stdout = open(1, 'w'); sys.stderr = open(2, 'w')",
    "opened and closed": "open(1, 'w').close(); open(2, 'w').close()",
    "closed": "sys.stdout.close(); sys.stderr.close(); sys.__stdout__.close(); sys.__stderr__.close()",
    "descriptors closed": "os.close(1); os.close(2)",
    "other encoding": "sys.stdout.reconfigure(encoding='ascii'); sys.stderr.reconfigure(encoding='ascii')",
    "nothing": "sys.stdout = sys.stderr = None",
}
STREAMS_AT_IMPORT = """
import sys
from pathlib import Path
from runner.cli.exiting import end_in_time
from runner.job.third_party import load_agent
from runner.report.output import main_threads_output, unbreakable_output
with unbreakable_output(), end_in_time():
    with main_threads_output():
        load_agent({agent!r}, [])
        {then}
"""
STREAMS_IN_A_TURN = """
import codecs, io, os, sys, threading
from types import SimpleNamespace
from runner.agents.adapter import _of_third_party
from runner.cli.exiting import end_in_time
from runner.report.output import main_threads_output, unbreakable_output
from runner.tasks.authors_code import put_back
def act():
    {way}
with unbreakable_output(), end_in_time():
    with main_threads_output():
        streams = sys.stdout, sys.stderr
        turn = threading.Thread(target=_of_third_party, args=(act,))
        turn.start()
        turn.join()
        put_back(streams)
        {then}
"""
THEN = """file = open(sys.argv[1], "w")
        assert file.fileno() > 2, "the next file got a standard number"
        print("progress \u2713", file=sys.stderr)
        print("ours")
    print("and the end")
    sys.exit(4)"""


@pytest.mark.parametrize("when", ["at import", "in a turn"])
@pytest.mark.parametrize("way", WAYS_WITH_STREAMS)
def test_whatever_others_do_with_the_streams_what_we_print_comes_out_and_the_status_stands(
    project: Path, tmp_path: Path, way: str, when: str
) -> None:
    code = WAYS_WITH_STREAMS[way]
    agent = tmp_path / "their_agent.py"
    agent.write_text(f"import codecs, io, os, sys\n{code}\nclass Agent: pass\n")
    text = STREAMS_AT_IMPORT if when == "at import" else STREAMS_IN_A_TURN
    script = text.format(agent=f"{agent}:Agent", way=code, then=THEN)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "next")], cwd=project, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (4, b"ours\nand the end\n"), done.stderr
    assert b"progress" in done.stderr and b"Traceback" not in done.stderr and b"ignored" not in done.stderr
    assert (tmp_path / "next").read_bytes() == b""


NOBODY_READS = """
import sys, threading
from runner.cli.signals import interrupt_on_sigterm
from runner.report.output import unbreakable_output
with unbreakable_output():
    try:
        with interrupt_on_sigterm():
            threading.Thread(target=lambda: print("x" * 1_000_000, file=sys.stderr)).start()
            print("x" * 1_000_000)
    except KeyboardInterrupt:
        print("y" * 1_000_000)
        sys.exit(130)
"""


def test_a_job_whose_reader_does_not_read_ends_when_it_is_stopped(project: Path) -> None:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", NOBODY_READS], cwd=project, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.read(1) == process.stderr.read(1) == b"x"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 130


LEAVES = """
import atexit, multiprocessing, sys, time
from runner.cli import exiting
exiting.END_S = 0.5
{leaves}
with exiting.end_in_time():
    sys.exit(5)
"""


@pytest.mark.parametrize(
    "leaves",
    [
        "atexit.register(time.sleep, 60)",
        "multiprocessing.get_context('fork').Process(target=time.sleep, args=(5,)).start()",
        "import threading; threading.Thread(target=time.sleep, args=(60,)).start()",
    ],
)
def test_nothing_that_was_left_behind_puts_off_the_end(project: Path, leaves: str) -> None:
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", LEAVES.format(leaves=leaves)], cwd=project, check=False)
    assert done.returncode == 5 and time.monotonic() - begun < 4


@pytest.mark.parametrize("leaves", ["atexit.register({wait})", "threading.Thread(target={wait}).start()"])
def test_ctrl_c_while_something_puts_off_the_end_brings_it_at_once_and_changes_no_status(
    project: Path, leaves: str
) -> None:
    wait = leaves.format(wait="lambda: (print('left', flush=True), time.sleep(60))")
    script = LEAVES.format(leaves=f"import threading; {wait}").replace("0.5", "60.0")
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"left\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert (process.wait(30), process.stderr.read()) == (5, b"")


# A job


@pytest.fixture
def job_into(start: Cli, tmp_path: Path, broken_task: Path) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Play two runs with these descriptors; (the status, results.json)."""

    def play(lines: int, *flags: str) -> tuple[int, dict[str, Any]]:
        process = start("--runs", "2", "--task", str(broken_task), "--scale", "small", "--name", "job",
                        "--output", str(tmp_path), *flags)  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        for _ in range(lines):
            process.stdout.readline()
        process.stdout.close()
        process.stderr.close()
        status = process.wait(300)
        return status, json.loads((tmp_path / "job" / "results.json").read_text())

    return play


@pytest.mark.parametrize(("lines", "flags"), [(1, ()), (0, ("--json",))])
def test_a_job_whose_reader_leaves_grades_all_its_runs(
    job_into: Callable[..., tuple[int, dict[str, Any]]], lines: int, flags: tuple[str, ...]
) -> None:
    status, results = job_into(lines, *flags)
    assert status == 0 and [run["outcome"] for run in results["runs"]] == ["crashed", "crashed"]


@pytest.mark.usefixtures("measuring_cpu")
def test_a_job_on_a_full_disks_output_and_in_latin_1_ends_as_it_would(
    run_with: Run, tmp_path: Path, engine: Engine, nbody_spec: object, broken_task: Path
) -> None:
    for kind in ("disk-full", "all-closed", ""):
        job = ("--runs", "1", "--task", str(broken_task), "--scale", "small", "--name", f"j{kind}")
        env = {"DOCKER_HOST": engine.url, "PYTHONIOENCODING": "latin-1"}
        status, _, err = run_with((*job, "--output", str(tmp_path)), kind, env=env)
        runs = json.loads((tmp_path / f"j{kind}" / "results.json").read_text())["runs"]
        assert (status, [run["outcome"] for run in runs]) == (0, ["crashed"]), err


def test_a_verdict_is_on_disk_before_it_is_printed(start: Cli, tmp_path: Path, broken_task: Path) -> None:
    flags = ("--name", "job", "--output", str(tmp_path))
    process = start("--runs", "1", "--task", str(broken_task), "--scale", "small", *flags)
    assert process.stdout is not None
    assert any("Run 1" in line for line in process.stdout)
    assert len(json.loads((tmp_path / "job" / "results.json").read_text())["runs"]) == 1
