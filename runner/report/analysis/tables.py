"""Tables of a document."""

from collections.abc import Iterator, Sequence

from runner.report.escape import in_markdown


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, first_bold: bool = False) -> Iterator[str]:
    """A table in Markdown, whose cells are text and nothing else, and an empty line; `None.` without rows."""
    if not rows:
        yield from ("None.", "")
        return
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        first, *rest = map(in_markdown, row)
        yield f"| {' | '.join([f'**{first}**' if first_bold else first, *rest])} |"
    yield ""
