"""A Dockerfile as text: the images that it names, others in their place, and what the classic builder cannot do. Pure.

Lines are put together as the builder does it, to the character: a word that is split over two lines is one word here, too.
"""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import NamedTuple

COMMENT = re.compile(r"^\s*#")
DIRECTIVE = re.compile(r"^#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(\S+)\s*$")
VARIABLE = re.compile(
    r"\$(?:(?P<plain>[A-Za-z_][A-Za-z0-9_]*)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<sign>:?[-+])(?P<word>[^}]{0,1000}))?\})"
)
HEREDOC = re.compile(r"<<-?\s*['\"]?([A-Za-z_][A-Za-z0-9_]*)")
FLAGS = re.compile(r"(?:--\S+\s+)*")
FROM = re.compile(r"(?P<before>(?:--\S+\s+)*)(?P<image>\S+)(?:\s+[Aa][Ss]\s+(?P<stage>\S+))?")
COPY_FROM = re.compile(r"(?P<before>(?:--\S+\s+)*?--from=)(?P<image>\S+)")
EXPANDED_MAX = 1024  # characters; chosen: far over any image's name. Each ARG may double what the one before holds
SCRATCH = "scratch"  # an empty one, which is no image


class Instruction(NamedTuple):
    """An instruction, its continued lines as one.

    Attributes:
        word: in capitals.
        first, end: its lines, from 0; that of `end` is the next one's.
    """

    word: str
    rest: str
    first: int
    end: int


class Named(NamedTuple):
    """An image that an instruction names, with what stands before and after it."""

    at: Instruction
    before: str
    image: str
    after: str


def instructions(text: str) -> Iterator[Instruction]:
    """Each instruction, in order."""
    lines = _lines(text)
    continued = re.compile(re.escape(_escape(lines)) + r"[ \t]*$")
    pending, first = "", 0
    for number, line in enumerate(lines):
        if COMMENT.match(line) or not line.strip():
            continue
        first = first if pending else number
        cut = continued.sub("", line)
        pending += cut
        if cut == line:
            yield from _instruction(pending, first, number + 1)
            pending = ""
    yield from _instruction(pending, first, len(lines))


def _lines(text: str) -> list[str]:
    """Those that the builder knows: only a line feed ends one."""
    return [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]


def _instruction(whole: str, first: int, end: int) -> Iterator[Instruction]:
    word, rest = _split(whole)
    if word:
        yield Instruction(word, rest, first, end)


def _split(whole: str) -> tuple[str, str]:
    """(first word in capitals, the rest)."""
    word, rest = (*whole.split(None, 1), "", "")[:2]
    return word.upper(), rest.strip()


def _escape(lines: list[str]) -> str:
    """What continues a line; comments at the very top may name another character."""
    for line in lines:
        directive = DIRECTIVE.match(line)
        if directive is None:
            break
        if directive[1].lower() == "escape":
            return directive[2]
    return "\\"


def beyond_builder(text: str) -> str | None:
    """What of it needs BuildKit, which the engine's API does not offer; None: nothing."""
    lines = {line.strip() for line in _lines(text)}
    for word, rest, *_ in instructions(text):
        flags = FLAGS.match(rest)
        given = flags.group() if flags else ""
        if word == "RUN" and re.search(r"--(mount|network|security)=", given):
            return f"RUN {given.split()[0]}"
        if word in ("COPY", "ADD") and re.search(r"--(link|chmod|parents|exclude|checksum)\b", given):
            return f"{word} {given.split()[0]}"
        if word in ("COPY", "ADD") and HEREDOC.search(rest) and "<<<" not in rest:
            return f"{word} with a here-document"
        # `$((1<<n))` looks like one: what it ends with tells.
        if word == "RUN" and any(name in lines for name in HEREDOC.findall(rest)):
            return "RUN with a here-document"
    return None


def fetched(text: str) -> str | None:
    """An ADD by which the engine itself may fetch something, from wherever this host can; None: there is none.

    What a variable holds is not known, so one that names a source may be an address.
    """
    for word, rest, *_ in instructions(text):
        while word == "ONBUILD":  # runs where another image is built on this one, as ours is
            word, rest = _split(rest)
        if word == "ADD" and any("://" in source or "git@" in source or "$" in source for source in _sources(rest)):
            return f"ADD {rest}"
    return None


def _sources(rest: str) -> list[str]:
    """What an ADD names, without quotes and escapes."""
    words = rest[len(flags.group()) :] if (flags := FLAGS.match(rest)) else rest
    try:
        listed = json.loads(words)
    except (ValueError, RecursionError):
        listed = None
    if isinstance(listed, list):
        return [str(word) for word in listed]
    return [re.sub(r"[\"'\\`]", "", words)]


def base_images(text: str) -> list[str]:
    """The images that it begins with or copies from, in their order; its own stages are none.

    Variables have the values that ARG gives them.
    """
    return list(dict.fromkeys(named.image for named in _named(text)))


def with_images(text: str, others: Mapping[str, str]) -> str:
    """The same with other images in the place of those that it names."""
    lines: list[str | None] = list(_lines(text))
    for at, before, image, after in _named(text):
        if image in others:
            lines[at.first : at.end] = [f"{at.word} {before}{others[image]}{after}", *[None] * (at.end - at.first - 1)]
    return "\n".join(line for line in lines if line is not None)


def _named(text: str) -> Iterator[Named]:
    stages: set[str] = set()
    arguments: dict[str, str] = {}
    is_begun = False
    for at in instructions(text):
        if at.word == "ARG" and not is_begun:  # what stands in a stage means nothing to FROM
            arguments |= _arguments(at.rest, arguments)
        form = {"FROM": FROM, "COPY": COPY_FROM}.get(at.word)
        found = form.match(at.rest) if form is not None else None
        if found is None:
            continue
        is_begun = is_begun or at.word == "FROM"
        image = _expanded(found["image"], arguments)
        if image.lower() not in stages and image != SCRATCH and not (at.word == "COPY" and image.isdigit()):
            yield Named(at, found["before"], image, at.rest[found.end("image") :])
        if at.word == "FROM" and found["stage"]:
            stages.add(found["stage"].lower())


def _arguments(rest: str, known: Mapping[str, str]) -> dict[str, str]:
    """The values that an ARG gives; one that it leaves open has none, nor has one that no image's name could be of."""
    try:
        words = shlex.split(rest)
    except ValueError:
        words = rest.split()
    pairs = [word.partition("=") for word in words]
    return {name: _expanded(value, known) for name, sign, value in pairs if sign and len(value) <= EXPANDED_MAX}


def _expanded(text: str, arguments: Mapping[str, str]) -> str:
    """With the values in place of their names; as it is where that would be longer than any name."""

    def value(match: re.Match[str]) -> str:
        given, sign, word = arguments.get(match["plain"] or match["name"]), match["sign"] or "", match["word"] or ""
        is_there = bool(given) if sign.startswith(":") else given is not None
        if sign.endswith("+"):
            return word if is_there else ""
        if sign.endswith("-"):
            return given if is_there and given is not None else word
        return match[0] if given is None else given

    expanded = VARIABLE.sub(value, text)
    return expanded if len(expanded) <= EXPANDED_MAX else text


def replacement(image: str, bases: Mapping[str, str]) -> str | None:
    """What the user gave in the place of an image: by its whole name, or by that without a digest."""
    return bases.get(image) or bases.get(image.partition("@")[0])
