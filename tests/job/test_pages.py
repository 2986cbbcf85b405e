"""What is written beside a job's records at its end: whatever is wrong with it is said, and the job stands."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.job import pages
from runner.job.pages import analyze_ended, report_ended
from runner.settings import Settings
from runner.store.job_folder import open_job_folder


@pytest.mark.parametrize(("ended", "name"), [(analyze_ended, "analysis"), (report_ended, "report")])
def test_a_mistake_of_ours_in_a_page_is_said_and_ends_no_job(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ended: Callable[..., Any], name: str
) -> None:
    def mistaken(folder: Path) -> None:
        raise RecursionError("too deep")

    told: list[tuple[str, str]] = []
    monkeypatch.setattr(pages, "read_job", mistaken)
    with contextlib.closing(open_job_folder(tmp_path, "job")) as folder:
        assert ended(Settings(), folder, lambda cause, hint: told.append((cause, hint))) is None
    assert told == [(f"no {name}: RecursionError: too deep", "please report it")]
