"""A job's folder: whole files or none, one holder, nothing lost when the disk is full."""

import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runner.faults import StoreFault, UsageFault
from runner.records.events import TurnEvent
from runner.store.job_folder import JobFolder, check_new_folder, free_name, open_job_folder, open_next_job_folder


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    return open_job_folder(tmp_path, "job")


def test_latest_points_at_the_newest_job(tmp_path: Path) -> None:
    for name in ("one", "two"):
        open_job_folder(tmp_path, name).close()
    assert (tmp_path / "latest").readlink() == Path("two")


def test_a_job_that_exists_is_left_alone(tmp_path: Path, folder: JobFolder) -> None:
    folder.write_json("results.json", {"a": 1})
    with pytest.raises(UsageFault, match="exists already"):
        open_job_folder(tmp_path, "job")
    assert json.loads((tmp_path / "job" / "results.json").read_text()) == {"a": 1}


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "latest", "a\nb", "a\x1b[2J", "a" * 201, "\u00e4" * 101])
def test_a_name_that_cannot_be_a_folders_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageFault, match=r"cannot be the name of a job|too long for the name of a job"):
        open_job_folder(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageFault, match="cannot be made"):
        open_job_folder(tmp_path / "file" / "deeper", "job")


def test_a_full_disk_leaves_the_last_whole_file(folder: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write_json("results.json", {"runs": 1})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreFault, match="No space left on device"):
        folder.write_json("results.json", {"runs": 2})
    assert json.loads((folder.path / "results.json").read_text()) == {"runs": 1}
    assert sorted(path.name for path in folder.path.iterdir() if path.name != ".lock") == ["results.json"]


def test_a_submission_is_kept_byte_for_byte(folder: JobFolder) -> None:
    path = folder.keep_submission(3, "answer.py", b"\xff\0\r\n")
    assert path == folder.path / "run_3" / "answer.py" and path.read_bytes() == b"\xff\0\r\n"


def test_a_transcript_grows_line_by_line_and_any_text_is_one_line(folder: JobFolder) -> None:
    for text in ("plain", "two\nlines\u2028and\udcffmore"):
        folder.append_event(1, TurnEvent(turn=1, say=text), "now")
    lines = (folder.path / "run_1" / "transcript.jsonl").read_text().splitlines()
    assert [json.loads(line)["say"] for line in lines] == ["plain", "two\nlines\u2028and\udcffmore"]


def test_jobs_that_begin_in_one_second_get_folders_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: open_next_job_folder(tmp_path, "2026-01-01_00-00-00"), range(8)))
    names = {folder.path.name for folder in folders}
    assert len(names) == 8 and {"2026-01-01_00-00-00", "2026-01-01_00-00-00_2"} <= names
    for folder in folders:
        folder.close()
    assert free_name(tmp_path, "2026-01-01_00-00-00") not in names


def test_an_output_that_is_a_dangling_link_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to("gone")
    for output in (tmp_path / "latest", tmp_path / "latest" / "below" / "it"):
        for look in (check_new_folder, open_job_folder, open_next_job_folder):
            with pytest.raises(UsageFault, match=r"latest is a link to gone, which does not exist"):
                look(output, "job")


def test_the_folder_stays_where_it_is_when_the_working_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = open_job_folder(Path("out"), "job")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    folder.write_json("results.json", {})
    assert folder.keep_submission(1, "a.py", b"x") == Path("out/job/run_1/a.py")
    assert folder.keep_snapshot(1, "s.py", b"y") == Path("out/job/run_1/snapshots/s.py")
    folder.close()
    whole = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert whole == {"out/job/results.json", "out/job/run_1/a.py", "out/job/run_1/snapshots/s.py"}


def test_a_folder_that_is_called_latest_stays_and_no_link_is_left_beside_it(tmp_path: Path) -> None:
    (tmp_path / "latest").mkdir()
    open_job_folder(tmp_path, "j").close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["j", "latest"]
    (tmp_path / "latest").rmdir()
    open_job_folder(tmp_path, "k").close()
    assert (tmp_path / "latest").readlink() == Path("k")
