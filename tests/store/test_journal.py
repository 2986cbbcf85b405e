"""A job's journal: whatever became of its bytes, what can be read is read, and what cannot is named."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.faults import StoreFault
from runner.store.journal import NAME, EntryKind, Journal, JournalEntry, line_of, read_journal

CONTENTS = st.dictionaries(
    st.text(max_size=5),
    st.one_of(st.none(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
)
JOURNALS = st.lists(CONTENTS, max_size=6).map(
    lambda contents: [JournalEntry(number, "finished", "now", each) for number, each in enumerate(contents, 1)]
)


@given(JOURNALS)
def test_what_was_written_is_read(entries: list[JournalEntry]) -> None:
    read = read_journal(b"".join(map(line_of, entries)))
    assert list(read.entries) == entries and read.damage == () and read.torn_bytes == 0


@given(JOURNALS.filter(bool), st.data())
def test_of_a_journal_that_ends_anywhere_every_whole_line_is_kept_and_nothing_is_called_damage(
    entries: list[JournalEntry], data: st.DataObject
) -> None:
    lines = [line_of(entry) for entry in entries]
    whole = b"".join(lines)
    at = data.draw(st.integers(0, len(whole)))
    read = read_journal(whole[:at])
    ends, kept = 0, 0
    for line in lines:
        ends += len(line)
        kept += at >= ends - 1  # a line that lacks its end only is whole
    assert list(read.entries) == entries[:kept] and read.damage == ()
    assert read.whole_bytes + read.torn_bytes == at


@given(JOURNALS.filter(bool), st.data())
def test_a_byte_that_changed_costs_its_lines_and_is_named(entries: list[JournalEntry], data: st.DataObject) -> None:
    written = bytearray(b"".join(map(line_of, entries)))
    at = data.draw(st.integers(0, len(written) - 2))
    written[at] = data.draw(st.integers(0, 255).filter(lambda byte: byte != written[at]))
    read = read_journal(bytes(written))
    assert set(map(str, read.entries)) < set(map(str, entries)) and len(read.entries) >= len(entries) - 2
    assert read.damage


@given(JOURNALS.filter(lambda entries: len(entries) > 1), st.data())
def test_a_line_that_was_taken_out_or_stands_twice_is_named(entries: list[JournalEntry], data: st.DataObject) -> None:
    lines = [line_of(entry) for entry in entries]
    at = data.draw(st.integers(0, len(lines) - 2))
    without = read_journal(b"".join(lines[:at] + lines[at + 1 :]))
    assert without.damage == ("1 entries are missing",)
    twice = read_journal(b"".join([*lines, lines[at]]))
    assert len(twice.damage) == 1 and list(twice.entries) == entries


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_error(junk: bytes) -> None:
    read = read_journal(junk)
    assert read.entries == () and (read.damage or read.torn_bytes == len(junk))


@given(JOURNALS.filter(bool), st.data())
def test_after_a_torn_line_the_journal_goes_on(
    tmp_path_factory: pytest.TempPathFactory, entries: list[JournalEntry], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("job")
    whole = b"".join(map(line_of, entries))
    at = data.draw(st.integers(0, len(whole)))
    (folder / NAME).write_bytes(whole[:at])
    journal = Journal(folder)
    journal.append(EntryKind.FINISHED, {"after": True}, "then")
    read = read_journal((folder / NAME).read_bytes())
    assert read.damage == () and read.torn_bytes == 0
    assert read.entries[:-1] == journal.found.entries and read.entries[-1].content == {"after": True}


def test_a_line_that_a_full_disk_did_not_take_leaves_the_journal_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path)
    journal.append(EntryKind.BEGUN, {}, "now")
    before = (tmp_path / NAME).read_bytes()

    def half(descriptor: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data[: len(data) // 2])

    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        with pytest.raises(StoreFault, match="No space left on device"):
            journal.append(EntryKind.FINISHED, {"run": 1}, "now")
    assert (tmp_path / NAME).read_bytes() == before
    journal.append(EntryKind.FINISHED, {"run": 1}, "later")
    assert [entry.number for entry in read_journal((tmp_path / NAME).read_bytes()).entries] == [1, 2]


@pytest.mark.parametrize("written", [0, 10, None], ids=["nothing", "a part", "all"])
def test_a_line_in_whose_writing_ctrl_c_comes_takes_no_other_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int | None
) -> None:
    journal = Journal(tmp_path)
    journal.append(EntryKind.BEGUN, {}, "now")

    def interrupted(descriptor: int, data: bytes) -> int:
        write(descriptor, data[:written])
        raise KeyboardInterrupt

    write = os.write
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "write", interrupted)
        journal.append(EntryKind.FINISHED, {"run": 1}, "now")
    journal.append(EntryKind.FINISHED, {"run": 2}, "later")
    found = read_journal((tmp_path / NAME).read_bytes())
    assert found.damage == () and found.torn_bytes == 0
    kept = [1, 2] if written is None else [2]
    assert [entry.content["run"] for entry in found.entries[1:]] == kept
