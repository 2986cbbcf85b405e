"""A file that is the answer: what its readers take, and that they say why, in bounded time and words, of anything else."""

import json
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.grading.answer_file import read_answer
from runner.tasks.task import Array

COLUMNS = (Array("label", "int64", (3,), 0, 9), Array("score", "float64", (3,)))
NESTED = (Array("points", "float32", (2, 2)), Array("ok", "bool", ()))
GOOD_CSV = b"label,score\n1,0.5\n2,-1e-3\n3,7\n"
GOOD_JSON = b'{"points": [[1, 2.5], [3, 4]], "ok": true}'
MOST = 1000


@pytest.mark.parametrize(
    "content", [GOOD_CSV, GOOD_CSV[:-1], GOOD_CSV.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + GOOD_CSV]
)
def test_a_csv_is_read_by_its_names(content: bytes) -> None:
    read = read_answer("csv", content, COLUMNS, MOST)
    assert not isinstance(read, str)
    assert read["label"].tolist() == [1, 2, 3] and read["label"].dtype == np.int64
    assert read["score"].tolist() == [0.5, -1e-3, 7.0]


def test_columns_may_stand_in_any_order() -> None:
    read = read_answer("csv", b"score,label\n0,1\n0,2\n0,3\n", COLUMNS, MOST)
    assert not isinstance(read, str) and read["label"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("content", [GOOD_JSON, b"\xef\xbb\xbf" + GOOD_JSON, GOOD_JSON + b"\r\n"])
def test_json_holds_nested_arrays_and_plain_values(content: bytes) -> None:
    read = read_answer("json", content, NESTED, MOST)
    assert not isinstance(read, str)
    assert read["points"].tolist() == [[1.0, 2.5], [3.0, 4.0]] and read["points"].dtype == np.float32
    assert bool(read["ok"])


def test_a_text_is_handed_on_as_it_is() -> None:
    read = read_answer("text", b"a\xff", (), MOST)
    assert not isinstance(read, str) and read["text"].tobytes() == b"a\xff"


@pytest.mark.parametrize(
    ("form", "content", "words"),
    [
        ("csv", b"", "the first line is ''"),
        ("csv", GOOD_CSV + b"4,4\n", "more than 4 lines"),
        ("csv", b"label,score\n1,0.5\n", "1 lines of values, asked for were 3"),
        ("csv", GOOD_CSV.replace(b"label", b"lable"), "asked for were the names label, score"),
        ("csv", GOOD_CSV.replace(b"score", b"label"), "asked for were the names"),
        ("csv", GOOD_CSV.replace(b"2,", b"2,2,"), "line 3 has 3 values"),
        ("csv", GOOD_CSV.replace(b"1,", b"1.0,"), "line 2: label is '1.0', asked for was int64"),
        ("csv", GOOD_CSV.replace(b"1,", b'"1",'), "asked for was int64"),
        ("csv", GOOD_CSV.replace(b"1,", b"99,"), "lies in [2, 99], allowed is [0, 9]"),
        ("csv", GOOD_CSV.replace(b"1,", b"9999999999999999999,"), "int64 cannot hold"),
        ("csv", GOOD_CSV.replace(b"0.5", b"nan"), "score is 'nan'"),
        ("csv", GOOD_CSV.replace(b"0.5", b"1e999"), "asked for was float64"),
        ("csv", GOOD_CSV.replace(b"0.5", b"1_0"), "asked for was float64"),
        ("csv", GOOD_CSV.replace(b"0.5", b"\xff"), "not UTF-8"),
        ("csv", GOOD_CSV + b"\n" * 2000, "bytes, 1000 are allowed"),
        ("json", b"[1]", "not a JSON object"),
        ("json", b'{"points": [[1, 2], [3, 4]]}', "asked for were ok, points"),
        ("json", GOOD_JSON.replace(b"true", b"1"), "'1' stands where a value of bool"),
        ("json", GOOD_JSON.replace(b"2.5", b'"x"'), "'x' stands where a value of float32"),
        ("json", GOOD_JSON.replace(b"2.5", b"true"), "stands where a value of float32"),
        ("json", GOOD_JSON.replace(b"2.5", b"1e999"), "not a finite number"),
        ("json", GOOD_JSON.replace(b"2.5", b"1e300"), "not finite"),
        ("json", GOOD_JSON.replace(b"2.5", b"9" * 200), "not finite"),
        ("json", GOOD_JSON.replace(b"2.5", b"9" * 400), "an integer has 400 digits"),
        ("json", GOOD_JSON.replace(b"[3, 4]", b"[3]"), "an array of 1 stands where an array of 2"),
        ("json", GOOD_JSON.replace(b"2.5", b"[" * 70 + b"]" * 70), "nested deeper"),
        ("json", b"{" * 900, "nested deeper"),
    ],
)  # fmt: skip
def test_another_form_is_a_reason(form: str, content: bytes, words: str) -> None:
    read = read_answer(form, content, COLUMNS if form == "csv" else NESTED, MOST)
    assert isinstance(read, str) and words in read


def test_a_gigabyte_is_refused_before_anything_of_it_is_read() -> None:
    content = bytes(1024**3)  # pages of zeros that the kernel hands out only where somebody looks
    start = time.process_time()
    for form in ("csv", "json", "text"):
        assert read_answer(form, content, COLUMNS, MOST) == "the file has 1073741824 bytes, 1000 are allowed"
    looked_s = time.process_time() - start
    part = content[: 2**24]
    start = time.process_time()
    part.count(b"1")
    assert looked_s < time.process_time() - start


def test_a_large_file_of_lines_is_not_split_before_its_lines_are_counted() -> None:
    read = read_answer("csv", b"1,1\n" * 100_000, COLUMNS, 10**6)
    assert isinstance(read, str) and "more than 4 lines" in read


@given(st.binary(max_size=200) | st.text(alphabet='label,score\n0123456789.eE+-"[]{}: ', max_size=120).map(str.encode))
def test_whatever_is_read_gives_the_declared_arrays_or_a_short_reason(content: bytes) -> None:
    for form, declared in (("csv", COLUMNS), ("json", NESTED)):
        read = read_answer(form, content, declared, MOST)
        if isinstance(read, str):
            assert 0 < len(read) < 600
        else:
            assert {name: array.shape for name, array in read.items()} == {a.name: a.shape for a in declared}
            assert all(np.all(np.isfinite(array)) for array in read.values())


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(allow_nan=False, allow_infinity=False)), min_size=3, max_size=3))
def test_what_was_written_is_what_is_read(rows: list[tuple[int, float]]) -> None:
    labels, scores = [row[0] for row in rows], [row[1] for row in rows]
    csv = "label,score\n" + "".join(f"{label},{score!r}\n" for label, score in rows)
    written = json.dumps({"label": labels, "score": scores})
    for form, content in (("csv", csv), ("json", written)):
        read = read_answer(form, content.encode(), COLUMNS, MOST)
        assert not isinstance(read, str)
        assert read["label"].tolist() == labels and read["score"].tolist() == scores


@pytest.mark.parametrize("content", [b"[", b'{"inside": [NaN]}', b'{"inside": [1], "inside": [1]}', b"[" * 900])
def test_why_a_file_is_no_json_is_said_in_a_sentence(content: bytes) -> None:
    said = read_answer("json", content, COLUMNS, MOST)
    assert isinstance(said, str) and said.startswith("the file cannot be taken as JSON: ")
