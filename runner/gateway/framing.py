"""What the forwarder and the gateway say to each other: length-prefixed messages in a stream of bytes. Pure.

A message is `kind, connection, length` (9 bytes, big endian) and its bytes. What comes in is hostile: sizes are checked
before anything is kept.
"""

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from runner.sandbox.wire import HEAD_BYTES_MAX, WireError, decode_head

HEADER = struct.Struct("!BII")
LENGTH = struct.Struct("!I")
# Chosen: a conversation of a million tokens has some 4 MB, and a few images. The forwarder sends bodies up to
# SENT_BODY_BYTES_MAX (its own limit, inside/forwarder.py); the larger ones are read past and rejected.
BODY_BYTES_MAX = 8 * 1024 * 1024
SENT_BODY_BYTES_MAX = 32 * 1024 * 1024  # the Messages API refuses larger requests
PAYLOAD_BYTES_MAX = LENGTH.size + HEAD_BYTES_MAX + BODY_BYTES_MAX
SENT_BYTES_MAX = LENGTH.size + HEAD_BYTES_MAX + SENT_BODY_BYTES_MAX


class Part(IntEnum):
    """What a message is: ASK comes in, the others go out."""

    ASK = 1
    HEAD = 2
    BODY = 3
    END = 4
    ABORT = 5


class FramingError(Exception):
    """The bytes are not messages; nothing after them can be read."""


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request as the forwarder tells it.

    Attributes:
        head: `method`, `path` and `headers`, if the forwarder is honest.
        too_large: bytes of a request that is larger than may be kept; it has neither head nor body then.
    """

    connection: int
    head: Mapping[str, Any]
    body: bytes
    too_large: int = 0


class Unpacker:
    """Bytes in, requests out."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._past = 0  # bytes to be read past

    def feed(self, piece: bytes) -> Iterator[Request]:
        """The requests that are complete now.

        Raises:
            FramingError: the bytes are not requests.
        """
        past = min(self._past, len(piece))
        self._past -= past
        self._buffer += memoryview(piece)[past:]
        while (request := self._next()) is not None:
            yield request

    def _next(self) -> Request | None:
        if len(self._buffer) < HEADER.size:
            return None
        kind, connection, length = HEADER.unpack_from(self._buffer)
        if kind != Part.ASK:
            raise FramingError(f"a message of kind {kind}")
        if not LENGTH.size <= length <= SENT_BYTES_MAX:
            raise FramingError(f"a message of {length} bytes; the limit is {SENT_BYTES_MAX}")
        if length > PAYLOAD_BYTES_MAX:
            return self._read_past(connection, length)
        end = HEADER.size + length
        if len(self._buffer) < end:
            return None
        payload = bytes(memoryview(self._buffer)[HEADER.size : end])
        del self._buffer[:end]
        return _request(connection, payload)

    def _read_past(self, connection: int, length: int) -> Request:
        here = min(length, len(self._buffer) - HEADER.size)
        del self._buffer[: HEADER.size + here]
        self._past = length - here
        return Request(connection, {}, b"", too_large=length)


def _request(connection: int, payload: bytes) -> Request:
    (head_bytes,) = LENGTH.unpack_from(payload)
    if head_bytes > min(HEAD_BYTES_MAX, len(payload) - LENGTH.size):
        raise FramingError(f"a head of {head_bytes} bytes")
    body_at = LENGTH.size + head_bytes
    try:
        head = decode_head(payload[LENGTH.size : body_at])
    except WireError as error:
        raise FramingError(str(error)) from error
    body = payload[body_at:]
    if len(body) > BODY_BYTES_MAX:
        return Request(connection, {}, b"", too_large=len(body))
    return Request(connection, head, body)


def pack(part: Part, connection: int, payload: bytes = b"") -> bytes:
    """A message as it travels."""
    return HEADER.pack(part, connection, len(payload)) + payload


def pack_head(connection: int, status: int, headers: Sequence[tuple[str, str]]) -> bytes:
    """How an answer begins."""
    return pack(Part.HEAD, connection, json.dumps({"status": status, "headers": headers}).encode())
