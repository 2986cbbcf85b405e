"""JSON that others wrote: whatever it is, it is a value that can be written again, or InvalidJson, and nothing else."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.records.untrusted_json import (
    LEVELS_MAX,
    TOO_DEEP,
    InvalidJson,
    check_size,
    is_too_deep,
    parse_object,
    sanitize,
)

LONE_SURROGATES = st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF)  # two could be a pair
ANY_TEXT = st.text(max_size=8) | LONE_SURROGATES
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(ANY_TEXT, VALUES, max_size=4)
SPLINTERS = st.lists(
    st.sampled_from([b'"', b"\\", b"[", b"]", b"{", b"}", b",", b":", b"1", b"1e999", b"NaN", b"\xff"]), max_size=40
).map(b"".join)


def nested(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels - 1):
        value = {"x": value}
    return value


@given(OBJECTS)
def test_an_object_that_was_written_is_read_back_unchanged(value: dict[str, Any]) -> None:
    assert parse_object(json.dumps(value).encode(), unique_keys=True) == value


@given(st.binary(max_size=60) | SPLINTERS)
def test_any_bytes_are_an_object_that_can_be_written_or_invalid(text: bytes) -> None:
    try:
        value = parse_object(b'{"x": ' + text + b"}")
    except InvalidJson as error:
        assert str(error)
    else:
        assert json.loads(json.dumps(value, allow_nan=False)) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not valid JSON"),
        ("[" * 100_000, f"nested deeper than {LEVELS_MAX} levels"),
        ("[" * 10, "not valid JSON"),
        ('{"x": ' + "9" * 5_000 + "}", "an integer has 5000 digits"),
        ('{"x": -' + "9" * 400 + "}", "an integer has 401 digits"),
        (b'{"x": "\xff"}', "not valid JSON"),
        ('{"x": 1}'.encode("utf-16"), "not valid JSON"),
        ("[1]", "not a JSON object"),
        ('{"x": NaN}', "NaN is not a finite number"),
        ('{"x": -Infinity}', "-Infinity is not a finite number"),
        ('{"x": 1e999}', "1e999 is not a finite number"),
        (json.dumps(nested(LEVELS_MAX + 1)), f"nested deeper than {LEVELS_MAX} levels"),
    ],
)
def test_what_is_wrong_is_said(text: str | bytes, reason: str) -> None:
    with pytest.raises(InvalidJson, match=reason):
        parse_object(text)


def test_a_repeated_key_is_refused_only_where_keys_must_be_unique() -> None:
    text = '{"x": {"a": 1, "a": 2}}'
    assert parse_object(text) == {"x": {"a": 2}}
    with pytest.raises(InvalidJson, match="a key is repeated"):
        parse_object(text, unique_keys=True)


@given(st.integers(1, 90), st.integers(1, 90))
def test_levels_are_counted_alike_before_and_after_parsing(levels: int, levels_max: int) -> None:
    value = nested(levels)
    assert is_too_deep(value, levels_max) is (levels > levels_max)
    if levels > levels_max:
        with pytest.raises(InvalidJson, match="nested deeper"):
            check_size(json.dumps(value).encode(), values_max=1000, levels_max=levels_max)
    else:
        check_size(json.dumps(value).encode(), values_max=1000, levels_max=levels_max)


DEEP = """
import sys, threading
from runner.records.untrusted_json import InvalidJson, parse_object

sys.setrecursionlimit(10**6)


def parse():
    for text in ("[" * 65_536, b"[" * 10**6, '{"":' * 10**5, '{"a": "' + "[" * 100 + '"}'):
        try:
            print(list(parse_object(text)))
        except InvalidJson as error:
            print(error)


parse()
other = threading.Thread(target=parse)
other.start()
other.join()
"""


@pytest.mark.slow
def test_what_is_nested_deep_ends_no_process_whose_recursion_limit_somebody_raised(project: Path) -> None:
    """A problem.py whose reference recurses raises it for the whole process, and a guest chooses how deep a frame is."""
    done = subprocess.run([sys.executable, "-c", DEEP], cwd=project, capture_output=True, text=True, check=False)
    said = [*["nested deeper than 64 levels"] * 3, "['a']"]
    assert (done.returncode, done.stdout.splitlines()) == (0, said * 2), done.stderr


def test_a_value_that_contains_itself_is_too_deep() -> None:
    value: list[Any] = []
    value.append(value)
    assert is_too_deep(value)


@pytest.mark.parametrize("text", [b"[" + b"[]," * 200, b"1," * 200, b'"",' * 200, b'"x"' * 500])
def test_too_many_values_are_told_from_the_bytes(text: bytes) -> None:
    with pytest.raises(InvalidJson, match="too many values") as error:
        check_size(text, values_max=100)
    assert error.value.too_large


@given(st.text(st.sampled_from('"\\[]{},x'), max_size=200))
def test_what_stands_in_a_string_is_no_value_and_no_level(text: str) -> None:
    check_size(json.dumps({"x": text}).encode(), values_max=4, levels_max=1)


@given(st.recursive(st.floats() | ANY_TEXT, lambda inner: st.lists(inner, max_size=4) | st.tuples(inner), max_leaves=9))
def test_a_sanitized_value_is_strict_json_in_utf_8_and_stays_as_it_is(value: Any) -> None:
    sanitized = sanitize(value)
    json.dumps(sanitized, allow_nan=False, ensure_ascii=False).encode("utf-8")
    assert sanitize(sanitized) == sanitized


def test_sanitizing_replaces_surrogates_infinities_and_what_is_nested_without_end() -> None:
    assert sanitize({"\ud800": ["\udfff", math.inf, 1.5, None]}) == {"?": ["?", "inf", 1.5, None]}
    assert sanitize(nested(3), levels_max=2) == {"x": {"x": TOO_DEEP}}
    value: Any = "x"
    for _ in range(5_000):
        value = [value]
    assert TOO_DEEP in json.dumps(sanitize({"input": value}))
