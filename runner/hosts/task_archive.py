"""A task's folder as one tar of bytes, and back. Only regular files and folders are taken or made."""

import io
import os
import stat
import tarfile
from pathlib import Path, PurePosixPath

from runner.faults import TaskFault
from runner.tasks.task import Task

ARCHIVE_BYTES_MAX = 256 * 1024**2  # chosen: a task is text and a solution; data is made by problem.py


def pack_task(task: Task) -> bytes:
    """The files of a task's folder, the same bytes for the same folder.

    Raises:
        TaskFault: it holds a link, or anything else that is neither file nor folder, or is too large.
    """
    out, total = io.BytesIO(), 0
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(task.folder.rglob("*")):
            name = path.relative_to(task.folder)
            if "__pycache__" in name.parts or (path.is_dir() and not path.is_symlink()):
                continue
            info = path.lstat()
            if not stat.S_ISREG(info.st_mode):
                raise TaskFault(
                    cause=f"{path} is a link or a special file, which no other host gets",
                    hint="put the file itself into the task's folder",
                )
            total += info.st_size
            if total > ARCHIVE_BYTES_MAX:
                raise TaskFault(
                    cause=f"{task.folder} holds more than {ARCHIVE_BYTES_MAX} bytes",
                    hint="let problem.py make the data",
                )
            entry = tarfile.TarInfo(name.as_posix())
            entry.size, entry.mode = info.st_size, 0o755 if info.st_mode & stat.S_IXUSR else 0o644
            with path.open("rb") as file:
                tar.addfile(entry, file)
    return out.getvalue()


def unpack_task(archive: bytes, folder: Path) -> None:
    """Write an archive's files below a new folder, one by one: nothing that is no plain file or would lie elsewhere.

    Raises:
        TaskFault: it is not an archive of `pack_task`'s.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
            for entry in tar:
                name = PurePosixPath(entry.name)
                # A sparse one is a plain file to tarfile, and reads as many zeros as it says.
                is_plain = entry.isreg() and not entry.issparse()
                if not is_plain or name.is_absolute() or ".." in name.parts or not name.parts:
                    raise _not_ours(f"{entry.name!r} is not a plain file in it")
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                source = tar.extractfile(entry)
                assert source is not None
                # Into a new place: an entry that is there twice, or a name that is a folder's, is refused by the system.
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755 if entry.mode & 0o100 else 0o644)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(source.read())
    except (
        tarfile.TarError,
        OSError,
        ValueError,
    ) as error:  # a ValueError: a name with a NUL, a header that is no number
        raise _not_ours(str(error)) from error


def _not_ours(what: str) -> TaskFault:
    return TaskFault(cause=f"the task's archive cannot be unpacked: {what}", hint="use the same version everywhere")
