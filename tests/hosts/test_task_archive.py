"""A task's folder over the wire: the same folder again, and nothing beside it."""

import io
import tarfile
from pathlib import Path

import pytest

from runner.faults import TaskFault
from runner.hosts.task_archive import pack_task, unpack_task
from runner.tasks.task import Task, read_task


def test_a_task_arrives_with_its_digest_and_packs_to_the_same_bytes(nbody: Task, tmp_path: Path) -> None:
    archive = pack_task(nbody)
    unpack_task(archive, tmp_path / "there")
    there = read_task(tmp_path / "there")
    assert there.digest == nbody.digest and pack_task(there) == archive


def test_a_link_in_a_tasks_folder_is_refused_by_name(nbody: Task, tmp_path: Path) -> None:
    unpack_task(pack_task(nbody), tmp_path / "task")
    (tmp_path / "task" / "outside").symlink_to("/etc/passwd")
    with pytest.raises(TaskFault, match="outside is a link"):
        pack_task(read_task(tmp_path / "task"))


def archive_with(entry: tarfile.TarInfo, content: bytes = b"x") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        entry.size = len(content) if entry.isreg() else 0
        tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def entry_of(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, link
    return entry


def odd_entry(**headers: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(f"odd-{min(headers.values())[:9]!r}")
    entry.pax_headers = headers
    return entry


@pytest.mark.parametrize(
    "entry",
    [
        entry_of("../out"),
        entry_of("/out"),
        entry_of("a/../../out"),
        entry_of("link", tarfile.SYMTYPE, "/etc/passwd"),
        entry_of("hard", tarfile.LNKTYPE, "/etc/passwd"),
        entry_of("device", tarfile.CHRTYPE),
        entry_of("pipe", tarfile.FIFOTYPE),
        odd_entry(path="nul\0byte"),
        odd_entry(**{"GNU.sparse.size": str(10**15), "GNU.sparse.map": "0,0", "GNU.sparse.name": "holes"}),
        odd_entry(**{"GNU.sparse.size": "many", "GNU.sparse.map": "0,0"}),
    ],
    ids=lambda entry: entry.name,
)
def test_an_archive_that_would_write_elsewhere_is_refused(tmp_path: Path, entry: tarfile.TarInfo) -> None:
    with pytest.raises(TaskFault, match="cannot be unpacked"):
        unpack_task(archive_with(entry), tmp_path / "task")
    assert [path for path in tmp_path.rglob("*") if path.is_file() or path.is_symlink()] == []


def test_bytes_that_are_no_archive_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TaskFault):
        unpack_task(b"not a tar" * 100, tmp_path / "task")
