"""The page in a real browser: accessible in both themes, on a phone and on a screen; it loads nothing and runs only its own.

axe-core looks at what can be seen, for about a second a run that is unfolded; so two of each page are.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import Browser, axe_source, open_browser
from tests.report.html.pages import page_text
from tests.report.html.test_escaping import ATTACKS, write_spoiled
from tests.report.synthetic_jobs import make_analysis, make_config, make_measured, make_runs, write_job

pytestmark = pytest.mark.slow
UNFOLD = "document.querySelectorAll('details').forEach(fold => { fold.open = true })"
UNFOLD_TWO = UNFOLD.replace("'details'", "'details:not(.run), #run-1, #run-2'")
VIOLATIONS = """axe.run(%s).then(found => found.violations.map(
    one => one.id + ': ' + one.nodes.slice(0, 3).map(node => node.html.slice(0, 120)).join(' | ')))"""
# Written down before anything of the page runs.
WATCH = """window.refused = [];
    document.addEventListener('securitypolicyviolation', event => refused.push(event.violatedDirective));"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        browser.ask("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
        yield browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten runs, some of them without a submission, with all that a page can have."""
    runs, config = make_runs(count=10, families=3), make_config()
    folder = tmp_path_factory.mktemp("jobs") / "ten"
    write_job(
        folder, runs=runs, config=config, analysis=make_analysis(config, runs, families=3, measured=make_measured())
    )
    (folder / "run_2" / "transcript.jsonl").unlink()
    (folder / "report.html").write_text(page_text(folder))
    return folder / "report.html"


@pytest.fixture(scope="module", params=["a script", "a handler", "a style", "bidi"])
def hostile(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page in which every text is an attack."""
    folder = write_spoiled(tmp_path_factory.mktemp("hostile") / "j", ATTACKS[request.param])
    (folder / "report.html").write_text(page_text(folder))
    return folder / "report.html"


def violations(browser: Browser, *rules: str) -> list[str]:
    """What axe-core objects to, by these rules or by all, with every table and two runs unfolded."""
    browser.run(UNFOLD_TWO)
    browser.run(axe_source() + "; undefined")
    found: list[str] = browser.run(VIOLATIONS % (f"{{runOnly: {list(rules)}}}" if rules else ""))
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_axe_core_objects_to_nothing(browser: Browser, page: Path, theme: str, width: int) -> None:
    browser.show(width, theme)
    browser.open(page)
    assert violations(browser) == []


@pytest.mark.parametrize(
    ("fault", "harm"),
    [
        ("color-contrast", "document.querySelector('main p').style.color = '#ddd'"),
        ("html-has-lang", "document.documentElement.removeAttribute('lang')"),
        (
            "scrollable-region-focusable",
            "document.querySelectorAll('pre').forEach(pre => pre.removeAttribute('tabindex'))",
        ),
    ],
)
def test_axe_core_would_object(browser: Browser, page: Path, fault: str, harm: str) -> None:
    text = page.read_text()
    loose = page.with_name(f"{fault}.html")
    loose.write_text(text.replace("style-src '", "style-src 'unsafe-inline' 'x"))
    browser.show(390, "light")
    browser.open(loose)
    browser.run(harm)
    assert [found.partition(":")[0] for found in violations(browser, fault)] == [fault]


def test_a_page_asks_for_nothing_and_is_refused_nothing(browser: Browser, page: Path) -> None:
    browser.show(1440, "light")
    browser.open(page)
    browser.run(UNFOLD)
    assert browser.requests() == [] and browser.run("refused") == []


def test_a_page_that_asks_for_something_is_found_out(browser: Browser, page: Path) -> None:
    harmed = page.with_name("harmed.html")
    extra = "<img src='http://127.0.0.1:9/x.png'><p style='color: red' onclick='x()'>x</p><script>was_here = 1</script>"
    harmed.write_text(page.read_text().replace("</main>", f"{extra}</main>"))
    browser.open(harmed)
    assert {"img-src", "style-src-attr", "script-src-attr", "script-src-elem"} <= set(browser.run("refused"))
    assert browser.run("typeof was_here") == "undefined"


def test_what_an_attack_says_does_not_happen(browser: Browser, hostile: Path) -> None:
    browser.show(390, "dark")
    browser.open(hostile)
    assert violations(browser) == []
    assert browser.run("typeof was_here") == "undefined" and browser.run("refused") == [] and browser.requests() == []
    assert browser.run("document.documentElement.scrollWidth") <= 390


# 718 pixels are what A4 has between the margins that Chromium gives it.
@pytest.mark.parametrize(("media", "width"), [("screen", 390), ("screen", 1440), ("print", 718)])
def test_the_page_is_no_wider_than_its_window_or_its_paper(
    browser: Browser, page: Path, width: int, media: str
) -> None:
    browser.show(width, "light", media)
    browser.open(page)
    browser.run(UNFOLD)
    assert browser.run("document.documentElement.scrollWidth") <= width


def test_paper_is_white_and_has_no_navigation(browser: Browser, page: Path) -> None:
    browser.show(800, "dark", "print")
    browser.open(page)
    assert browser.run("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.run("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"


def test_a_table_is_sorted_by_keyboard_and_says_how(browser: Browser, page: Path) -> None:
    browser.show(1440, "light")
    browser.open(page)
    browser.run("document.querySelector('#verdicts ~ div th:nth-child(3) button').focus()")
    column = """[...document.querySelectorAll('#verdicts ~ div tbody')[0].rows].map(row => row.children[2].dataset.v)"""
    state = "document.querySelector('#verdicts ~ div th:nth-child(3)').getAttribute('aria-sort')"
    for direction in ("ascending", "descending"):
        browser.press("Enter", 13)
        values = browser.run(column)
        known = [float(value) for value in values if value]
        assert browser.run(state) == direction and values[len(known) :] == [""] * (len(values) - len(known))
        assert known == sorted(known, reverse=direction == "descending") and len(known) > 3
    assert browser.run("document.querySelectorAll('[aria-sort]').length") == 1


def test_a_link_to_a_run_unfolds_it(browser: Browser, page: Path) -> None:
    browser.show(1440, "light")
    browser.open(page, "#run-4")
    assert browser.run(
        "[...document.querySelectorAll('details.run')].filter(fold => fold.open).map(fold => fold.id)"
    ) == ["run-4"]
    browser.run("document.querySelector(\"a[href='#run-7']\").click()")
    assert browser.run("new Promise(done => setTimeout(() => done(document.getElementById('run-7').open), 50))") is True


def test_without_its_script_the_page_can_still_be_read(browser: Browser, page: Path) -> None:
    browser.ask("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(page)
        assert browser.run("document.querySelectorAll('th button').length") == 0
        assert browser.run("document.querySelector('#verdicts ~ div tbody').innerText").count("\n") >= 9
    finally:
        browser.ask("Emulation.setScriptExecutionDisabled", value=False)
