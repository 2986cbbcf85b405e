"""`selftest --sandbox`: the hostile cases are whole, are played, and one that does not end as it must is seen."""

import dataclasses
import json
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from runner.cli.options import SelftestOptions
from runner.cli.selftest_sandbox import _line, _table, chosen
from runner.faults import UsageFault
from runner.sandbox.engine import Engine, find_engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.image import Image, resolve_image
from runner.selftest import besiege as besiege_module
from runner.selftest.besiege import Invariant, Siege, besiege, confusion, hostile_spec
from runner.selftest.hostile_corpus import OUTCOMES, HostileCase, read_hostile, slowed
from runner.settings import Settings
from tests.conftest import wait_until
from tests.fakes.docker_engine import FakeEngine

CASES = read_hostile()
CATEGORIES = {"resources", "processes", "protocol", "files", "kernel", "image", "neighbours"}
ALLOW_ALL = '{"defaultAction":"SCMP_ACT_ALLOW"}'


def test_there_are_enough_cases_of_each_category_and_each_has_another_text() -> None:
    assert len(CASES) >= 90 and {case.category for case in CASES} == CATEGORIES
    assert len({(case.command, repr(case.then), case.image) for case in CASES}) == len(CASES)
    assert len({case.inside for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_case_has_an_evidence_that_not_every_answer_holds(case: HostileCase) -> None:
    assert case.outcome in OUTCOMES and case.timeout_s <= 10.0
    assert not re.search(case.evidence, "")
    assert bool(case.neighbour) == bool(case.sees)


def test_a_header_that_is_not_whole_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "x.sh").write_text("# inside = 'x'\n# outcome = 'fine'\n# evidence = 'x'\ntrue\n")
    with pytest.raises(ValueError, match=r"(?s)x\.sh: .*the outcomes are"):
        read_hostile(tmp_path)


def test_cases_are_chosen_by_id_and_by_category() -> None:
    ids = [case.id for case in chosen(CASES, SelftestOptions(only=["image", "files/link"]))]
    assert "files/link" in ids and {name.partition("/")[0] for name in ids} == {"files", "image"}
    assert len(chosen(CASES, SelftestOptions(quick=True))) == -(-len(CASES) // 6)
    with pytest.raises(UsageFault, match="no case files/lnk") as fault:
        chosen(CASES, SelftestOptions(only=["files/lnk"]))
    assert "files/link" in fault.value.hint


def test_the_table_shows_what_lies_beside_the_diagonal() -> None:
    results = [
        Siege("files/a", "refused", "refused", True, "", 0.1),
        Siege("files/b", "refused", "submitted", False, "submitted it", 0.1),
    ]
    assert confusion(results) == {"refused": {"refused": 1, "submitted": 1}}
    assert [line.split() for line in _table(confusion(results))][1] == ["refused", "1", "1"]
    assert _line(results[1]).endswith("must be refused: submitted it")


def test_every_sixth_case_holds_on_this_engine(cli: Callable[..., CompletedProcess[str]]) -> None:
    done = cli("selftest", "--sandbox", "--quick", "--json")
    found = json.loads(done.stdout)
    count = len(found["cases"])
    assert [line.split()[1] for line in done.stderr.splitlines() if f" of {count}: " in line] == [
        str(number) for number in range(1, count + 1)
    ]
    assert done.returncode == 0, [case for case in found["cases"] if not case["right"]] + found["invariants"]
    assert all(case["line"].isprintable() for case in found["cases"])
    assert {invariant["name"] for invariant in found["invariants"]} >= {
        "the first bystander's answers",
        "the second bystander's time",
        "nothing left on the engine",
        "the runner's memory",
        "the runner's threads and descriptors",
    }


def test_a_wall_that_does_not_stand_is_seen(engine: Engine) -> None:
    image = resolve_image(engine, "base", Settings())
    spec = dataclasses.replace(hostile_spec(image, "", ("calls",)), seccomp=ALLOW_ALL)
    cases = [case for case in CASES if case.id in ("kernel/userfault", "kernel/clone3", "kernel/rights")]
    fleet, results = Fleet(engine, f"test-{secrets.token_hex(4)}"), list[Siege]()
    held = besiege(fleet, spec, image, cases, results.append)
    assert {result.id: result.right for result in results} == {
        "kernel/userfault": False,
        "kernel/clone3": False,
        "kernel/rights": True,
    }
    assert all(isinstance(invariant, Invariant) for invariant in held) and fleet.containers_left() == []


@pytest.mark.slow
def test_in_a_sandbox_in_which_nothing_happens_no_case_holds(tmp_path: Path) -> None:
    """What makes a case is a kernel, so that none is tried on an engine that is none; there, each must be seen to fail."""

    def print_nothing_else(command: bytes) -> bytes:
        return {b"echo here": b"here\n", b"echo $((99 * 100 / 2))": b"4950\n"}.get(command, b"done\n")

    cases = [case for case in CASES if not case.image]
    with FakeEngine(tmp_path / "engine.sock", print=print_nothing_else) as fake:
        engine = find_engine(Settings(docker_host=fake.url))
        results, image = list[Siege](), Image("sha256:0", "none", "python3", {})
        held = besiege(Fleet(engine, "siege"), hostile_spec(image, "", ()), image, cases, results.append)
    # What is no call of a tool the runner refuses itself.
    assert {result.id for result in results if result.right} == {"protocol/unknown-tool", "protocol/wrong-input"}
    shared = [
        invariant for invariant in held if not invariant.name.startswith("the runner's")
    ]  # the fake's are ours, too
    assert len(results) == len(cases) and all(invariant.held for invariant in shared), held


@pytest.mark.slow
@pytest.mark.parametrize(
    ("printed", "right"), [(b"here\nlate\n", True), (b"late\nhere\n", True), (b"late\n", False), (b"", False)]
)
def test_the_command_after_a_case_may_stand_among_what_the_case_still_writes(
    tmp_path: Path, printed: bytes, right: bool
) -> None:
    def print_among_others(command: bytes) -> bytes:
        return {b"echo here": printed, b"echo $((99 * 100 / 2))": b"4950\n"}.get(command, b"late\n")

    cases, results = [case for case in CASES if case.id == "processes/background-writer"], list[Siege]()
    with FakeEngine(tmp_path / "engine.sock", print=print_among_others) as fake:
        engine, image = find_engine(Settings(docker_host=fake.url)), Image("sha256:0", "none", "python3", {})
        besiege(Fleet(engine, "siege"), hostile_spec(image, "", ()), image, cases, results.append)
    assert [(result.id, result.right) for result in results] == [("processes/background-writer", right)]


def test_a_bystander_that_stands_by_no_more_is_seen_whatever_it_ended_of(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([("answered", besiege_module.BYSTANDER_TEXT)] * 3)

    def call(sandbox: object, asked: object) -> tuple[str, str]:
        try:
            return next(answers)
        except StopIteration:
            raise KeyError("an answer of another form") from None

    monkeypatch.setattr(besiege_module, "_call", call)
    sandbox: Any = None
    bystander = besiege_module.Bystander(sandbox, slower=0.1)
    wait_until(lambda: not bystander._thread.is_alive())
    bystander.end()
    answered, _ = bystander.invariants("first")
    assert not answered.held and "KeyError" in answered.seen


def test_on_a_slower_host_each_command_of_a_case_gets_so_many_times_as_long() -> None:
    for case in CASES:
        slow = slowed(case, 6.0)
        assert slow.timeout_s == 6.0 * case.timeout_s and slowed(case, 1.0) == case
        given = [(call, more) for call, more in zip(case.then, slow.then, strict=True) if call["tool"] == "bash"]
        assert all(more["timeout_s"] == 6.0 * call.get("timeout_s", 10.0) for call, more in given)
        assert ("timed out after 1 s" in case.evidence) == ("timed out after 6 s" in slow.evidence)
        assert [call for call in case.then if call["tool"] != "bash"] == [
            call for call in slow.then if call["tool"] != "bash"
        ]
