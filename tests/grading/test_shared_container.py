"""Audits of one file in one container: no sample finds anything of another one, and none can talk to PID 1's successor."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from runner.grading import shared_container
from runner.grading.context import GradingContext
from runner.grading.data import generate_round
from runner.grading.sample import SampleResult, SampleSpec, run_sample
from runner.grading.schedule import ScheduledSample
from runner.grading.shared_container import SharedContainer, SharedContainers
from runner.records.grading import Ending
from runner.sandbox import fleet as fleet_module
from runner.sandbox.cgroup import ResourceUsage
from runner.sandbox.container import INSIDE, ExitCause, GuestExit, Received, Sandbox
from runner.sandbox.fleet import Fleet, program
from runner.sandbox.lock import all_cpus
from runner.sandbox.spec import SandboxSpec
from runner.sandbox.wire import Frame, Kind
from runner.tasks.problem import load_problem
from runner.tasks.task import Task

# Says what it finds, and leaves whatever it can.
LEAVES = rb"""
import fcntl, json, os, resource, signal, socket, sys, time


def tried(act):
    try:
        return str(act())
    except OSError as error:
        return type(error).__name__


def entry(**inputs):
    wire = max(int(name) for name in os.listdir("/proc/self/fd") if 200 <= int(name) < 1000)
    found = {
        "processes": sorted(int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()),
        "files": [os.path.join(folder, name) for folder in ("/tmp", "/dev/shm") for name in os.listdir(folder)],
        "workspace": [name for name in os.listdir("/workspace") if not name.endswith(".py")],
        "marks": os.listxattr("/workspace"),
        "blocking": os.get_blocking(wire),
        "pipe": fcntl.fcntl(wire, 1032),
        "listening": tried(lambda: socket.socket(socket.AF_UNIX).connect("\0here")),
        "memory": tried(lambda: open("/proc/1/mem", "rb")),
        "wire": tried(lambda: os.listdir("/proc/1/fd")),
        "limit": tried(lambda: resource.prlimit(1, resource.RLIMIT_NOFILE, (3, 3))),
        "pinned": tried(lambda: os.sched_setaffinity(1, {0})),
        "priority": tried(lambda: os.setpriority(os.PRIO_PROCESS, 1, 19)),
    }
    for number in set(signal.valid_signals()) - {signal.SIGKILL}:
        tried(lambda: os.kill(1, number))
    for folder in ("/workspace", "/tmp", "/dev/shm"):
        os.makedirs(folder + "/deep" * 50)
        open(folder + "/deep/file", "w").write("left")
        os.chmod(folder + "/deep", 0)
    tried(lambda: os.setxattr("/workspace", "user.mark", b"1"))
    os.chmod("/workspace", 0)
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                listener = socket.socket(socket.AF_UNIX)
                tried(lambda: listener.bind("\0here"))
                tried(listener.listen)
                time.sleep(600)
            os._exit(0)
    time.sleep(0.1)
    fcntl.fcntl(wire, 1031, 4096)
    raise RuntimeError(json.dumps(found))
"""
# Answers in the name of PID 1, which has not been asked yet.
FORGES = rb"""
import json, os, struct


def entry(**inputs):
    head = json.dumps({"token": "", "clean": True}).encode()
    wire = max(int(name) for name in os.listdir("/proc/self/fd") if 200 <= int(name) < 1000)
    for sequence in range(2, 8):
        os.write(wire, struct.pack("!IIBI", len(head), 0, 4, sequence) + head)
    os.set_blocking(wire, False)
