"""What becomes of bad, broken and hostile files: all of them graded together on the real path, one verdict each."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from runner.budget.clock import SystemClock
from runner.grading.context import Candidate
from runner.grading.measurement import measured_rounds
from runner.grading.rounds import grade
from runner.grading.schedule import SAMPLES_PER_ROUND
from runner.grading.standing import Graded
from runner.job.setup import build_context, build_rules, build_spec
from runner.records.run import GradingConfig
from runner.sandbox.engine import Engine
from runner.sandbox.fleet import Fleet
from runner.settings import Settings
from runner.tasks.task import Task
from tests.conftest import Slot

HONEST = """
import numpy as np
def simulate(positions, velocities, masses, steps):
    where, speed = positions.copy(), velocities.copy()
    for _ in range(int(steps)):
        apart = where[None] - where[:, None]
        square = (apart ** 2).sum(2) + 1e-2
        speed += 1e-3 * (apart * (masses / (square * np.sqrt(square)))[:, :, None]).sum(1)
        where += 1e-3 * speed
    return {"positions": where, "velocities": speed}
"""


def instead(body: str) -> str:
    """The honest file with its function's body replaced."""
    return f"import numpy as np\ndef simulate(positions, velocities, masses, steps):\n    {body}\n"


def after(expression: str) -> str:
    """The honest answer, changed."""
    return f"{HONEST}\nhonest = simulate\ndef simulate(**given):\n    answer = honest(**given)\n    {expression}\n"


# name: (file, outcome, words of the reason)
FILES: dict[str, tuple[str | bytes, str, str]] = {
    "honest": (HONEST, "passed", "speedup with correct answers"),
    "prints and warns": (after("print('x' * 100000); return answer"), "passed", ""),
    "writes to every descriptor": (
        "import os\nfor d in range(1, 256):\n    try: os.write(d, b'\\0' * 64)\n    except OSError: pass\n" + HONEST,
        "bad_answer",
        "",
    ),
    "a subclass of the array": (
        after("class A(np.ndarray): pass\n    return {k: v.view(A) for k, v in answer.items()}"),
        "passed",
        "",
    ),
    "the unchanged velocities": (
        after("answer['velocities'] = given['velocities'].copy(); return answer"),
        "inaccurate",
        "",
    ),
    "raises": (instead("raise ValueError('no idea')"), "crashed", "no idea"),
    "raises on import": ("raise RuntimeError('at once')", "crashed", "at once"),
    "exits": (instead("raise SystemExit(0)"), "crashed", ""),
    "ends the process": (instead("import os; os._exit(0)"), "crashed", ""),
    "recurses": (instead("return simulate(positions, velocities, masses, steps)"), "crashed", "recursion"),
    "sleeps": (instead("import time\n    time.sleep(1000)"), "too_slow", "below target"),
    "spins": (instead("while True: pass"), "too_slow", "below target"),
    "takes all memory": (
        # By the kernel's own hand, which is quickest: a machine that is busy must not cut it for its time.
        instead(
            "import mmap\n    held, now = [], mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE\n"
            "    while True: held.append(mmap.mmap(-1, 1 << 25, flags=now))"
        ),
        "out_of_memory",
        "memory",
    ),
    "returns nothing": (instead("return None"), "bad_answer", "asked for was a dict"),
    "lacks an array": (after("del answer['velocities']; return answer"), "bad_answer", "velocities"),
    "has a wrong shape": (
        after("answer['positions'] = answer['positions'][:-1]; return answer"),
        "bad_answer",
        "float64[47, 3], asked for was float64[48, 3]",
    ),
    "has a wrong type": (
        after("answer['positions'] = answer['positions'].astype('float32'); return answer"),
        "bad_answer",
        "float32",
    ),
    "has objects": (after("answer['positions'] = answer['positions'].astype(object); return answer"), "bad_answer", ""),
    "is not a number": (after("answer['positions'][0, 0] = np.nan; return answer"), "bad_answer", "not finite"),
    "is infinite": (after("answer['positions'][0, 0] = np.inf; return answer"), "bad_answer", "not finite"),
    "is no Python": ("def simulate(:", "crashed", "Not valid Python"),
    "is no text": (b"\xff\xfe\x00\x01", "crashed", "Not a text that Python reads"),
    "begins with a byte order mark": (b"\xef\xbb\xbf" + HONEST.encode(), "passed", ""),
    "is written in Latin-1, and says so": (
        b"# coding: latin-1\n# gr\xf6\xdfer\n" + HONEST.replace("where", "wo_\xe4").encode("latin-1"),
        "passed",
        "",
    ),
    "is written in Latin-1, and does not say so": (b"x = 'gr\xf6\xdfer'\n" + HONEST.encode(), "crashed", "utf-8"),
    "is empty": (b"", "crashed", "simulate"),
    "has a NUL byte": (HONEST.encode() + b"\0", "crashed", "NUL"),
    "has no entry": ("x = 1", "crashed", "simulate"),
    "has an entry that is no function": ("simulate = 3", "crashed", ""),
    "is nested too deep to parse": ("x = " + "(" * 5000 + ")" * 5000, "crashed", "Not valid Python"),
    "imports a socket": ("import socket\n" + HONEST, "unsafe", "socket"),
    "imports deep down": (after("from subprocess import run; return answer"), "unsafe", "subprocess"),
    "imports by a star": ("from subprocess import *\n" + HONEST, "unsafe", "subprocess"),
    "imports by a function": ("import importlib as i\ni.import_module('socket')\n" + HONEST, "unsafe", "socket"),
    "imports behind many others": (
        "".join(f"try: import allowed_{n}\nexcept ImportError: pass\n" for n in range(1000))
        + f"import socket\n{HONEST}",
        "unsafe",
        "socket",
    ),
    "reaches a module through another": (
        "from tempfile import _os as o\nrun = o.system\nrun('true')\n" + HONEST,
        "unsafe",
        "os.system",
    ),
    "imports modules of the language": (
        "import contextlib, heapq, os, random, time, types\n" + HONEST,
        "passed",
        "",
    ),
    "imports relatively": ("from . import x\n" + HONEST, "crashed", "import"),
    "mutates its inputs": (after("given['positions'][:] = 0; given['masses'][:] = 0; return answer"), "passed", ""),
    "leaves a thread": (
        "import _thread\nlock = _thread.allocate_lock()\nlock.acquire()\n_thread.start_new_thread(lock.acquire, ())\n"
        + HONEST,
        "passed",
        "",
    ),
    "is the baseline": (Path(__file__).parents[2].joinpath("problem_data/slow_nbody/baseline.py").read_bytes(), "", ""),
}
# What the task of these files forbids by name; the shipped one forbids nothing.
FORBIDDEN = ["socket", "subprocess", "os.system"]
OFTEN = ("honest",)
FILES["is the baseline"] = (FILES["is the baseline"][0], "too_slow", "below target")


