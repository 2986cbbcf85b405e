"""Folders under the caches for what a process makes and removes itself: a share's files, what an image is built from.

One that was killed removes nothing, and what it left may be large. So each folder is named by its holder, and whoever makes
the next one first removes those whose holder is dead. Where that cannot be said (another machine's, on a home that several
share; one from before this machine's last start) age decides.
"""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from runner.faults import StoreFault
from runner.sandbox.leftovers import holder, is_alive
from runner.settings import cache_folder

ABANDONED_S = 7 * 86_400.0  # chosen: longer than any job
KINDS = ("shares", "builds")


@contextlib.contextmanager
def scratch_folder(kind: str) -> Iterator[Path]:
    """A new folder, gone at the end.

    Args:
        kind: one of `KINDS`.

    Raises:
        StoreFault: the folder cannot be made.
    """
    try:
        parent = cache_folder() / kind
        parent.mkdir(exist_ok=True)
        sweep_scratch(kind)
        folder = Path(tempfile.mkdtemp(prefix=f"{holder().replace(':', '-')}-", dir=parent))
    except OSError as error:
        raise StoreFault(
            cause=f"a folder under {cache_folder()} cannot be made: {error.strerror}", hint="free some space there"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep_scratch(kind: str, now_s: float | None = None) -> list[Path]:
    """Remove what those left that are gone; which there were.

    Args:
        now_s: seconds since 1970, for what age decides.
    """
    now_s = time.time() if now_s is None else now_s
    with contextlib.suppress(OSError):  # whoever sweeps beside us may have been faster
        gone = [path for path in (cache_folder() / kind).iterdir() if _is_abandoned(path, now_s)]
        for path in gone:
            shutil.rmtree(path, ignore_errors=True)
        return gone
    return []


def _is_abandoned(folder: Path, now_s: float) -> bool:
    if folder.is_symlink() or not folder.is_dir():  # nothing of ours
        return False
    alive = is_alive(":".join(folder.name.split("-")[:3]))
    return now_s - folder.stat().st_mtime > ABANDONED_S if alive is None else not alive
