"""What an image's programs and libraries hold is pinned, and looked at again before a grading."""

from pathlib import Path

import pytest

from runner.faults import InfrastructureFault, SandboxMismatch
from runner.sandbox import pins
from runner.sandbox.fleet import Fleet
from runner.sandbox.pins import check_pins, pin, read_image_files
from runner.sandbox.spec import SandboxSpec

FOUND = ("00aa '/usr/bin/python3'", "11bb '/usr/lib/libm.so.6'", "22cc '/usr/lib/python3/os.py'")


@pytest.fixture(autouse=True)
def _own_pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pins, "cache_folder", lambda: tmp_path)


def test_what_was_pinned_and_is_the_same_passes() -> None:
    pin("sha256:1", FOUND)
    check_pins("sha256:1", FOUND)


@pytest.mark.parametrize(
    "now",
    [(FOUND[0], "11bc '/usr/lib/libm.so.6'", FOUND[2]), (FOUND[0], FOUND[2]), (*FOUND, "11bb '/usr/lib/libm.so.6.1'")],
    ids=["changed", "gone", "more"],
)
def test_a_library_that_holds_something_else_is_named_and_is_the_hosts_fault(now: tuple[str, ...]) -> None:
    pin("sha256:1", FOUND)
    with pytest.raises(SandboxMismatch, match=r"1 files of the image .*libm") as fault:
        check_pins("sha256:1", now)
    assert isinstance(fault.value, InfrastructureFault) and "do not trust this host" in fault.value.hint


def test_an_image_that_was_not_built_here_is_pinned_at_its_first_use() -> None:
    check_pins("sha256:2", FOUND)
    with pytest.raises(SandboxMismatch):
        check_pins("sha256:2", FOUND[1:])
    check_pins("sha256:3", FOUND[1:])  # each image has its own


def test_two_fresh_containers_read_the_same_and_the_interpreter_is_among_it(
    fleet: Fleet, nbody_spec: SandboxSpec
) -> None:
    first, second = (read_image_files(fleet, nbody_spec, "0-1", 60.0, hashed=True) for _ in range(2))
    names = [line.partition(" ")[2] for line in first[1]]
    assert first == second and any("/bin/python3" in name for name in names) and len(names) > 500
    assert any("libc.so" in name for name in names) and any(name.endswith("os.py'") for name in names)