"""
ENDS = b"import os\nos._exit(3)\n"


EMPTY = SampleSpec(
    task=cast(Task, None), sandbox=cast(SandboxSpec, None), layout=(), inputs=b"", answer=(), deadline_s=1.0, preload=(),
)  # fmt: skip


@pytest.fixture
def spec(nbody: Task, nbody_spec: SandboxSpec) -> SampleSpec:
    data = generate_round(load_problem(nbody), nbody, "small", seed=1, count=1)
    return SampleSpec(
        task=nbody,
        sandbox=nbody_spec,
        layout=nbody.input_arrays("small"),
        inputs=data.identity.inputs,
        answer=nbody.answer_arrays("small"),
        deadline_s=60.0,
        preload=("numpy",),
    )


@pytest.fixture
def shared(fleet: Fleet, spec: SampleSpec) -> Iterator[SharedContainer]:
    context: Any = SimpleNamespace(fleet=fleet, warmup_cpus=all_cpus(fleet.engine))
    container = SharedContainer(cast(GradingContext, context), spec, run=1)
    yield container
    container.close()


def sample(shared: SharedContainer, spec: SampleSpec, source: bytes) -> tuple[str, SampleResult]:
    """(id of the container that it ran in, how it ended)."""
    sandbox = shared.begin(spec)
    result = run_sample(sandbox, spec, source.replace(b"def entry", b"def " + spec.task.file.call.entry.encode()))
    shared.end()
    return sandbox.id, result


def test_no_sample_finds_anything_of_the_one_before_it(shared: SharedContainer, spec: SampleSpec) -> None:
    container, first = sample(shared, spec, LEAVES)
    again, second = sample(shared, spec, LEAVES)
    assert first.ending is second.ending is Ending.CRASHED and first.detail.startswith("RuntimeError: {"), first.detail
    found = json.loads(first.detail.partition(" ")[2])
    assert json.loads(second.detail.partition(" ")[2]) == found
    assert again == container, "all was as before: nothing was left, and nothing was done to PID 1"
    refused = ("memory", "wire", "limit", "pinned", "priority")
    assert {found[name] for name in refused} == {"PermissionError"}, found
    assert found["processes"] == [1] and found["files"] == found["workspace"] == found["marks"] == []
    third, solved = sample(shared, spec, spec.task.oracle or b"")
    assert third == container and solved.ending is Ending.ANSWERED


@dataclass
class Engineless:
    """Containers that are only said to be there: how many are open, and how many were opened."""

    warm_max: int = 30
    programs: None = None
    warmup_cpus: str = "0"
    fleet: Any = field(default_factory=lambda: SimpleNamespace(engine=SimpleNamespace(is_local=True)))
    open_now: int = 0
    opened: int = 0

    @contextlib.contextmanager
    def warm(self, *_: Any, **__: Any) -> Iterator[Any]:
        self.open_now, self.opened = self.open_now + 1, self.opened + 1
        yield SimpleNamespace(
            ask=lambda head, *_, **__: Received(Frame(Kind.READY, 1, {"token": head.get("token"), "clean": True}, b""), 0.0),
            tasks=lambda: 1, used=ResourceUsage, stream=SimpleNamespace(end=None, has_surplus=False),
        )  # fmt: skip
        self.open_now -= 1


@pytest.fixture
def engineless(monkeypatch: pytest.MonkeyPatch) -> Engineless:
    made = Engineless()
    monkeypatch.setattr(shared_container, "warm_sandbox", made.warm)
    return made


def test_one_container_of_a_candidate_serves_from_round_to_round_where_there_is_room(engineless: Engineless) -> None:
    containers, spec = SharedContainers(cast(GradingContext, engineless)), EMPTY
    for _ in range(3):
        for run in (1, 2):
            containers.of(run, spec).begin(spec)
            containers.leave(run, waiting=2)
        containers.make_room([ScheduledSample("candidate", 1, b"x")] * 8)
    assert (engineless.open_now, engineless.opened) == (2, 2)
    containers.make_room([ScheduledSample("candidate", 1, b"x", shared=True)] * 8)
    assert engineless.open_now == 2, "those that share one count as one"
    containers.close({2})
    assert engineless.open_now == 1
    containers.close()
    assert engineless.open_now == 0


def test_idle_containers_never_take_the_room_of_those_that_are_measured(engineless: Engineless) -> None:
    containers, spec = SharedContainers(cast(GradingContext, engineless)), EMPTY
    many = range(1, 9)
    for run in many:
        containers.of(run, spec).begin(spec)
        containers.leave(run, waiting=len(many))
    assert (engineless.open_now, engineless.opened) == (0, 8), "a round of eight has more than thirty"
    for run in (1, 2, 3):
        containers.of(run, spec)
    containers.make_room(
        [ScheduledSample("candidate", 1, b"x", shared=True), *[ScheduledSample("sentinel", 0, b"x")] * 28]
    )
    assert engineless.open_now == 1, "its own stays"
    containers.close()
    assert engineless.open_now == 0


CALLED = b"""
class Counter:
    count = 0

    def add(self, values):
        Counter.count += 1
        open("/tmp/called", "a").write("x")
        return values + Counter.count + len(open("/tmp/called").read()) - 1
