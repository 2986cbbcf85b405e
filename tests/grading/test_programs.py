"""Programs in a real sandbox: built off the clock, each case a fresh process, and nothing left of the one before."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from runner.grading.cases import Built, build, run_cases
from runner.grading.sample import SampleResult, SampleSpec, warm_sandbox
from runner.records.bundle import pack_files
from runner.records.grading import Ending
from runner.sandbox.container import Sandbox
from runner.sandbox.engine import Engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.lock import all_cpus
from runner.sandbox.spec import SandboxSpec
from runner.settings import data_folder
from runner.tasks.task import Task, read_task


@dataclass(frozen=True)
class Bench:
    """A sandbox in which programs run one after the other."""

    sandbox: Sandbox
    spec: SandboxSpec
    fleet: Fleet

    def task(self, **call: object) -> Task:
        """hidden_expressions with a shell script as its program."""
        task = read_task(data_folder("problem_data") / "hidden_expressions")
        changed = task.file.call.model_copy(update={"run": ["sh", "program"], "build": [], **call})
        submission = task.file.submission.model_copy(update={"file": "program", "folder": False})
        return Task(task.folder, task.file.model_copy(update={"call": changed, "submission": submission}))

    def sample(self, task: Task, cases: tuple[bytes, ...], deadline_s: float = 20.0) -> SampleSpec:
        return SampleSpec(
            task=task, sandbox=self.spec, layout=(), inputs=b"", answer=(), deadline_s=deadline_s, preload=(),
            cases=cases,
        )  # fmt: skip

    def run(self, script: str, *cases: bytes, deadline_s: float = 20.0, **call: object) -> SampleResult:
        return run_cases(self.sandbox, self.sample(self.task(**call), cases, deadline_s), script.encode())

    def build(self, source: str, *argv: str, **call: object) -> Built:
        task = self.task(build=list(argv), **call)
        return build(self.fleet, self.sample(task, ()), source.encode(), cpuset=all_cpus(self.fleet.engine))


@pytest.fixture(scope="module")
def bench(engine: Engine, nbody_spec: SandboxSpec) -> Iterator[Bench]:
    fleet = Fleet(engine, f"test-{secrets.token_hex(4)}")
    task = read_task(data_folder("problem_data") / "hidden_expressions")
    spec = SampleSpec(
        task=task, sandbox=nbody_spec, layout=(), inputs=b"", answer=(), deadline_s=1.0, preload=(), cases=()
    )
    with warm_sandbox(fleet, spec, role="check", cpuset=all_cpus(engine)) as sandbox:
        yield Bench(sandbox, nbody_spec, fleet)
    fleet.stop()


def outputs(result: SampleResult) -> list[bytes]:
    assert result.arrays is not None, result
    return [array.tobytes() for _, array in sorted(result.arrays.items())]


def test_each_case_gets_its_input_and_its_output_is_taken_byte_for_byte(bench: Bench) -> None:
    result = bench.run("cat", b"one\n", b"", b"\x00\xff" * 200_000, stdout_max=2**20)
    assert outputs(result) == [b"one\n", b"", b"\x00\xff" * 200_000] and result.seconds > 0.0


@pytest.mark.parametrize(
    ("leave", "look"),
    [
        ("echo 1 > /tmp/kept", "ls /tmp"),
        ("echo 1 > kept; mkdir deep; echo 1 > deep/kept; chmod 0 deep", "ls | grep -v program"),
        ("echo 1 > /dev/shm/kept", "ls /dev/shm"),
        ("echo : > program", "wc -c < program | grep -x 2"),
        ("sleep 1000 > /dev/null 2>&1 < /dev/null &", "grep -l sleep /proc/[0-9]*/comm"),
        ("(setsid sleep 1000 &)", "grep -l sleep /proc/[0-9]*/comm"),
    ],
)
def test_nothing_of_one_case_is_there_in_the_next(bench: Bench, leave: str, look: str) -> None:
    script = f"read word\nif [ $word = first ]; then {leave}\nelse {look}; true; fi\n"
    assert outputs(bench.run(script, b"first\n", b"second\n")) == [b"", b""]


@pytest.mark.parametrize(
    ("script", "ending", "words"),
    [
        ("echo wrong >&2; exit 3", Ending.CRASHED, "case 1: exit status 3: wrong"),
        ("kill -SEGV $$", Ending.CRASHED, "case 1: ended by signal 11"),
        ("yes", Ending.BAD_ANSWER, "it printed more than 1000 bytes"),
        ("head -c 1001 /dev/zero", Ending.BAD_ANSWER, "it printed more than 1000 bytes"),
        ("sleep 1000 & wait", Ending.TIMED_OUT, "case 1: no answer"),
        ("exec python3 -c 'x = bytearray(2**40)'", Ending.CRASHED, "MemoryError"),
        ("exec python3 -c 'x = b\"1\" * 2**30'", Ending.OUT_OF_MEMORY, "ended by signal 9"),
    ],
)  # fmt: skip
def test_a_case_that_goes_wrong_says_how(bench: Bench, script: str, ending: Ending, words: str) -> None:
    if ending not in (Ending.TIMED_OUT, Ending.OUT_OF_MEMORY):
        result = bench.run(script, b"", stdout_max=1000)
    else:  # one that was given up answers nothing any more, and the kernel's count of kills stays: one of its own
        spec = bench.sample(bench.task(), (b"",), 3.0 if ending is Ending.TIMED_OUT else 60.0)
        with warm_sandbox(bench.fleet, spec, role="check", cpuset=all_cpus(bench.fleet.engine)) as sandbox:
            result = run_cases(sandbox, spec, script.encode())
    assert (result.ending, words in result.detail) == (ending, True), result
    assert result.arrays is None and len(result.detail) <= 2000


@pytest.mark.parametrize(
    "attack",
    [
        "for f in /proc/1/fd/*; do echo x > $f; done",
        "cat /proc/1/mem /proc/1/environ",
        "kill -9 1; kill -9 -1",
        "kill -STOP 1",
    ],
)
def test_a_program_can_neither_reach_nor_end_what_runs_it(bench: Bench, attack: str) -> None:
    result = bench.run(
        f"read word; if [ $word = first ]; then ({attack}) 2>/dev/null; true; else echo fine; fi", b"second\n"
    )
    assert outputs(result) == [b"fine\n"]
    tried = bench.run(f"({attack}) > /dev/null 2>&1; true", b"")
    assert tried.ending in (Ending.ANSWERED, Ending.CRASHED)
    assert outputs(bench.run("echo fine", b"")) == [b"fine\n"]


def test_a_build_leaves_what_is_in_out_and_the_source_is_not_there_when_it_runs(bench: Bench) -> None:
    built = bench.build("echo built", "sh", "-c", "cp program out/run; chmod 755 out/run; echo noise")
    assert built.files is not None
    result = run_cases(bench.sandbox, bench.sample(bench.task(build=["x"], run=["out/run"]), (b"",)), built.files)
    assert result.ending is Ending.CRASHED and "out/run" in result.detail  # no interpreter is named in its first line
    listed = bench.task(build=["x"], run=["sh", "-c", "find . -type f"])
    assert outputs(run_cases(bench.sandbox, bench.sample(listed, (b"",)), built.files)) == [b"./out/run\n"]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("sh", "-c", "echo no such thing; exit 1"), "exit status is 1: no such thing"),
        (("sh", "-c", "ln -s /etc/passwd out/x"), "only regular files count"),
        (("sh", "-c", "head -c 2000 /dev/zero > out/x"), "more than 1000 bytes"),
        (("sh", "-c", "for i in 1 2 3 4; do : > out/$i; done"), "more than 3 files"),
        (("sh", "-c", "rmdir out; ln -s / out"), "left nothing that can be taken"),
        (("sh", "-c", "yes | head -c 100000; exit 1"), "exit status is 1: y"),
        (("no-such-compiler",), "no-such-compiler"),
    ],
)  # fmt: skip
def test_a_build_that_goes_wrong_says_how_in_bounded_words(bench: Bench, argv: tuple[str, ...], words: str) -> None:
    built = bench.build("x", *argv, out_max=1000, files_max=3)
    assert built.files is None and words in built.said and len(built.said) < 5000, built


@pytest.mark.parametrize("content", [b"not a folder", pack_files([("../x", b"", False)])])
def test_what_is_no_folder_is_no_program(bench: Bench, content: bytes) -> None:
    task = bench.task()
    folder = task.file.submission.model_copy(update={"folder": True})
    asked = Task(task.folder, task.file.model_copy(update={"submission": folder}))
    spec = bench.sample(asked, (b"",))
    built = build(bench.fleet, spec, content, cpuset=all_cpus(bench.fleet.engine))
    if built.files is not None:
        result = run_cases(bench.sandbox, spec, built.files)
        assert result.ending is Ending.BAD_ANSWER and "leaves its folder" in result.detail
    else:
        assert "one file was submitted where a folder is asked for" in built.said
