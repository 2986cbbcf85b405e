"""What only the host has is looked for in all that comes out of a sandbox."""

import dataclasses
import secrets
from pathlib import Path

import pytest

from runner.faults import SandboxLost
from runner.sandbox import canaries as canaries_module
from runner.sandbox.canaries import Tripwire, canaries
from runner.sandbox.engine import Engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.spec import SandboxSpec
from runner.settings import Settings
from tests.sandbox.hands import Hands

WORD = b"only-the-host-has-this-word"


def test_a_word_is_found_however_it_is_cut_and_not_across_streams() -> None:
    for cut in range(1, len(WORD)):
        wire = Tripwire([b"another", WORD])
        assert not wire.is_tripped(1, b"before " + WORD[:cut])
        assert wire.is_tripped(1, WORD[cut:] + b" after")
    wire = Tripwire([WORD])
    assert not wire.is_tripped(1, WORD[:9]) and not wire.is_tripped(2, WORD[9:])
    assert not Tripwire([]).is_tripped(1, WORD)


def test_the_planted_word_stays_and_credentials_are_looked_for_unless_they_are_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canaries_module, "cache_folder", lambda: tmp_path)
    first = canaries(Settings(anthropic_api_key="k" * 30, openai_api_key="short"))  # type: ignore[arg-type]
    assert len(first) == 2 and first[1] == b"k" * 30 and len(first[0]) == 48
    assert canaries(Settings()) == first[:1] and (tmp_path / "canary").stat().st_mode & 0o077 == 0


def test_what_came_out_is_the_hosts_fault_and_no_score(engine: Engine, nbody_spec: SandboxSpec) -> None:
    fleet = Fleet(dataclasses.replace(engine, canaries=(WORD,)), f"test-{secrets.token_hex(4)}")
    with fleet.open(nbody_spec, "toolserver", role="agent", cpuset="0") as sandbox:
        assert Hands(sandbox).bash("echo here").startswith("here")
        with pytest.raises(SandboxLost, match="is not isolated: a word that only the host has") as fault:
            Hands(sandbox).bash("printf only-the-host-; echo has-this-word")
    assert WORD.decode() not in str(fault.value) and WORD.decode() not in repr(fleet.engine)
