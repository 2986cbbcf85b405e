"""A folder's files as one run of bytes: what one side writes the other reads, and what is no such run is refused."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.records.bundle import BUNDLE, pack_files
from runner.sandbox.container import INSIDE

INNER: dict[str, Any] = {"os": os, "stat": stat}
exec(compile((INSIDE / "bundle.py").read_text(), "bundle.py", "exec"), INNER)
BadBundle = INNER["BadBundle"]
STEP = st.text(min_size=1, max_size=12).filter(lambda step: step not in (".", "..") and not {"/", "\0"} & set(step))
PATH = st.lists(STEP, min_size=1, max_size=3).map("/".join).filter(lambda path: path < "\ud800")


def unbundled(content: bytes) -> list[tuple[bytes, bool, bytes]]:
    return list(INNER["unbundled"](content))


def bundled(folder: Path, bytes_max: int = 1000, files_max: int = 10) -> bytes:
    here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return bytes(INNER["bundled"](here, bytes_max, files_max))
    finally:
        os.close(here)


@given(st.lists(st.tuples(PATH, st.binary(max_size=50), st.booleans()), max_size=5))
def test_what_is_packed_is_what_is_unpacked(files: list[tuple[str, bytes, bool]]) -> None:
    found = unbundled(pack_files(files))
    assert found == [(path.encode("utf-8", "surrogateescape"), is_run, content) for path, content, is_run in files]


def test_both_sides_name_the_form_alike() -> None:
    assert INNER["BUNDLE"] == BUNDLE


@given(st.binary(max_size=80).map(lambda rest: BUNDLE + rest) | st.binary(max_size=80))
def test_any_bytes_are_files_or_are_refused(content: bytes) -> None:
    try:
        for path, _, _ in unbundled(content):
            assert not path.startswith(b"/") and b".." not in path.split(b"/")
    except BadBundle as error:
        assert len(str(error)) < 100


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "a//x", ".", "a/", "x\0"])
def test_a_path_that_leaves_its_folder_is_refused(path: str) -> None:
    with pytest.raises(BadBundle, match="leaves its folder"):
        unbundled(pack_files([(path, b"", False)]))


def test_a_folder_is_bundled_with_what_may_be_executed(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "run").write_bytes(b"1")
    (tmp_path / "b" / "run").chmod(0o755)
    (tmp_path / "a").write_bytes(b"22")
    assert unbundled(bundled(tmp_path)) == [(b"a", False, b"22"), (b"b/run", True, b"1")]


def test_more_or_larger_files_than_allowed_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(bytes(60))
    with pytest.raises(BadBundle, match="more than 100 bytes"):
        bundled(tmp_path, bytes_max=100)
    with pytest.raises(BadBundle, match="more than 1 files"):
        bundled(tmp_path, files_max=1)


def test_a_path_that_the_other_side_would_refuse_is_refused_where_it_is_bundled(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["x" * 250] * 4)
    deep.mkdir(parents=True)
    (deep / ("y" * 20)).write_bytes(b"")
    assert len(unbundled(bundled(tmp_path))) == 1
    (deep / ("y" * 21)).write_bytes(b"")
    with pytest.raises(BadBundle, match="more than 1024 bytes"):
        bundled(tmp_path)


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("/etc/passwd"), os.mkfifo], ids=["link", "pipe"])
def test_a_link_or_a_special_file_is_refused(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "odd")
    with pytest.raises(BadBundle, match="only regular files count"):
        bundled(tmp_path)
