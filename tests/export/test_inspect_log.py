"""The form of a job as Inspect's log; what the peer's own reader finds in it is in `tests/peers/with_inspect.py`."""

import io
import json
import re
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from runner.export.atif import valid_at
from runner.export.inspect_log import INSPECT_VERSION, log_bytes, log_name
from runner.records import run as records
from runner.records.events import NoteEvent
from runner.records.run import JobConfig
from runner.store.transcript import Entry, Transcript
from tests.builders import make_run

Run = Callable[..., CompletedProcess[str]]
JOB = "tests/old_jobs/schema_1"


def test_the_file_has_three_kinds_of_member_and_the_same_job_gives_the_same_bytes(
    in_process: Run, tmp_path: Path
) -> None:
    written = []
    for name in ("a.eval", "b.eval"):
        done = in_process("export", JOB, "--format", "inspect", "--run", "2", "--output", str(tmp_path / name))
        assert done.stdout == f"1 run: {tmp_path / name}\n"
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1]
    with zipfile.ZipFile(tmp_path / "a.eval") as archive:
        assert archive.namelist() == ["samples/slow_nbody_epoch_2.json", "summaries.json", "header.json"]
        assert json.loads(archive.read("header.json"))["status"] == "cancelled"


@pytest.mark.parametrize("name", ["\0", "../../etc/passwd", "a\\b", "...", "", "\ud800", "x" * 5_000])
def test_no_name_of_a_task_leads_out_of_the_archive_or_hides_its_samples(name: str) -> None:
    config = JobConfig(name="j", task=name, agent="a", runs=1, started="yesterday")
    with zipfile.ZipFile(io.BytesIO(log_bytes(config, [(make_run(), None)], "0.1"))) as archive:
        (member, *_) = archive.namelist()
        sample = json.loads(archive.read(member))
    assert re.fullmatch(r"samples/[\w-][\w.-]*_epoch_1\.json", member) and len(log_name(config)) < 200
    assert member == f"samples/{sample['id']}_epoch_{sample['epoch']}.json"


def test_a_job_without_that_run_is_refused(in_process: Run) -> None:
    done = in_process("export", JOB, "--format", "inspect", "--run", "99")
    assert done.returncode == 2 and "no run 99" in done.stderr


def test_the_page_names_the_version_that_was_tried(project: Path) -> None:
    assert f"inspect-ai {INSPECT_VERSION}" in (project / "docs" / "how-to" / "read-in-inspect.md").read_text()


@pytest.mark.parametrize(
    "at", ["2026-11-26/10:00:00+00:00", "2026-11-26\x0010:00:00+00:00", "2026-11-26..10:00:00+00:00"]
)
def test_a_date_in_a_form_of_its_own_leads_nowhere_and_is_told_to_no_other_program(at: str) -> None:
    config = JobConfig(name="j", task="t", agent="a", runs=1, started=at)
    assert log_name(config).startswith("1970-01-01T") and "/" not in log_name(config)
    assert valid_at(Entry(1, "note", at, NoteEvent(text="x"), {})) is None


def test_a_job_of_many_long_transcripts_is_written_in_the_memory_of_one() -> None:
    def peak(count: int) -> int:
        def each() -> Iterator[tuple[records.Run, Transcript]]:
            for number in range(1, count + 1):
                note = NoteEvent(text=f"{number} " * 1_000_000)
                entries = (Entry(1, "note", "", note, {}),)
                yield replace(make_run(), number=number), Transcript(Path("t"), entries, ())

        tracemalloc.start()
        log_bytes(JobConfig(name="j", task="t", agent="a", runs=count), each(), "0.1")
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(12) < 3 * peak(1)
