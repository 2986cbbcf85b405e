"""A sandbox that ends before anything of a program has run says nothing of the program."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from runner.faults import InfrastructureFault, SandboxLost
from runner.grading.cases import run_cases
from runner.grading.sample import SampleSpec
from runner.job.setup import load_task
from runner.records.grading import Ending
from runner.sandbox.cgroup import ResourceUsage
from runner.sandbox.container import ExitCause, GuestExit, Received
from runner.sandbox.wire import Frame, Kind
from runner.settings import Settings


class Ends:
    """A sandbox that answers so many requests well, and then ends."""

    id = "0123456789ab"

    def __init__(self, answers: int, how: ExitCause, status: int = 0, *, host_short: bool = False) -> None:
        self.left, self.how, self.stream = answers, how, SimpleNamespace(has_surplus=False)
        self.said = {"status": status, "memory": host_short, "host_short": host_short}

    def ask(self, head: Any, body: bytes = b"", **_: Any) -> Received | GuestExit:
        self.left -= 1
        if self.left < 0:
            return GuestExit(self.how, "it ended")
        if head["op"] == "case":
            return Received(Frame(Kind.ANSWER, 1, self.said, b"1\n"), 0.0)
        return Received(Frame(Kind.REPLY, 1, {"ok": True}), 0.0)

    def check_ran(self, since_s: float) -> None:
        """It did."""

    def used(self) -> ResourceUsage:
        return ResourceUsage()

    def ran_out_of_memory(self) -> bool:
        return False


@pytest.fixture
def spec() -> SampleSpec:
    unused = cast(Any, None)
    task = load_task(Settings(), "hidden_expressions")
    return SampleSpec(task, unused, (), b"", (), 10.0, (), cases=(b"1", b"2"))


@pytest.mark.parametrize("answers", [0, 1], ids=["while it gets the files", "while they are written"])
@pytest.mark.parametrize("how", [ExitCause.SILENT, ExitCause.DIED])
def test_an_end_before_the_first_case_is_the_hosts(spec: SampleSpec, answers: int, how: ExitCause) -> None:
    with pytest.raises(InfrastructureFault, match="a sandbox ended before the program ran"):
        run_cases(cast(Any, Ends(answers, how)), spec, b"")


@pytest.mark.parametrize(
    ("answers", "how", "ending"),
    [
        (1, ExitCause.MEMORY, Ending.OUT_OF_MEMORY),
        (2, ExitCause.SILENT, Ending.TIMED_OUT),
        (3, ExitCause.SILENT, Ending.TIMED_OUT),
        (3, ExitCause.DIED, Ending.CRASHED),
    ],
)
def test_files_that_are_too_large_and_whatever_comes_later_are_the_programs(
    spec: SampleSpec, answers: int, how: ExitCause, ending: Ending
) -> None:
    assert run_cases(cast(Any, Ends(answers, how)), spec, b"").ending is ending


def test_a_case_that_the_host_had_no_memory_for_says_nothing_of_the_program(spec: SampleSpec) -> None:
    with pytest.raises(SandboxLost, match="far from the container's own limit"):
        run_cases(cast(Any, Ends(9, ExitCause.DIED, -9, host_short=True)), spec, b"")


def test_cases_that_end_well_count_whatever_else_the_host_had_no_memory_for(spec: SampleSpec) -> None:
    assert run_cases(cast(Any, Ends(9, ExitCause.DIED, 0, host_short=True)), spec, b"").ending is Ending.ANSWERED
