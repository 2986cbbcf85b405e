"""The wire, as it must be read whoever wrote it."""

import contextlib
import json
import os
import tracemalloc
import types
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.sandbox import wire
from runner.sandbox.wire import (
    TO_GUEST,
    TO_HOST,
    Decoder,
    Demultiplexer,
    Frame,
    Kind,
    Seal,
    WireError,
    decode_head,
    encode,
)

heads = st.dictionaries(
    st.text(max_size=10), st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text(max_size=20), max_size=5
)
frames = st.builds(Frame, st.sampled_from(Kind), st.integers(0, 2**32 - 1), heads, st.binary(max_size=300))


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The bytes in pieces."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in zip(edges, edges[1:], strict=False)]


@given(st.lists(frames, max_size=5), st.lists(st.integers(0, 10_000), max_size=12))
def test_frames_come_out_as_they_went_in_wherever_the_stream_is_cut(sent: list[Frame], places: list[int]) -> None:
    decoder = Decoder(body_bytes_max=1000)
    data = b"".join(encode(frame) for frame in sent)
    assert [frame for piece in cut(data, places) for frame in decoder.feed(piece)] == sent
    assert not decoder.has_partial_frame


@given(st.binary(max_size=400))
def test_any_bytes_are_frames_or_a_wire_error_and_nothing_else(data: bytes) -> None:
    with contextlib.suppress(WireError):
        list(Decoder(body_bytes_max=100).feed(data))


def test_a_body_over_the_limit_is_refused_by_its_header_alone() -> None:
    header = wire.HEADER.pack(2, 2**32 - 1, Kind.ANSWER, 1)
    with pytest.raises(WireError, match="a body of 4294967295 bytes"):
        list(Decoder(body_bytes_max=1000).feed(header))


@pytest.mark.parametrize(
    "head",
    [
        b'{"a": 1, "a": 2}',
        b'{"a": NaN}',
        b"[1]",
        b"{" + b'"a":[' * 40_000,
        b"\xff\xfe",
        b'{"a": 1e999' + b"9" * 10,
        b'{"a": 1e999}',
        b'{"a": ' + b"[" * 20 + b"]" * 20 + b"}",
    ],
    ids=["duplicate key", "NaN", "no object", "deep nesting", "no UTF-8", "cut", "infinite", "deeper than it need be"],
)
def test_a_head_that_is_not_strict_json_is_a_wire_error(head: bytes) -> None:
    with pytest.raises(WireError):
        decode_head(head)


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=50)), max_size=8), st.lists(st.integers(0, 500)))
def test_stdout_and_stderr_come_apart_wherever_the_stream_is_cut(
    pieces: list[tuple[int, bytes]], places: list[int]
) -> None:
    data = b"".join(wire.MUX_HEADER.pack(stream, bytes(3), len(body)) + body for stream, body in pieces)
    demultiplexer = Demultiplexer()
    got: dict[int, bytes] = {1: b"", 2: b""}
    for piece in cut(data, places):
        for stream, body in demultiplexer.feed(piece):
            got[stream] += body
    for stream in (1, 2):
        assert got[stream] == b"".join(body for number, body in pieces if number == stream)


def test_bytes_that_look_like_the_engines_header_are_payload() -> None:
    lie = wire.MUX_HEADER.pack(2, bytes(3), 5)
    data = wire.MUX_HEADER.pack(1, bytes(3), len(lie)) + lie
    assert list(Demultiplexer().feed(data)) == [(1, lie)]


def test_a_stream_that_is_not_multiplexed_is_a_wire_error() -> None:
    with pytest.raises(WireError, match="not multiplexed"):
        list(Demultiplexer().feed(b"hello, world"))


def inside_with(key: bytes) -> types.ModuleType:
    """The wire's other end."""
    inside = types.ModuleType("inside")
    text = (Path(wire.__file__).parent / "inside" / "frames.py").read_text(encoding="utf-8")
    exec(compile(f"WIRE_KEY = {key!r}\n{text}", "frames.py", "exec"), inside.__dict__)
    return inside


