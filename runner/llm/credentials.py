"""Credentials out of what an endpoint says: some repeat the key that they refuse. Pure."""

from collections.abc import Iterable

MASK = "***"


def mask(text: str, secrets: Iterable[str | None]) -> str:
    """The text without the secrets; empty ones and None are skipped."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, MASK)
    return text
