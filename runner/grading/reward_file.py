"""The reward that a task's script wrote, read by bounds: numbers, and nothing else. Pure."""

import math
import re
from collections.abc import Mapping

from runner.records.untrusted_json import InvalidJson, check_size, parse_object

REWARD_BYTES_MAX = 64 * 1024  # chosen: a number, or some names with one each
REWARDS_MAX = 100  # chosen: figures of one test
NAME_CHARS_MAX = 100  # chosen
SHOWN_CHARS_MAX = 60  # chosen: enough of a text to see what it is
NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
NUMBER_CHARS_MAX = 64  # chosen: a float64 with all its digits has 24
REWARD_MAX = 1e100  # chosen: what is made of such numbers, a mean over steps or a variance, is finite, too
PLAIN = "reward"  # the name of the one number of a text


def read_reward(name: str, content: bytes) -> Mapping[str, float] | str:
    """The rewards by name; or why it is none, which may quote the file: hostile text.

    Args:
        name: of the file; where it ends in .json it is an object of numbers, else one number.
    """
    if not content.strip():
        return f"{name} is empty"
    if len(content) > REWARD_BYTES_MAX:
        return f"{name} has {len(content)} bytes, {REWARD_BYTES_MAX} are allowed"
    return _of_json(name, content) if name.endswith(".json") else _of_text(name, content)


def disagreement(rewards: Mapping[str, float], name: str, content: bytes) -> str:
    """Why it is not known what the tests gave, where a second file was written; empty where both say the same.

    A script writes one of the two, or both alike: another one may be by what it ran.

    Args:
        rewards: what the first file says.
        name, content: of the second one.
    """
    said = read_reward(name, content)
    if isinstance(said, str):
        return f"a second reward is there, and {said}"
    mine = reward_named(rewards, PLAIN)
    return "" if mine is not None and said == {PLAIN: mine} else f"two rewards are there, and {name} says another one"


def reward_named(rewards: Mapping[str, float], name: str) -> float | None:
    """The reward of that name, or the only one there is, whatever its name; None where neither is."""
    return rewards.get(name, next(iter(rewards.values())) if len(rewards) == 1 else None)


def _of_text(name: str, content: bytes) -> Mapping[str, float] | str:
    text = content.decode("ascii", "replace").strip()
    value = float(text) if len(text) <= NUMBER_CHARS_MAX and NUMBER.fullmatch(text) else math.nan
    if not abs(value) <= REWARD_MAX:
        return f"{name} holds {text[:SHOWN_CHARS_MAX]!r}, which is not a finite number of at most {REWARD_MAX:g}"
    return {PLAIN: value}


def _of_json(name: str, content: bytes) -> Mapping[str, float] | str:
    try:
        check_size(content, values_max=REWARDS_MAX + 1)
        found = parse_object(content, unique_keys=True)
    except InvalidJson as error:
        return f"{name} is {error}" if str(error).startswith("not") else f"{name}: {error}"
    if not found:
        return f"{name} holds no reward"
    for key, value in found.items():
        if len(key) > NAME_CHARS_MAX:
            return f"{name} has a name of {len(key)} characters"
        # A whole number may be larger than any float.
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > REWARD_MAX:
            return f"{key[:SHOWN_CHARS_MAX]!r} of {name} is not a finite number of at most {REWARD_MAX:g}"
    return {key: float(value) for key, value in found.items()}
