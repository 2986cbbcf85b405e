"""The example of docs/ is a whole job, small, and what its pages say is what its records say."""

import json
from pathlib import Path

import pytest

from runner.store.jobs import read_job
from tests.project.example import FOLDER, example_pages, keep

MIB = 1024**2


def test_its_pages_are_written_from_its_records(project: Path) -> None:
    pages = example_pages()
    assert sorted(Path(path).name for path in pages) == ["README.md", "analysis.md"]
    assert {path: (project / "docs" / path).read_text() for path in pages} == pages


def test_it_is_a_whole_job_of_ten_runs_and_small() -> None:
    job = read_job(FOLDER)
    assert sorted(job.runs) == sorted(job.transcripts) == list(range(1, 11)) and not job.unread
    assert job.totals is not None and job.totals.passed > 0 and job.totals.failed > 0
    assert json.loads((FOLDER / "analysis.json").read_text())["convergence"]["mean"] > 0
    sizes = {path: path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()}
    assert max(sizes.values()) <= 2 * MIB and sum(sizes.values()) <= 4 * MIB
    assert "Content-Security-Policy" in (FOLDER / "report.html").read_text()


def test_keeping_a_job_leaves_out_what_is_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played = tmp_path / "played"
    keep(FOLDER, played)
    (played / "job.log").write_text("x")
    (played / "run_1" / "snapshots").mkdir()
    keep(played, tmp_path / "kept")
    names = {path.relative_to(tmp_path / "kept").as_posix() for path in (tmp_path / "kept").rglob("*")}
    assert {"results.json", "README.md", "analysis.md", "run_1/transcript.jsonl"} <= names
    assert not names & {"job.log", "run_1/snapshots"}