"""


def test_components_are_called_in_a_process_of_their_own_and_leave_nothing_for_the_next_one(
    shared: SharedContainer, spec: SampleSpec
) -> None:
    ids = []
    for _ in range(2):
        sandbox = shared.begin(spec)
        ids.append(sandbox.id)
        sandbox.asking_left_s = 60.0
        loaded = sandbox.ask({"op": "load", "file": "s.py"}, CALLED, deadline_s=30.0)
        assert isinstance(loaded, Received) and loaded.frame.kind is Kind.ANSWER, loaded
        described = sandbox.ask(
            {"op": "describe", "components": {"Counter": ["add"]}, "entry": "none"}, deadline_s=30.0
        )
        assert isinstance(described, Received) and described.frame.head["present"] == {"Counter": ["add"]}
        counted = [call_counter(sandbox, fresh=number == 0) for number in range(3)]
        assert counted == [1.0, 3.0, 5.0], "it is one process while it lasts"
        shared.end()
    container, solved = sample(shared, spec, spec.task.oracle or b"")
    assert solved.ending is Ending.ANSWERED and {container, *ids} == {container}
    assert shared.is_ready


def call_counter(sandbox: Sandbox, *, fresh: bool) -> float:
    head = {
        "op": "probe", "fresh": fresh, "component": "Counter", "init": [], "entry": "none", "method": "add",
        "parameters": None, "draw": None, "shapes": [], "convert": None, "inputs": [["in0", "float64", [1]]],
        "answer": [["out0", "float64", [1]]], "any_dtype": [],
    }  # fmt: skip
    reply = sandbox.ask(head, bytes(8), deadline_s=30.0, body_bytes_max=8)
    assert isinstance(reply, Received) and reply.frame.kind is Kind.ANSWER, reply
    return float(np.frombuffer(reply.frame.body)[0])


def test_a_container_whose_components_hang_is_ended_and_the_next_one_is_fresh(
    shared: SharedContainer, spec: SampleSpec
) -> None:
    sandbox = shared.begin(spec)
    sandbox.asking_left_s = 0.5
    hung = sandbox.ask({"op": "load", "file": "s.py"}, b"while True: pass", deadline_s=30.0)
    assert isinstance(hung, GuestExit) and hung.how is ExitCause.SILENT
    shared.end()
    _, solved = sample(shared, spec, spec.task.oracle or b"")
    assert solved.ending is Ending.ANSWERED


def test_where_no_process_can_be_forked_each_sample_has_a_container_of_its_own(
    shared: SharedContainer, spec: SampleSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork = (INSIDE / "forkserver.py").read_text().replace("own_pages(self.pages)", "raise MemoryError")
    broken = program("forkserver").replace((INSIDE / "forkserver.py").read_bytes(), fork.encode())[4:]
    monkeypatch.setattr(
        fleet_module,
        "program",
        lambda name, key: len(broken).to_bytes(4, "big") + broken if name == "forkserver" else program(name, key),
    )
    containers = [sample(shared, spec, spec.task.oracle or b"") for _ in range(2)]
    assert len({container for container, _ in containers}) == 2 and not shared.is_shared
    assert [result.ending for _, result in containers] == [Ending.ANSWERED] * 2


@pytest.mark.parametrize("source", [FORGES, ENDS], ids=["forges an answer of PID 1", "ends its process"])
def test_whatever_is_not_as_before_costs_a_file_its_container(
    shared: SharedContainer, spec: SampleSpec, source: bytes
) -> None:
    container, result = sample(shared, spec, source)
    assert result.ending in (Ending.BAD_ANSWER, Ending.CRASHED), result
    again, solved = sample(shared, spec, spec.task.oracle or b"")
    assert again != container and solved.ending is Ending.ANSWERED


@pytest.mark.parametrize("surplus", [True, False], ids=["seen before", "not seen before"])
def test_a_frame_that_a_sample_began_holds_nobody_up(surplus: bool) -> None:
    asked: list[float] = []

    def ask(head: Any, **how: Any) -> GuestExit:
        asked.append(how["deadline_s"])
        return GuestExit(ExitCause.SILENT, "what came is the beginning of a frame")

    stream = SimpleNamespace(end=None, has_surplus=surplus)
    sandbox: Any = SimpleNamespace(stream=stream, ask=ask, used=ResourceUsage, dying_cpu_s=0.0)
    unused = cast(Any, None)
    container = SharedContainer(unused, unused, 1, sandbox, idle_tasks=1, _is_open=True)
    container.end()
    assert not container._is_open, "it is ended, and the next sample gets another one"
    assert asked == [] if surplus else max(asked) < 60.0
