"""A job's own log."""

import json
from pathlib import Path

import pytest

from runner.faults import StoreFault
from runner.store.log import job_log

KEY = "sk-ant-canary-0123456789"


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "job.log").read_text().splitlines()]


def test_a_line_says_what_happened_when(tmp_path: Path) -> None:
    with job_log(tmp_path, "info") as log:
        log.info("outcome", run=1, outcome="passed")
        log.debug("not at this level")
    (line,) = lines(tmp_path)
    assert line["event"] == "outcome" and line["run"] == 1 and line["level"] == "info"
    assert str(line["timestamp"]).endswith("Z")


def test_a_traceback_is_written_without_local_variables(tmp_path: Path) -> None:
    def fails(key: str) -> None:
        secret = key
        raise ValueError("it broke" + secret[:0])

    with job_log(tmp_path, "info") as log:
        try:
            fails(KEY)
        except ValueError:
            log.error("fault", exc_info=True)
    (line,) = lines(tmp_path)
    assert "it broke" in json.dumps(line) and "fails" in json.dumps(line) and KEY not in json.dumps(line)


def test_a_guests_text_cannot_forge_a_line(tmp_path: Path) -> None:
    with job_log(tmp_path, "info") as log:
        log.info("step", text='x"}\n{"event": "outcome"}\x1b[31m')
    assert len(lines(tmp_path)) == 1 and "\x1b" not in (tmp_path / "job.log").read_text()


def test_a_log_on_a_full_disk_ends_no_job(tmp_path: Path) -> None:
    (tmp_path / "job.log").symlink_to("/dev/full")
    with job_log(tmp_path, "info") as log:
        log.info("step", text="one")


def test_a_log_that_cannot_be_opened_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "job.log").mkdir()
    with pytest.raises(StoreFault, match=r"job\.log cannot be written: Is a directory"), job_log(tmp_path, "info"):
        raise AssertionError
