"""A profile: what the thread inside sees, whose time it is, and how it grows."""

import json
import threading
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.grading.profile import OUTSIDE, Watched, exponent, read_watched, shares_of
from runner.job.measure.profile import growth_of
from runner.records.measured import Profile
from runner.sandbox import wire

DEFINITIONS = {"first": ["Work.first"], "second": ["Work.second", "helper"]}


def test_a_stack_counts_for_the_innermost_part_in_it_and_the_rest_for_its_function() -> None:
    stacks = {
        "run;Work.first": 2.0,
        "run;Work.first;helper": 1.0,
        "run;Work.second;inner": 3.0,
        "run;prepare": 3.0,
        "": 1.0,
    }
    shares = shares_of(stacks, DEFINITIONS)
    assert shares == pytest.approx({"second": 0.4, "first": 0.2, "prepare": 0.3, OUTSIDE: 0.1})
    assert shares_of({}, DEFINITIONS) == {}


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"[]",
        b"{}",
        b'{"seconds": 1e999, "looks": 1, "stacks": {}}',
        b'{"seconds": 1, "looks": true, "stacks": {}}',
        b'{"seconds": 1, "looks": -1, "stacks": {}}',
        b'{"seconds": 1, "looks": 1, "stacks": []}',
        b'{"seconds": 1, "looks": 1, "stacks": {"a": "1"}}',
        b'{"seconds": 1, "looks": 1, "stacks": {"a": -1}}',
        b'{"seconds": 1, "looks": 1, "stacks": {"a": {"b": {"c": 1}}}}',
    ],
)
def test_what_a_profiler_says_is_checked(said: bytes) -> None:
    assert read_watched(said) == "what its profiler said cannot be read"


def test_what_a_profiler_says_is_read() -> None:
    said = json.dumps({"seconds": 2, "looks": 3, "stacks": {"a;b": 1.5}}).encode()
    assert read_watched(said) == Watched(2.0, 3, {"a;b": 1.5})


# The thread

LOOKS = 40  # enough for shares


@pytest.fixture
def inside() -> types.ModuleType:
    """The text that runs inside, run here, with a driver that is only said to be there."""
    made = types.ModuleType("inside")
    made.__dict__.update({"Driver": object, "sys": __import__("sys")})
    exec((Path(wire.__file__).parent / "inside" / "profiler.py").read_text(encoding="utf-8"), made.__dict__)
    return made


@pytest.mark.slow
def test_the_thread_sees_where_the_time_goes(inside: types.ModuleType, tmp_path: Path) -> None:
    source = """
class Work:
    def long(self):
        end = time.perf_counter() + 0.3
        while time.perf_counter() < end:
            [x for x in range(100)]

    def short(self):
        def inner():
            end = time.perf_counter() + 0.1
            while time.perf_counter() < end:
                pass
        inner()

def run():
    Work().long()
    Work().short()
"""
    namespace: dict[str, Any] = {"time": time}
    exec(compile(source, str(tmp_path / "x.py"), "exec"), namespace)
    watcher = inside.Watcher(threading.get_ident(), str(tmp_path / "x.py"))
    watcher.looking = True
    watcher.start()
    for _ in range(100):  # on a busy machine it looks less often
        namespace["run"]()
        if watcher.looks > LOOKS:
            break
    watcher.done.set()
    watcher.join()
    shares = shares_of(watcher.seconds, {"long": ["Work.long"], "short": ["Work.short"]})
    assert watcher.looks > LOOKS
    assert 0.5 < shares["long"] < 0.95 and 0.05 < shares["short"] < 0.5


# Growth


def profiles(power: float, noise: Iterator[float], looks: int = 400) -> tuple[Profile, ...]:
    made = []
    for size in (100, 400):
        seconds = tuple(1e-4 * size**power * next(noise) for _ in range(3))
        made.append(
            Profile(
                title="x", run=1, sha256="s", scale=str(size), size=size, seconds=seconds, samples=(looks,) * 3,
                shares=({"a": 0.9, "b": 0.1},) * 3,
            )
        )  # fmt: skip
    return tuple(made)


def test_the_exponent_is_found_with_its_interval() -> None:
    found = {growth.part: growth.exponent for growth in growth_of(profiles(2.0, iter([1.0, 1.05, 0.97] * 2)))}
    for part in ("a", "b"):
        exponent = found[part]
        assert exponent is not None and exponent.low is not None and exponent.high is not None
        assert exponent.low < 2.0 < exponent.high and exponent.high - exponent.low < 0.4


def test_a_part_that_was_hardly_seen_has_no_exponent() -> None:
    found = {growth.part: growth for growth in growth_of(profiles(2.0, iter([1.0] * 6), looks=50))}
    assert found["a"].exponent is not None and found["b"].exponent is None and "too short" in found["b"].reason


def test_one_scale_says_nothing_of_growth() -> None:
    assert growth_of(profiles(2.0, iter([1.0] * 6))[:1]) == ()
    assert exponent([(5.0, 1.0), (5.0, 2.0)]) is None
    assert exponent([(1.0, 1.0), (2.0, 4.0)]) is not None
