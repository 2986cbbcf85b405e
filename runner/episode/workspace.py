"""What an agent finds in its workspace."""

import io
import zipfile
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from runner.tasks.task import Task, files_below

Arrays = Mapping[str, NDArray[np.generic]]


def workspace_files(task: Task, sample: Arrays | None) -> Iterator[tuple[str, bytes]]:
    """(path, bytes) of everything that the agent finds; problem.py and the solution are never among it."""
    folder = task.folder / task.file.workspace.folder
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        yield path.relative_to(folder).as_posix(), path.read_bytes()
    starter, baseline = task.file.workspace.starter, task.folder / task.file.call.baseline
    if starter and baseline.is_dir():
        yield from ((f"{starter}/{name}", content) for name, content, _ in files_below(baseline))
    elif starter:
        yield starter, task.baseline
    if task.file.workspace.sample is not None and sample is not None:
        yield task.file.workspace.sample.file, npz(sample)


def npz(arrays: Arrays) -> bytes:
    """The arrays as `numpy.savez_compressed` writes them, which cannot be asked for one that is called `file`."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)
    return packed.getvalue()
