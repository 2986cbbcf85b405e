"""A job's runs as a table, read again with the real library."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from runner.export.parquet import COLUMNS, parquet_bytes, row_of
from runner.records import run as records
from runner.records.episode import EpisodeSummary
from runner.records.outcome import Outcome, OutcomeKind
from runner.records.run import JobConfig
from tests.builders import make_run, make_ungraded

Run = Callable[..., CompletedProcess[str]]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["schema_1", "flagship"])
def test_every_run_is_a_row_with_what_its_record_says(
    in_process: Run, project: Path, tmp_path: Path, name: str
) -> None:
    from pyarrow import parquet

    job = project / "tests" / "old_jobs" / name
    done = in_process("export", str(job), "--format", "parquet", "--output", str(tmp_path / "t"), "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    table = parquet.read_table(said["path"])
    recorded = json.loads((job / "results.json").read_text())["runs"]
    assert table.column_names == list(COLUMNS) and table.num_rows == len(recorded) == said["runs"]
    for row, run in zip(table.to_pylist(), recorded, strict=True):
        assert (row["run"], row["outcome"], row["reward"]) == (run["number"], run["outcome"], run["reward"])
        assert row["speedup"] == (run["speedup"] or {}).get("estimate")
        assert row["tokens_output"] == run["episode"]["usage"]["output"]


def test_one_run_goes_to_the_file_that_was_named(in_process: Run, project: Path, tmp_path: Path) -> None:
    from pyarrow import parquet

    job, path = str(project / "tests" / "old_jobs" / "flagship"), tmp_path / "one.parquet"
    done = in_process("export", job, "--format", "parquet", "--run", "3", "--output", str(path))
    assert done.stdout == f"1 run: {path}\n" and parquet.read_table(path)["run"].to_pylist() == [3]
    assert in_process("export", job, "--format", "parquet", "--run", "99").returncode == 2


def test_a_row_has_every_column_and_no_text_that_a_file_cannot_hold() -> None:
    for run in (make_run(), make_ungraded(2, reason="a\udc80b"), replace(make_run(3), grading=None)):
        row = row_of(JobConfig(name="j", target=33.0), run)
        assert row.keys() == COLUMNS.keys() and row["target"] == 33.0
        json.dumps(row, ensure_ascii=False, allow_nan=False).encode()


def test_without_the_extra_it_says_what_to_install(
    in_process: Run, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    job = str(project / "tests" / "old_jobs" / "flagship")
    done = in_process("export", job, "--format", "parquet", "--output", str(tmp_path))
    assert done.returncode == 2 and "needs the package pyarrow" in done.stderr and "pip install" in done.stderr


def test_a_count_that_no_column_holds_is_null_and_the_table_is_written() -> None:
    pytest.importorskip("pyarrow")
    summary = EpisodeSummary(turns=10**20, calls=2**63 - 1, seconds=1.0, ending="submitted")
    run = records.Run(number=1, outcome=Outcome(OutcomeKind.NO_SUBMISSION, "it ended"), episode=summary)
    row = row_of(JobConfig(task="t"), run)
    assert (row["turns"], row["calls"]) == (None, 2**63 - 1)
    assert parquet_bytes(JobConfig(task="t"), [run])[:4] == b"PAR1"
