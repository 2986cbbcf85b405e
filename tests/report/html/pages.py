"""A page read by a parser: what there is in it, and what of it could load, run or deceive."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from runner.job.pages import kept_analysis
from runner.report.html.material import Material, Starter
from runner.report.html.page import html_report
from runner.settings import Settings
from runner.store.jobs import find_what_is_left
from tests.report.synthetic_jobs import STARTER

# Elements that have no end.
VOID = {"meta", "br"}
# Elements whose text stands apart from what is before it.
CELLS = {"td", "th", "dt", "dd", "li"}


@dataclass
class Page(HTMLParser):
    """What a parser found.

    Attributes:
        tags, attributes: every name once.
        values: of each attribute, all values.
        text: what a reader sees, styles and scripts left out.
        scripts, styles: contents.
        ids: as they come, with repetitions.
        wrong: ends that do not fit their beginning.
    """

    tags: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    values: dict[str, list[str]] = field(default_factory=dict)
    text: list[str] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag in CELLS:
            self.text.append(" ")
        for name, value in attrs:
            self.attributes.add(name)
            self.values.setdefault(name, []).append(value or "")
        if tag not in VOID:
            self.opened.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.opened or self.opened[-1] != tag:
            self.wrong.append(f"</{tag}> in {self.opened[-3:]}")
        else:
            self.opened.pop()

    def handle_data(self, data: str) -> None:
        inside = self.opened[-1] if self.opened else ""
        {"script": self.scripts, "style": self.styles}.get(inside, self.text).append(data)

    @property
    def ids(self) -> list[str]:
        return self.values.get("id", [])

    @property
    def words(self) -> str:
        """The text on one line."""
        return " ".join("".join(self.text).split())


def page_text(folder: Path, starter: str | None = STARTER) -> str:
    """The page of a job's folder."""
    job, lost = find_what_is_left(Settings(), folder)
    analysis, why = kept_analysis(job)
    source = None if starter is None else starter.encode()
    return html_report(
        Material(job=job, named=str(folder), analysis=analysis, starter=Starter(source=source), missing=(lost, why))
    )


def read_page(html: str) -> Page:
    """A page, read."""
    page = Page()
    page.feed(html)
    page.close()
    return page
