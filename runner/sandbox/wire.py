"""The wire: length-prefixed frames over one byte stream, pure.

A frame is `head length, body length, kind, sequence` (13 bytes, big endian), then the head (a JSON object) and the body
(raw bytes). But in a sample a tag of 16 bytes follows, by a key that only the host and PID 1 hold. Lengths are checked
before anything is stored. Everything that is decoded here comes from a container and is hostile until it has been checked.
"""

import hmac
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from runner.records.untrusted_json import InvalidJson, parse_object

HEADER = struct.Struct("!IIBI")
HEAD_BYTES_MAX = 64 * 1024  # as in inside/frames.py
TAG_BYTES = 16  # of 32: no guess of half of an HMAC-SHA-256 comes true (RFC 2104, section 5)
TO_GUEST, TO_HOST = b">", b"<"
HEAD_DEPTH_MAX = 16  # chosen: heads are flat
MUX_HEADER = struct.Struct("!B3sI")
MUX_PAYLOAD_BYTES_MAX = 16 * 1024 * 1024  # chosen: far over the pieces that engines send


class Kind(IntEnum):
    """What a frame is.

    DATA is what passes beside a request under way, either way; TAKEN says how many such frames were taken.
    """

    REQUEST = 1
    REPLY = 2
    HELLO = 3
    READY = 4
    ANSWER = 5
    FAILED = 6
    DATA = 7
    TAKEN = 8


class WireError(Exception):
    """The other side sent what no frame can be."""


class NotMultiplexed(WireError):
    """What no engine sends: the headers of its stream are its own, and no guest can bring that about."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message.

    Attributes:
        sequence: the request's number; an answer carries its request's.
        head: a small JSON object.
        body: raw bytes.
    """

    kind: Kind
    sequence: int
    head: dict[str, Any] = field(default_factory=dict)
    body: bytes = b""


def encode(frame: Frame) -> bytes:
    """The frame as it travels."""
    head = json.dumps(frame.head, ensure_ascii=False, allow_nan=False).encode()
    if len(head) > HEAD_BYTES_MAX:
        raise WireError(f"a head of {len(head)} bytes; the limit is {HEAD_BYTES_MAX}")
    return HEADER.pack(len(head), len(frame.body), frame.kind, frame.sequence) + head + frame.body


def decode_head(text: bytes) -> dict[str, Any]:
    """A head, strictly: an object, no repeated keys, finite numbers, no nesting that exhausts the stack.

    Raises:
        WireError: it is anything else.
    """
    try:
        return parse_object(text, levels_max=HEAD_DEPTH_MAX, unique_keys=True)
    except InvalidJson as error:
        raise WireError(f"the head cannot be read: {error}") from error


class Seal:
    """Makes the tags of one direction: each over the frame, the direction, and how many frames went before it.

    So a frame that is made up, changed, said twice, turned around or left out has another tag than is expected.
    """

    def __init__(self, key: bytes, direction: bytes) -> None:
        self._key, self._direction, self._count = key, direction, 0

    def tag(self, frame: bytes) -> bytes:
        """The tag of the next frame."""
        self._count += 1
        text = self._direction + self._count.to_bytes(8, "big") + frame
        return hmac.digest(self._key, text, "sha256")[:TAG_BYTES]


class Decoder:
    """Bytes in, frames out; `body_bytes_max` may be lowered or raised between frames.

    Attributes:
        body_bytes_max: a frame that declares more is refused before a byte of it is stored.
        seal: what each frame's tag must agree with; None where frames bear none.
    """

    def __init__(self, body_bytes_max: int, seal: Seal | None = None) -> None:
        self.body_bytes_max, self.seal = body_bytes_max, seal
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """The frames that are complete now.

        Raises:
            WireError: the bytes are not frames; nothing after that can be trusted.
        """
        self._buffer += chunk
        while (frame := self._next()) is not None:
            yield frame

    @property
    def has_partial_frame(self) -> bool:
        """Whether the stream ended in the middle of a frame."""
        return bool(self._buffer)

    def _next(self) -> Frame | None:
        if len(self._buffer) < HEADER.size:
            return None
        head_bytes, body_bytes, kind, sequence = HEADER.unpack_from(self._buffer)
        if head_bytes > HEAD_BYTES_MAX:
            raise WireError(f"a head of {head_bytes} bytes; the limit is {HEAD_BYTES_MAX}")
        if body_bytes > self.body_bytes_max:
            raise WireError(f"a body of {body_bytes} bytes; the limit is {self.body_bytes_max}")
        if kind not in Kind.__members__.values():
            raise WireError(f"kind {kind} is unknown")
        end = HEADER.size + head_bytes + body_bytes
        tag_bytes = TAG_BYTES if self.seal is not None else 0
        if len(self._buffer) < end + tag_bytes:
            return None
        if self.seal is not None:
            tag = bytes(self._buffer[end : end + tag_bytes])
            if not hmac.compare_digest(tag, self.seal.tag(bytes(self._buffer[:end]))):
                raise WireError(f"a forged frame: its tag is not PID 1's (kind {kind}, sequence {sequence})")
        head = decode_head(bytes(self._buffer[HEADER.size : HEADER.size + head_bytes]) or b"{}")
        body = bytes(self._buffer[HEADER.size + head_bytes : end])
        del self._buffer[: end + tag_bytes]
        return Frame(Kind(kind), sequence, head, body)


class Demultiplexer:
    """The engine's attach stream (8-byte headers) taken apart into the guest's stdout and stderr.

    The headers come from the engine alone: guest bytes that look like one are payload.
    """

    STDOUT, STDERR = 1, 2

    def __init__(self) -> None:
        self._header = bytearray()
        self._stream, self._left = 0, 0

    def feed(self, chunk: bytes) -> Iterator[tuple[int, bytes]]:
        """(stream, bytes) pieces in order.

        Raises:
            NotMultiplexed: the engine sent no multiplexed stream.
        """
        at = 0
        while at < len(chunk):
            if self._left == 0:
                take = min(MUX_HEADER.size - len(self._header), len(chunk) - at)
                self._header += chunk[at : at + take]
                at += take
                if len(self._header) < MUX_HEADER.size:
                    return
                self._open()
                continue
            take = min(self._left, len(chunk) - at)
            yield self._stream, chunk[at : at + take]
            self._left -= take
            at += take

    def _open(self) -> None:
        stream, padding, length = MUX_HEADER.unpack(self._header)
        if stream > self.STDERR or padding != bytes(3) or length > MUX_PAYLOAD_BYTES_MAX:
            raise NotMultiplexed("the engine's stream is not multiplexed as expected")
        self._header.clear()
        self._stream, self._left = stream, length
