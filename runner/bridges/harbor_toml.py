"""Values as TOML writes them. Pure."""

import json
from collections.abc import Mapping


def quoted(text: str) -> str:
    """A text."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def inline_table(values: Mapping[str, str] | Mapping[str, float]) -> str:
    """A table of texts or numbers on one line."""
    written = {key: quoted(value) if isinstance(value, str) else repr(value) for key, value in values.items()}
    return "{ " + ", ".join(f"{quoted(key)} = {value}" for key, value in written.items()) + " }" if written else "{}"
