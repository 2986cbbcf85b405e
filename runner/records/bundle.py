"""A folder's files as one run of bytes, as a submission of several files crosses the wall and is kept. Pure.

The form is `runner/sandbox/inside/bundle.py`'s, which reads what this writes. What came out of a sandbox in this form is
handed on as it is: nothing on this side takes it apart.
"""

from collections.abc import Iterable, Sequence

BUNDLE = b"runner files 1\n"
STEPS = b"runner steps 1\n"
STEPS_MAX = 1000  # chosen: far over what a task has


def pack_files(files: Iterable[tuple[str, bytes, bool]]) -> bytes:
    """(path, content, whether it may be executed) of each file; paths are relative, with slashes."""
    parts = [BUNDLE]
    for path, content, executable in files:
        name = path.encode("utf-8", "surrogateescape")
        parts.append(b"%d %d %d\n" % (executable, len(name), len(content)) + name + content)
    return b"".join(parts)


def pack_steps(works: Sequence[bytes]) -> bytes:
    """What was left after each step of an episode, as one run of bytes: the one itself where there is but one."""
    if len(works) == 1:
        return works[0]
    return STEPS + b"".join(b"%d\n" % len(work) + work for work in works)


def unpack_steps(content: bytes) -> list[bytes] | None:
    """The same again, each as opaque as it was; None where these bytes are nothing of the kind."""
    if not content.startswith(STEPS):
        return [content]
    works: list[bytes] = []
    at = len(STEPS)
    while at < len(content):
        end = content.find(b"\n", at, at + 20)
        if end < 0 or not content[at:end].isdigit() or len(works) >= STEPS_MAX:
            return None
        at = end + 1 + int(content[at:end])
        works.append(content[end + 1 : at])
        if at > len(content):
            return None
    return works
