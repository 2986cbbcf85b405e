"""What lies in a workspace is what the task makes, whatever its arrays are called."""

import io

import numpy as np
import pytest

from runner.episode.workspace import npz


@pytest.mark.parametrize("names", [("a", "b"), ("file", "allow_pickle"), ("arr_0", "args", "kwds", "self")])
def test_sample_data_may_have_any_names(names: tuple[str, ...]) -> None:
    arrays = {name: np.arange(6.0).reshape(2, 3) + place for place, name in enumerate(names)}
    read = np.load(io.BytesIO(npz(arrays)), allow_pickle=False)
    assert sorted(read.files) == sorted(names) and all((read[name] == arrays[name]).all() for name in names)


def test_sample_data_are_the_bytes_that_numpy_writes_and_the_same_each_time() -> None:
    arrays = {"points": np.random.default_rng(1).random((50, 2)), "count": np.array(3), "flags": np.ones(4, bool)}
    theirs = io.BytesIO()
    np.savez_compressed(theirs, allow_pickle=False, **arrays)
    assert npz(arrays) == npz(arrays) == theirs.getvalue()
