"""A reward file: finite numbers, or the reason why it holds none."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.grading.reward_file import disagreement, read_reward
from runner.grading.tested_work import combined, reaches
from runner.records.bundle import pack_steps, unpack_steps
from runner.tasks.schema import StepSection


@pytest.mark.parametrize("text", ["1", "1.0", " 0.5\n", "-2", "1e-3", ".5", "+1."])
def test_a_text_is_one_number(text: str) -> None:
    assert read_reward("reward.txt", text.encode()) == {"reward": float(text)}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" \n",
        b"nan",
        b"inf",
        b"-Infinity",
        b"1e999",
        b"1 2",
        b"one",
        b"0x1",
        b"1_0",
        b"\xff",
        b"1" * 70,
        b"\0",
        b"1e101",
        b"-1e308",
    ],
)
def test_what_is_no_finite_number_is_no_reward(content: bytes) -> None:
    assert isinstance(read_reward("reward.txt", content), str)


def test_an_object_holds_numbers_by_name() -> None:
    assert read_reward("reward.json", b'{"reward": 1, "speed": 2.5}') == {"reward": 1.0, "speed": 2.5}


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{}", b"[1]", b"1", b'{"reward": "1"}', b'{"reward": true}', b'{"reward": null}', b'{"reward": NaN}',
        b'{"reward": 1e999}', b'{"reward": -2e100}', b'{"reward": Infinity}', b'{"reward": [1]}',
        b'{"reward": 1, "reward": 0}', b'{"reward": 1', b'{"%s": 1}' % (b"n" * 200),
        b'{"reward": 1%s}' % (b"0" * 400), b"[" * 100_000, b'{"a": ' * 1000,
        b"{" + b",".join(b'"%d": 1' % number for number in range(500)) + b"}",
    ],
)  # fmt: skip
def test_an_object_of_anything_else_is_no_reward(content: bytes) -> None:
    assert isinstance(read_reward("reward.json", content), str)


@given(st.binary(max_size=200), st.sampled_from(["reward.json", "reward.txt"]))
def test_no_bytes_make_anything_but_finite_numbers_or_a_reason(content: bytes, name: str) -> None:
    found = read_reward(name, content)
    assert isinstance(found, str) or all(math.isfinite(value) for value in found.values())


def test_the_mean_over_steps_of_the_largest_rewards_is_a_number_that_can_be_kept() -> None:
    largest = read_reward("reward.txt", b"1e100")
    assert isinstance(largest, dict)
    mean = combined(1000, "reward", "mean", [largest] * 1000)
    assert mean is not None and math.isfinite(mean**2)


@given(st.integers(1, 1000), st.integers(1, 12))
def test_steps_that_reach_a_bar_exactly_reach_it_together(hundredths: int, steps: int) -> None:
    reward = hundredths / 100
    assert combined(steps, "reward", "mean", [{"reward": reward}] * steps) == reward


@pytest.mark.parametrize(
    ("steps", "over", "done", "reward"),
    [
        (1, "mean", [{"reward": 1.0}], 1.0),
        (1, "mean", [{"score": 0.5}], 0.5),
        (1, "mean", [{"score": 0.5, "speed": 2.0}], None),
        (3, "mean", [{"reward": 1.0}], 1 / 3),
        (2, "mean", [{"reward": 1.0}, {"reward": 0.5, "speed": 3.0}], 0.75),
        (2, "final", [{"reward": 1.0}, {"reward": 0.5}], 0.5),
        (2, "final", [{"reward": 1.0}], 0.0),
    ],
)
def test_the_steps_make_one_reward(steps: int, over: str, done: list[dict[str, float]], reward: float | None) -> None:
    assert combined(steps, "reward", over, done) == reward


@pytest.mark.parametrize(
    ("bars", "rewards", "goes_on"),
    [
        ({}, {"reward": 0.0}, True),
        ({"reward": 0.5}, {"reward": 0.5}, True),
        ({"reward": 0.5}, {"reward": 0.4}, False),
        ({"speed": 1.0}, {"reward": 1.0}, False),
    ],
)
def test_a_step_under_its_bar_is_the_last_one_that_is_looked_at(
    bars: dict[str, float], rewards: dict[str, float], goes_on: bool
) -> None:
    step = StepSection(name="one", image="i", run=["true"], collect=["."], minimums=bars)
    assert reaches(step, rewards) is goes_on


@given(st.lists(st.binary(max_size=30), min_size=2, max_size=5))
def test_works_of_several_steps_are_kept_apart(works: list[bytes]) -> None:
    assert unpack_steps(pack_steps(works)) == works


@pytest.mark.parametrize(
    "content", [b"runner steps 1\n5\nabc", b"runner steps 1\nx\n", b"runner steps 1\n-1\n", b"runner steps 1\n9"]
)
def test_a_run_of_bytes_that_is_cut_or_broken_holds_no_works(content: bytes) -> None:
    assert unpack_steps(content) is None


@pytest.mark.parametrize(
    ("rewards", "beside", "agrees"),
    [
        ({"reward": 1.0}, b"1", True),
        ({"reward": 0.5, "items": 3.0}, b"0.50\n", True),
        ({"share": 1.0}, b"1", True),
        ({"reward": 1.0}, b"0", False),
        ({"reward": 1.0}, b"", False),
        ({"reward": 1.0}, b"nan", False),
        ({"share": 1.0, "items": 3.0}, b"1", False),
    ],
)
def test_a_second_reward_must_say_the_same(rewards: dict[str, float], beside: bytes, agrees: bool) -> None:
    assert (disagreement(rewards, "reward.txt", beside) == "") is agrees
