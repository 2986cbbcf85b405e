"""Kept measurements: taken as they are, or not at all."""

from pathlib import Path

import pytest

from runner.store.measured import FOLDER, keep_measurement, measurements, read_measurement

ABOUT = {"task": "t", "rounds": 3, "parts": ["a", "b"]}


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    keep_measurement(tmp_path, "ablation-1", ABOUT, {"times": {"1": 0.25}, "title": "ä ☃"})
    assert read_measurement(tmp_path, "ablation-1", ABOUT) == {"times": {"1": 0.25}, "title": "ä ☃"}
    assert measurements(tmp_path) == {"ablation-1": {"times": {"1": 0.25}, "title": "ä ☃"}}
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == ["ablation-1.json"]


def test_one_that_is_about_something_else_is_not_taken(tmp_path: Path) -> None:
    keep_measurement(tmp_path, "a", ABOUT, {})
    assert read_measurement(tmp_path, "a", {**ABOUT, "rounds": 4}) is None
    assert read_measurement(tmp_path, "b", ABOUT) is None
    keep_measurement(tmp_path, "a", {**ABOUT, "rounds": 4}, {"new": True})
    assert read_measurement(tmp_path, "a", {**ABOUT, "rounds": 4}) == {"new": True}


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("0.25", "0.26"),
        lambda text: text.replace('"t"', '"u"'),
        lambda text: "[]",
        lambda text: "{}",
        lambda text: "",
        lambda text: "[" * 100_000,
        lambda text: "9" * 5000,
    ],
)
def test_a_damaged_one_is_not_taken(tmp_path: Path, damage: object) -> None:
    keep_measurement(tmp_path, "a", ABOUT, {"seconds": 0.25})
    path = tmp_path / FOLDER / "a.json"
    path.write_text(damage(path.read_text()))  # type: ignore[operator]
    assert read_measurement(tmp_path, "a", ABOUT) is None and measurements(tmp_path) == {}
