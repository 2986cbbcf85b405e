"""What a docstring says: its first paragraphs, and of each attribute."""

import inspect
import re
from typing import Any


def summary(thing: Any) -> str:
    """The paragraphs of a docstring before its sections, without its examples of code."""
    text = inspect.cleandoc(thing.__doc__ or "")
    return re.split(r"\n\n?(?:Attributes|Args|Raises|Returns):\n", text)[0].replace("\n", " ").strip()


def attributes(thing: Any, title: str = "Attributes") -> dict[str, str]:
    """What a docstring says of each attribute, or argument; several that share an entry get the same text."""
    section = re.search(rf"{title}:\n((?:    .*\n?|\n)+)", inspect.cleandoc(thing.__doc__ or "") + "\n")
    said: dict[str, str] = {}
    for entry in re.split(r"\n(?=    \S)", "\n" + section[1] if section else ""):
        match = re.match(r"\n?    ([A-Za-z0-9_, ]+): (.*)", entry, re.DOTALL)
        if match:
            names = [name.strip() for name in match[1].split(",")]
            said |= dict.fromkeys(names, " ".join(match[2].split()))
    return said
