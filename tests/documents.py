"""The documents, and the commands that stand in them."""

import re
from collections.abc import Iterator
from pathlib import Path

STARTS = ("python ", "make ", "docker ", "pip ")
# A span with a word to fill in (FILE, <job>, ...) is a form, not a command.
FORM = re.compile(r"[A-Z]{2,}|<|\[|…|\.\.\.")


def documents(project: Path) -> list[Path]:
    """Every page for people: of the top folder, and of docs/."""
    return sorted([*project.glob("*.md"), *(project / "docs").rglob("*.md")])


def commands_in_blocks(document: Path) -> Iterator[str]:
    """The command lines of its `sh` blocks, which run as they stand."""
    for block in re.findall(r"^```sh\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            command = line.split("  #")[0].strip()
            if command:
                yield command


def commands_in(document: Path) -> Iterator[str]:
    """The command lines of its `sh` blocks, and those between backticks in its text."""
    yield from commands_in_blocks(document)
    text = re.sub(r"^```.*?^```|^#.*?$", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    for span in re.findall(r"`([^`\n]+)`", text):
        if span.startswith(STARTS) and not FORM.search(span):
            yield span


def steps_in(document: Path) -> Iterator[tuple[str, str]]:
    """What a reader of a page does, in its order: ("", a command), or (a path, the text of the file that is to have it).

    A file is a block of Python whose first line is a comment with its path.
    """
    for kind, block in re.findall(r"^```(sh|python)\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE):
        if kind == "sh":
            yield from (("", line) for line in block.splitlines())
        elif named := re.match(r"# (\S+/\S+\.py)\n", block):
            yield named[1], block[named.end() :]


def python_blocks(document: Path) -> list[str]:
    """The texts of its blocks of Python."""
    return re.findall(r"^```python\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE)


def example(document: Path, name: str) -> str:
    """The text of a block of Python whose first line is a comment with that file's name."""
    (found,) = re.findall(
        rf"^```python\n# {re.escape(name)}\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE
    )
    return str(found)
