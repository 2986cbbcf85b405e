"""The files of a task folder: a stranger's, read with bounds (links and special files are refused), and those we write."""

import contextlib
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from runner.faults import TaskFault, UsageFault

FILE_BYTES_MAX = 64 * 2**20  # chosen: of one file
TREE_BYTES_MAX = 256 * 2**20  # chosen: of a folder that becomes an image's
SOURCE_BYTES_MAX = 2**31  # chosen: of all that lies in a task's folder, which is read once to be counted
FILES_MAX = 10_000  # chosen
LEVELS_MAX = 64  # chosen: of folders in one another

# path -> (content, whether it may be executed)
Tree = dict[str, tuple[bytes, bool]]


def read_file(root: Path, path: Path, bytes_max: int = FILE_BYTES_MAX) -> bytes:
    """A regular file of a task.

    Raises:
        TaskFault: it is a link, no regular file, too large, or not there.
    """
    try:
        about = path.lstat()
        if stat.S_ISLNK(about.st_mode) or not path.resolve().is_relative_to(root.resolve()):
            raise TaskFault(cause=f"{path} is a link, or leads through one", hint="put the file itself there")
        if not stat.S_ISREG(about.st_mode):
            raise TaskFault(cause=f"{path} is not a regular file", hint="put a regular file there")
        if about.st_size > bytes_max:
            raise TaskFault(cause=f"{path} has {about.st_size} bytes, {bytes_max} are allowed", hint="make it smaller")
        return path.read_bytes()
    except OSError as error:
        raise TaskFault(
            cause=f"{path} cannot be read: {error.strerror}", hint="name a whole task of Harbor's"
        ) from error


def check_plain(root: Path) -> None:
    """Check that a task's folder holds nothing but folders and regular files, also where nothing of it is taken.

    Raises:
        TaskFault: it holds a link or a special file, too many levels, or too much.
        OSError: it cannot be read.
    """
    folders, total = [(root.resolve(), 0)], 0
    while folders:
        folder, level = folders.pop()
        _check_level(folder, LEVELS_MAX - level)
        for path in sorted(folder.iterdir()):
            about = path.lstat()
            mode, total = about.st_mode, total + about.st_size
            if stat.S_ISDIR(mode) and path.name != "__pycache__":
                folders.append((path, level + 1))
            elif stat.S_ISLNK(mode):
                raise TaskFault(cause=f"{path} is a link", hint="put the file itself there, or take it away")
            elif not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise TaskFault(cause=f"{path} is not a regular file", hint="put a regular file there, or take it away")
        if total > SOURCE_BYTES_MAX:
            raise TaskFault(cause=f"{root} holds more than {SOURCE_BYTES_MAX} bytes", hint="make it smaller")


def read_tree(root: Path, folder: Path) -> Tree:
    """Every file below a folder of a task; nothing where there is no such folder.

    Raises:
        TaskFault: it holds a link or a special file, a name that is not UTF-8, or too much.
    """
    tree: Tree = {}
    total = 0
    for path in _walk(folder, LEVELS_MAX):
        content = read_file(root, path)
        total += len(content)
        if len(tree) >= FILES_MAX or total > TREE_BYTES_MAX:
            raise TaskFault(
                cause=f"{folder} has more than {FILES_MAX} files, or {TREE_BYTES_MAX} bytes", hint="make it smaller"
            )
        tree[path.relative_to(folder).as_posix()] = content, bool(path.stat().st_mode & 0o100)
    return tree


def _walk(folder: Path, levels: int) -> Iterator[Path]:
    """Files in the order of their names; a link is given out as one, and not followed."""
    if folder.is_symlink():
        raise TaskFault(cause=f"{folder} is a link", hint="put the folder itself there")
    if not folder.is_dir():
        return
    _check_level(folder, levels)
    for path in _entries(folder):
        if path.is_dir() and not path.is_symlink():
            if path.name != "__pycache__":
                yield from _walk(path, levels - 1)
        else:
            yield path


def _check_level(folder: Path, left: int) -> None:
    if left == 0:
        raise TaskFault(cause=f"{folder.parent} has more than {LEVELS_MAX} levels of folders", hint="make it flatter")


def _entries(folder: Path) -> list[Path]:
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise TaskFault(cause=f"{folder} cannot be read: {error.strerror}", hint="let it be read") from error
    for path in found:
        try:
            path.name.encode()
        except UnicodeEncodeError as error:
            raise TaskFault(cause=f"the name {path.name!a} in {folder} is not UTF-8", hint="rename it") from error
    return found


def files_to_upload(folder: Path) -> Iterator[tuple[str, Path]]:
    """(path below it, file) of each file of a folder; a link is what it leads to, and nothing where that lies outside."""
    top = folder.resolve()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.resolve().is_relative_to(top):
            yield path.relative_to(folder).as_posix(), path


def check_new(folder: Path) -> None:
    """Refuse a folder that holds something.

    Raises:
        UsageFault: it does.
    """
    if (folder.exists() or folder.is_symlink()) and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageFault(cause=f"{folder} is there already, and not empty", hint="name a new folder with --output")


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[None]:
    """A folder that is written inside of this: whatever ends that too early, no half of one stays.

    A kill leaves no time for it: so what makes a task of the folder, its task.toml, is to be written last.

    Raises:
        UsageFault: it holds something already, or cannot be written.
    """
    check_new(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        raise UsageFault(cause=f"{folder} cannot be written: {error.strerror}", hint="name another --output") from error