def written_inside(path: Path, *frames: Frame) -> bytes:
    """Frames as PID 1 writes them, with their tags."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    writer = inside_with(KEY).Wire(-1, file)
    for frame in frames:
        writer.write(frame.kind, frame.sequence, frame.head, frame.body)
    os.close(file)
    return path.read_bytes()


@given(frames)
def test_the_inside_speaks_the_same_wire(frame: Frame) -> None:
    """The program inside has its own writer and reader, since nothing of the host is sent in; they must agree."""
    inside = inside_with(b"")
    head = json.dumps(frame.head).encode()
    packed = inside.HEADER.pack(len(head), len(frame.body), frame.kind, frame.sequence)
    assert list(Decoder(1000).feed(packed + head + frame.body)) == [frame]
    assert inside.HEAD_BYTES_MAX == wire.HEAD_BYTES_MAX
    assert {name: getattr(inside, name) for name in Kind.__members__} == {k.name: k.value for k in Kind}


# Tags

KEY = b"k" * 32
FRAMES = [Frame(Kind.REPLY, number, {"n": number}, b"x" * number) for number in range(3)]


def sealed(frames: list[Frame], key: bytes = KEY, direction: bytes = TO_HOST) -> list[bytes]:
    seal = Seal(key, direction)
    return [data + seal.tag(data) for data in map(encode, frames)]


def test_frames_with_the_right_tags_are_read_whatever_pieces_they_come_in() -> None:
    decoder, data = Decoder(1000, Seal(KEY, TO_HOST)), b"".join(sealed(FRAMES))
    assert [frame for at in range(len(data)) for frame in decoder.feed(data[at : at + 1])] == FRAMES


@pytest.mark.parametrize(
    "data",
    [
        sealed(FRAMES)[0][:-1] + b"?",
        encode(FRAMES[0]) + bytes(16),
        b"".join(sealed(FRAMES, b"another key" * 3)),
        b"".join(sealed(FRAMES, direction=TO_GUEST)),
        sealed(FRAMES)[0] * 2,
        sealed(FRAMES)[1],
        sealed(FRAMES)[0].replace(b'"n": 0', b'"n": 9'),
    ],
    ids=["wrong tag", "no tag", "another key", "turned around", "said twice", "one left out", "changed"],
)
def test_a_frame_that_is_not_the_next_of_pid_1_is_forged(data: bytes) -> None:
    with pytest.raises(WireError, match=r"a forged frame: .*kind 2, sequence"):
        list(Decoder(1000, Seal(KEY, TO_HOST)).feed(data))


def test_both_ends_make_the_same_tags(tmp_path: Path) -> None:
    assert list(Decoder(1000, Seal(KEY, TO_HOST)).feed(written_inside(tmp_path / "out", *FRAMES))) == FRAMES
    (tmp_path / "in").write_bytes(b"".join(sealed(FRAMES, direction=TO_GUEST)))
    file = os.open(tmp_path / "in", os.O_RDONLY)
    reader = inside_with(KEY).Wire(file, -1)
    assert [reader.read() for _ in FRAMES] == [(f.kind, f.sequence, f.head, f.body) for f in FRAMES]
    assert reader.read() is None
    os.close(file)


@pytest.mark.parametrize("char", ["\U0001f600", "\x01", "\x7f", "\u2028", "\ud800", "ä", '"', "\\"])
def test_a_head_with_ten_thousand_characters_of_whatever_kind_can_be_sent(tmp_path: Path, char: str) -> None:
    """As many as a failure in a sample has at the most."""
    frame = Frame(Kind.FAILED, 1, {"error": char * 2_000, "traceback": char * 8_000})
    assert list(Decoder(1000, Seal(KEY, TO_HOST)).feed(written_inside(tmp_path / "out", frame))) == [frame]


def test_a_large_body_is_not_copied_to_be_sent(tmp_path: Path) -> None:
    body = bytes(8 * 1024 * 1024)
    writer = inside_with(KEY).Wire(-1, os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT))
    tracemalloc.start()
    writer.write(Kind.REPLY, 1, {"ok": True}, body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    os.close(writer.writing)
    assert peak < 1024 * 1024
