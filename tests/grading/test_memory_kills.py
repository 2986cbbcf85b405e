"""What a sample ends as where the kernel kills for memory, whichever process that is and whatever the others make of it."""

from collections.abc import Callable, Iterator

import pytest

from runner.grading.sample import SampleResult, SampleSpec, run_sample, warm_sandbox
from runner.job.setup import build_spec
from runner.records.grading import Ending
from runner.sandbox.cgroup import ResourceUsage
from runner.sandbox.engine import Engine
from runner.sandbox.fleet import Fleet
from runner.settings import Settings
from runner.tasks.task import Task

# Little memory is used up quickly; TAKER is what a process of the file's does, ANSWERER what the one that answers does then.
FILE = """
import os, threading, time
import numpy as np

def take():
    held = []
    while True:
        held.append(np.ones(1 << 22))

def take_with_pages_of_files():
    with open("/tmp/pages", "wb") as file:
        file.write(bytes(1 << 24))
    take()

def simulate(**given):
    reading, writing = os.pipe()
    if os.fork() == 0:
        try:
            os.close(reading)
            TAKER
        finally:
            time.sleep(1000)
    os.close(writing)
    os.read(reading, 1)  # until the last process that has the other end is gone
    ANSWERER
"""
BESIDE = "the kernel ended a process that it had started for memory"


@pytest.fixture
def sample(engine: Engine, images: None, fleet: Fleet, nbody: Task) -> Iterator[Callable[..., SampleResult]]:
    limits = nbody.file.limits.model_copy(update={"memory": 192 * 2**20})
    task = Task(nbody.folder, nbody.file.model_copy(update={"limits": limits}))
    spec = SampleSpec(
        task, build_spec(engine, task, Settings(), print)[0], (), b"", task.answer_arrays("small"), 60.0, ()
    )

    def run(source: str, cutoff_s: float | None = None) -> SampleResult:
        with warm_sandbox(fleet, spec, role="candidate", cpuset="0") as sandbox:
            return run_sample(sandbox, spec, source.encode(), cutoff_s)

    yield run


@pytest.mark.parametrize(
    ("taker", "answerer", "words"),
    [
        pytest.param("take()", "os._exit(0)", "and the process that answers ended without an answer", id="ends with 0"),
        pytest.param("take()", "os.wait(); os._exit(3)", "ended without an answer", id="reaps it, and ends with 3"),
        pytest.param("take()", "raise ValueError('a worker died')", "crashed: ValueError: a worker died", id="raises"),
        pytest.param("take()", "return {}", "bad answer: the answer lacks", id="answers nothing"),
        pytest.param(
            "os._exit(0) if os.fork() else take()", "os._exit(0)", "", id="of a process that is no child any more"
        ),
        pytest.param("threading.Thread(target=take).start()", "os._exit(0)", "", id="in a thread"),
        pytest.param("take_with_pages_of_files()", "os._exit(0)", "", id="with pages of files"),
    ],
)
def test_a_kill_for_memory_is_told_as_that_whatever_the_process_that_answers_makes_of_it(
    sample: Callable[..., SampleResult], taker: str, answerer: str, words: str
) -> None:
    result = sample(FILE.replace("TAKER", taker).replace("ANSWERER", answerer))
    assert result.ending is Ending.OUT_OF_MEMORY
    assert BESIDE in result.detail and words in result.detail, result.detail


def test_a_wait_without_an_end_for_what_was_killed_is_out_of_memory_too(sample: Callable[..., SampleResult]) -> None:
    result = sample(FILE.replace("TAKER", "take()").replace("ANSWERER", "time.sleep(1000)"), cutoff_s=8.0)
    assert (result.ending, BESIDE in result.detail) == (Ending.OUT_OF_MEMORY, True), result.detail


def test_an_end_in_a_container_where_nothing_was_killed_is_told_as_it_was(sample: Callable[..., SampleResult]) -> None:
    result = sample(FILE.replace("TAKER", "os._exit(0)").replace("ANSWERER", "raise ValueError('a worker died')"))
    assert (result.ending, result.detail) == (Ending.CRASHED, "ValueError: a worker died")
    assert result.used.memory_kills == 0 and result.used != ResourceUsage()
