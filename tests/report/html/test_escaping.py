"""Whatever a model, a sandbox or a spoiled file says: it is text on the page, and visible."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.report.html.pages import Page, page_text, read_page
from tests.report.synthetic_jobs import make_analysis, make_config, make_measured, make_runs, write_job

# Texts of closed lists, by their key: another word there is a spoiled record, which other tests are about.
CLOSED = {
    "outcome",
    "side",
    "subject",
    "mark",
    "origin",
    "event",
    "started",
    "at",
    "sha256",
    "equivalence",
    "limit_reached",
}
ATTACKS = {
    "a script": "</pre></td></script><script>window.was_here = 1</script>",
    "a handler": '"><img src=x onerror="window.was_here=1"><svg onload=\'window.was_here=1\'>',
    "a link": "<a href='javascript:window.was_here=1'>x</a>",
    "a style": "</style><style>*{display:none}</style><link rel=stylesheet href=//example.org>",
    "a template": "{{ 1357 * 2468 }}{% for x in y %}{{ config }}",
    "a comment": "<!-- <![CDATA[ --!> &lt;script&gt; &#60;",
    "bidi": "\u202eevil\u202c \u2066x\u2069 \u200b \ufeff \u061c",
    "controls": "\x00\x07\x1b[31m\x1b]0;x\x07\x7f\x85\r\n\u2028\u2029\t",
    "half a pair": "\ud800 \udfff",
    "tags of other planes": "\U000e0041\U000e007f \U0010ffff",
}


def spoiled(value: Any, text: str, key: str = "") -> Any:
    """A record with every free text in it replaced."""
    if isinstance(value, dict):
        inner = {name: spoiled(entry, text, name) for name, entry in value.items()}
        # A sample's ending is of a closed list; an episode's is free.
        return {**inner, "ending": value["ending"]} if "side" in value else inner
    if isinstance(value, list):
        return [spoiled(entry, text, key) for entry in value]
    return text if isinstance(value, str) and key not in CLOSED else value


def write_spoiled(folder: Path, text: str) -> Path:
    """A whole job in which everything that can be a text is this one."""
    runs, config = make_runs(count=3, seed=1), make_config(runs=3)
    write_job(folder, runs=runs, config=config, analysis=make_analysis(config, runs, measured=make_measured()))
    for name in ("results.json", "job.json", "lock.json", "analysis.json"):
        _rewrite(folder / name, lambda raw: spoiled(raw, text))
    # The cause of a failure is computed again; the two must agree for the kept analysis to be used.
    results, kept = (json.loads((folder / name).read_text()) for name in ("results.json", "analysis.json"))
    for run, whole in zip(results["runs"], runs, strict=True):
        run["seeds"] = ["0x1"] * len(run["seeds"])
        if run["submission"]:
            run["submission"]["stored_at"] = "fast.py"
        run["outcome"] = whole.outcome.kind.value
    for failure, whole in zip(kept["failures"], make_analysis(config, runs).failures, strict=True):
        failure["outcome"] = whole.outcome
        failure["cause"] = text if whole.cause else ""
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "analysis.json").write_text(json.dumps(kept))
    for run in runs:
        own = folder / f"run_{run.number}"
        lines = [json.loads(line) for line in (own / "transcript.jsonl").read_text().splitlines()]
        (own / "transcript.jsonl").write_text("".join(json.dumps(spoiled(line, text)) + "\n" for line in lines))
        if run.submission is not None:
            (own / "fast.py").write_bytes(
                text.encode("utf-8", "surrogatepass") + b"\n\xff\xfe" + text[:1].encode("utf-16", "surrogatepass")
            )
    return folder


def _rewrite(path: Path, change: Callable[[Any], Any]) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def is_invisible(char: str) -> bool:
    return char not in "\n \xa0" and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def check_harmless(html: str, plain: Page) -> Page:
    """The page has the elements and attributes that any page has, and nothing in it is invisible."""
    html.encode()  # no half of a pair is left
    assert sorted({hex(ord(char)) for char in html if is_invisible(char)}) == []
    page = read_page(html)
    assert page.wrong == [] and page.opened == []
    assert page.tags <= plain.tags and page.attributes <= plain.attributes
    assert page.scripts == plain.scripts and page.styles == plain.styles
    assert all(link.startswith("#") for link in page.values["href"])
    return page


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """A page that nobody spoiled, with all that a page can have."""
    return read_page(page_text(write_spoiled(tmp_path_factory.mktemp("plain") / "j", "for x in 'y': # 1")))


@pytest.mark.slow
@pytest.mark.parametrize("attack", list(ATTACKS))
def test_an_attack_is_shown_as_what_it_is(tmp_path: Path, plain: Page, attack: str) -> None:
    text = ATTACKS[attack]
    page = check_harmless(page_text(write_spoiled(tmp_path / "j", text)), plain)
    assert str(1357 * 2468) not in page.words and "Convergence" in page.words
    if text.isascii() and text.isprintable():
        assert page.words.count(" ".join(text.split())) >= 10


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(), max_size=60) | st.sampled_from(["<", "&", "'", '"', "<!--", "</", "]]>"]))
def test_any_text_is_text(tmp_path: Path, plain: Page, text: str) -> None:
    check_harmless(page_text(write_spoiled(tmp_path / "j", text)), plain)


@pytest.mark.slow
def test_a_long_text_is_cut_wherever_it_stands(tmp_path: Path, plain: Page) -> None:
    html = page_text(write_spoiled(tmp_path / "j", "\u202e<" * 40_000))
    check_harmless(html, plain)
    assert len(html) < 2_000_000


def test_no_module_and_no_template_lets_a_text_pass_as_markup(project: Path) -> None:
    """Markup is made in one module, of figures and of files of the package; templates have no `safe`."""
    room = project / "runner" / "report" / "html"
    makers = [path.name for path in room.rglob("*.py") if "Markup(" in path.read_text()]
    assert makers == ["page.py"] and (room / "page.py").read_text().count("Markup(") == 3
    templates = list((room / "templates").glob("*.html"))
    assert len(templates) > 9
    assert [path.name for path in templates if "safe" in path.read_text() or "autoescape" in path.read_text()] == []
