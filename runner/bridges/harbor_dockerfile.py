"""A Dockerfile as text: the images that it names, others in their place, and what the classic builder cannot do. Pure."""

import re
from collections.abc import Iterator, Mapping

COMMENT = re.compile(r"^\s*#")
VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")
HEREDOC = re.compile(r"<<-?\s*['\"]?[A-Za-z_]")
SCRATCH = "scratch"  # an empty one, which is no image


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """(word in capitals, the rest) of each instruction, with its continued lines on one."""
    pending = ""
    for line in text.splitlines():
        if COMMENT.match(line) or (not line.strip() and not pending):
            continue
        pending += line.rstrip().removesuffix("\\") + " "
        if line.rstrip().endswith("\\"):
            continue
        word, _, rest = pending.strip().partition(" ")
        yield word.upper(), rest.strip()
        pending = ""


def beyond_builder(text: str) -> str | None:
    """What of it needs BuildKit, which the engine's API does not offer; None: nothing."""
    for word, rest in instructions(text):
        flags = re.match(r"(?:--\S+\s+)*", rest)
        given = flags.group() if flags else ""
        if word == "RUN" and re.search(r"--(mount|network|security)=", given):
            return f"RUN {given.split()[0]}"
        if word in ("COPY", "ADD") and re.search(r"--(link|chmod|parents|exclude|checksum)\b", given):
            return f"{word} {given.split()[0]}"
        if word in ("RUN", "COPY", "ADD") and HEREDOC.search(rest) and "<<<" not in rest and word != "RUN":
            return f"{word} with a here-document"
    return None


def base_images(text: str) -> list[str]:
    """The images that it begins with or copies from, in their order; its own stages are none.

    Variables have the values that ARG gives them.
    """
    stages: set[str] = set()
    found: list[str] = []
    arguments: dict[str, str] = {}
    for word, rest in instructions(text):
        if word == "ARG":
            name, _, value = rest.partition("=")
            arguments.setdefault(name.strip(), value.strip().strip("\"'"))
        elif word == "FROM":
            words = [part for part in rest.split() if not part.startswith("--")]
            if not words:
                continue
            found += _image(words[0], arguments, stages)
            if len(words) == 3 and words[1].upper() == "AS":
                stages.add(words[2].lower())
        elif word == "COPY" and (source := re.search(r"--from=(\S+)", rest)) is not None:
            found += [] if source[1].isdigit() else _image(source[1], arguments, stages)
    return list(dict.fromkeys(found))


def _image(written: str, arguments: Mapping[str, str], stages: set[str]) -> list[str]:
    name = VARIABLE.sub(lambda match: arguments.get(match[1], match[0]), written)
    return [] if name.lower() in stages or name == SCRATCH else [name]


def with_images(text: str, others: Mapping[str, str]) -> str:
    """The same with other images in the place of those that it names."""
    arguments: dict[str, str] = {}
    for word, rest in instructions(text):
        if word == "ARG":
            name, _, value = rest.partition("=")
            arguments.setdefault(name.strip(), value.strip().strip("\"'"))

    def other(match: re.Match[str]) -> str:
        name = VARIABLE.sub(lambda found: arguments.get(found[1], found[0]), match[2])
        return match[1] + others.get(name, match[2])

    text = re.sub(r"(?im)^(\s*FROM\s+(?:--\S+\s+)*)(\S+)", other, text)
    return re.sub(r"(?m)(--from=)(\S+)", other, text)


def replacement(image: str, bases: Mapping[str, str]) -> str | None:
    """What the user gave in the place of an image: by its whole name, or by that without a digest."""
    return bases.get(image) or bases.get(image.partition("@")[0])
