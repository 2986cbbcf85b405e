"""What only the host has, looked for in all that comes out of a sandbox: a tripwire, not a wall.

A random word in a file of the caches, which no container can reach, and the credentials of this process. Where one of them
comes out, whatever the walls said, something reached past them.
"""

import contextlib
import secrets
from collections.abc import Sequence
from pathlib import Path

from runner.faults import StoreFault
from runner.settings import Settings, cache_folder, write_cached

CANARY_BYTES = 24  # chosen: nobody guesses them, and no noise holds them
SECRET_CHARS_MIN = 20  # chosen: shorter than every vendor's; a short word stands in honest output, too


def canaries(settings: Settings) -> tuple[bytes, ...]:
    """The words to look for; without a planted one where there is nowhere to keep it."""
    given = (settings.anthropic_api_key, settings.anthropic_auth_token, settings.openai_api_key)
    secret = [value.get_secret_value() for value in given]
    words = [text.encode() for text in secret if len(text) >= SECRET_CHARS_MIN]
    with contextlib.suppress(StoreFault, OSError):
        words.insert(0, _planted())
    return tuple(words)


def _planted() -> bytes:
    """The word in the file, which is made where it is not there."""
    path = cache_folder() / "canary"
    try:
        word = path.read_bytes()
    except OSError:
        return _plant(path)
    return word if len(word) >= 2 * CANARY_BYTES else _plant(path)


def _plant(path: Path) -> bytes:
    word = secrets.token_hex(CANARY_BYTES).encode()
    write_cached(path, word, 0o600)
    return word


class Tripwire:
    """Looks through a stream that comes in pieces."""

    def __init__(self, words: Sequence[bytes]) -> None:
        self._words, self._tails = tuple(words), dict[int, bytes]()
        self._keep = max((len(word) for word in words), default=1) - 1

    def is_tripped(self, stream: int, piece: bytes) -> bool:
        """Whether a word is in what came, however it was cut into pieces."""
        text = self._tails.get(stream, b"") + piece
        self._tails[stream] = text[-self._keep :] if self._keep else b""
        return any(word in text for word in self._words)
