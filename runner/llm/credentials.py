"""Credentials out of what is said of an endpoint, and of what it says: some repeat the key that they refuse. Pure."""

import re
from collections.abc import Iterable

MASK = "***"


def mask(text: str, secrets: Iterable[str | None]) -> str:
    """The text without the secrets; empty ones and None are skipped."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, MASK)
    return text


def without_userinfo(address: str) -> str:
    """An address that is no URL, as it was written, but for all before its last @: there may be a password in it."""
    return re.sub(r"\A([a-zA-Z]+://)?.*@", rf"\g<1>{MASK}@", address, flags=re.DOTALL)


def without_port(reason: str) -> str:
    """What an HTTP library finds wrong with an address, without the port: of a password with a slash in it, it takes a
    part for one."""
    return re.sub(r"(?i)(invalid port)\b.*", r"\1", reason, flags=re.DOTALL)