@pytest.fixture(scope="module")
def verdicts(engine: Engine, measuring_slot: Slot, nbody: Task) -> Mapping[str, Graded]:
    """All files in one grading, so that they share rounds.

    A short time limit keeps the endless ones short, and little memory is used up before the host stops a slow file.
    """
    limits = nbody.file.limits.model_copy(update={"sample_wall_s": 5.0, "memory": 192 * 2**20})
    imports = nbody.file.imports.model_copy(update={"forbidden": FORBIDDEN})
    task = Task(nbody.folder, nbody.file.model_copy(update={"limits": limits, "imports": imports}))
    spec, image = build_spec(engine, task, Settings(), print)
    rules = build_rules(engine, task, "small", image, GradingConfig())
    context = build_context(Fleet(engine, "test-hostile"), task, "small", spec, rules, SystemClock(), print)
    contents = {name: text if isinstance(text, bytes) else text.encode() for name, (text, _, _) in FILES.items()}
    # How a file ends shows in one sample a round; a pass needs two, and what is said about a whole round, OFTEN show.
    candidates = [
        Candidate(
            number, content, samples=SAMPLES_PER_ROUND if name in OFTEN else 2 if FILES[name][1] == "passed" else 1
        )
        for number, (name, content) in enumerate(contents.items(), 1)
    ]
    with measuring_slot() as cpu:
        graded = list(grade(context.with_cpu(cpu), candidates))
    names = list(FILES)
    assert sorted(entry.run for entry in graded) == list(range(1, len(FILES) + 1))
    assert context.fleet.live() == [] and context.fleet.leaks == []
    return {names[entry.run - 1]: entry for entry in graded}


@pytest.mark.parametrize("name", FILES)
def test_a_file_gets_the_outcome_that_it_deserves(verdicts: Mapping[str, Graded], name: str) -> None:
    _, outcome, words = FILES[name]
    verdict = verdicts[name].grading.outcome
    assert (verdict.kind, words in verdict.reason) == (outcome, True), verdict


def test_a_pass_rests_on_two_rounds_many_data_sets_and_an_interval_above_the_target(
    verdicts: Mapping[str, Graded], nbody: Task
) -> None:
    measured = verdicts["honest"].grading.measurement
    assert measured is not None and measured.speedup is not None and measured.speedup.low is not None
    assert measured_rounds(measured.samples) >= 2
    assert len(measured.seeds) >= nbody.data_sets("small") and len(set(measured.seeds)) == len(measured.seeds)
    assert measured.speedup.low >= (nbody.target("small") or 0)


def test_a_disqualified_file_is_measured_once_where_it_can_run(verdicts: Mapping[str, Graded]) -> None:
    measured = verdicts["imports a socket"].grading.measurement
    assert measured is not None and measured.speedup is not None
    assert [sample.side for sample in measured.samples].count("candidate") == 1
    assert measured.speedup.low is None


def test_every_sample_ran_on_the_measuring_cpu_and_no_two_candidates_were_neighbours_of_themselves(
    verdicts: Mapping[str, Graded], measuring_cpu: str
) -> None:
    measured = verdicts["honest"].grading.measurement
    assert measured is not None
    assert {sample.cpuset for sample in measured.samples} == {measuring_cpu}
    places = [(sample.round, sample.position) for sample in measured.samples if sample.side == "candidate"]
    assert all(abs(a[1] - b[1]) > 1 for a, b in zip(places, places[1:], strict=False) if a[0] == b[0] == 1)
