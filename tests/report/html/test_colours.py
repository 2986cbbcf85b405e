"""Text can be told from what is behind it, in both themes: a contrast of 4.5 at the least (WCAG 2, level AA).

axe-core leaves open what lies on figures and beside marks; here every pair that the style can make is computed.
"""

import re
from pathlib import Path

import pytest

from runner.report.html.heatmap import LEVELS

TEXTS = ("ink", "soft", "accent", "good", "bad", "doubt", "keyword", "string", "number")
GROUNDS = ("paper", "raised", "faint", "added", "removed")
Colour = tuple[float, float, float]


@pytest.fixture(scope="module")
def style(project: Path) -> str:
    return (project / "runner" / "report" / "html" / "templates" / "page.css").read_text()


def themes(style: str) -> list[dict[str, Colour]]:
    """The colours of the light theme and of the dark one, 0 to 1."""
    blocks = re.findall(r":root \{([^}]*)\}", style)[:2]
    return [{name: _colour(digits) for name, digits in re.findall(r"--([a-z]+): #([0-9a-f]+)", b)} for b in blocks]


def _colour(digits: str) -> Colour:
    red, green, blue = (int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4))
    return red, green, blue


def contrast(one: Colour, other: Colour) -> float:
    """As WCAG 2 defines it, 1 to 21."""
    low, high = sorted(map(_luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: Colour) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def over(top: Colour, ground: Colour, opacity: float) -> Colour:
    red, green, blue = (opacity * a + (1 - opacity) * b for a, b in zip(top, ground, strict=True))
    return red, green, blue


def test_the_contrast_of_black_on_white_is_21() -> None:
    assert contrast((0, 0, 0), (1, 1, 1)) == pytest.approx(21.0)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_text_can_be_read_on_every_ground(style: str, theme: int) -> None:
    colours = themes(style)[theme]
    pairs = {(text, ground): contrast(colours[text], colours[ground]) for text in TEXTS for ground in GROUNDS}
    assert {pair: round(found, 2) for pair, found in pairs.items() if found < 4.5} == {}


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_figure_of_the_map_can_be_read_on_its_shade(style: str, theme: int) -> None:
    colours = themes(style)[theme]
    opacities = {int(level): float(value) for level, value in re.findall(r"\.h(\d+) \{ fill-opacity: ([\d.]+)", style)}
    assert sorted(opacities) == list(range(LEVELS + 1)) and list(opacities.values()) == sorted(opacities.values())
    on_paper = {8, 9, 10} | ({7} if theme else set())
    found = {}
    for level, opacity in opacities.items():
        shade = over(colours["accent"], colours["paper"], opacity)
        found[level] = round(contrast(colours["paper" if level in on_paper else "ink"], shade), 2)
    assert {level: ratio for level, ratio in found.items() if ratio < 4.5} == {}
