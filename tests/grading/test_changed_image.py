"""Before a grading, what of the image is run must be what it was when the image was built; else it is the host's fault."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.budget.clock import SystemClock
from runner.faults import SandboxMismatch
from runner.grading import grade
from runner.grading.context import GradingContext
from runner.grading.page_cache import check_image
from runner.job.setup import build_context, build_rules, build_spec
from runner.records.outcome import OutcomeKind
from runner.records.run import GradingConfig
from runner.sandbox import pins
from runner.sandbox.engine import Engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.pins import pin
from runner.settings import Settings
from runner.tasks.task import Task


@pytest.fixture
def context(
    engine: Engine, fleet: Fleet, nbody: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> GradingContext:
    monkeypatch.setattr(pins, "cache_folder", lambda: tmp_path)
    spec, image = build_spec(engine, nbody, Settings(), print)
    rules = build_rules(engine, nbody, "small", image, GradingConfig())
    return build_context(fleet, nbody, "small", spec, rules, SystemClock(), lambda _: None)


def test_an_image_that_holds_what_it_held_passes_and_another_does_not(context: GradingContext) -> None:
    check_image(context)  # pinned at its first use
    check_image(context)
    pin(context.spec.image_id, ("00 '/usr/bin/python3'",))  # as if all had been read otherwise once
    with pytest.raises(SandboxMismatch, match="files of the image are not what they were"):
        check_image(context)


def test_every_submission_is_then_undecided_by_the_hosts_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def slot(*_: object, **__: object) -> Iterator[Any]:
        yield {"1": SimpleNamespace(check=None)}

    def changed(context: object) -> None:
        raise SandboxMismatch(cause="2 files of the image changed", hint="do not trust this host")

    monkeypatch.setattr(grade, "measurement_cpu", lambda engine: "1")
    monkeypatch.setattr(grade, "slot_locks", slot)
    monkeypatch.setattr(grade, "exclude_cpu", slot)
    monkeypatch.setattr(grade, "check_image", changed)
    fleet = SimpleNamespace(engine=None, frozen=slot)
    on_paper: Any = SimpleNamespace(
        fleet=fleet, task=SimpleNamespace(is_measured=True), spec=SimpleNamespace(image_id="sha256:0", python="python3"),
        slots=(),
    )  # fmt: skip
    outcomes = [graded.grading.outcome for graded in grade.grade_contents(on_paper, [b"one", b"two"])]
    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.INFRASTRUCTURE] * 2
    assert {outcome.reason for outcome in outcomes} == {"2 files of the image changed"}
