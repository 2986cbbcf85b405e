"""Tables of a document."""

from collections.abc import Iterator, Sequence


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """A table in Markdown, and an empty line; `None.` without rows."""
    if not rows:
        yield from ("None.", "")
        return
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    yield from (f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in rows)
    yield ""
