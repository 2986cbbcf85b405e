"""Files of a run's folder that come in parts: put together, and bounded while they are not whole."""

import base64

import pytest

from runner.hosts import messages
from runner.hosts.messages import OPEN_FILES_MAX, Files, file_lines, read_line


def part(name: str, content: bytes) -> dict[str, object]:
    return {"run": 1, "name": name, "part": base64.b64encode(content).decode(), "last": False}


def test_a_file_that_comes_in_parts_is_whole_at_its_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "CHUNK_BYTES", 3)
    files = Files()
    found = [files.add(read_line(line), (1,)) for line in file_lines(1, "x.py", b"12345678")]
    assert found == [None, None, (1, "x.py", b"12345678")] and not files.parts


def test_files_that_never_become_whole_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files()
    for number in range(OPEN_FILES_MAX):
        assert files.add(part(str(number), b""), (1,)) is None
    with pytest.raises(ValueError, match="not whole"):
        files.add(part("one_more", b""), (1,))
    monkeypatch.setattr(messages, "FILE_BYTES_MAX", 5)
    two = Files()
    two.add(part("a", b"123"), (1,))
    with pytest.raises(ValueError, match="not whole"):
        two.add(part("b", b"456"), (1,))


def test_no_file_takes_the_place_of_the_folder_of_snapshots() -> None:
    with pytest.raises(ValueError, match="none of a run's folder"):
        Files().add(part("snapshots", b"x"), (1,))
    assert Files().add({**part("snapshots/snapshots.py", b"x"), "last": True}, (1,)) is not None
