"""The runner of the peers' tests: what is not run is named, and never passes."""

from pathlib import Path

import pytest

from tests.peers import __main__ as runner_of_peers
from tests.peers.__main__ import NOT_RUN, NotInstalled, Peer, interpreter, main, peer_of, peers, verdict

NEEDS = '# /// script\n# requires-python = ">=3.11"\n# dependencies = [{}]\n# ///\n'


def with_needs(folder: Path, dependencies: str) -> Path:
    file = folder / "with_one.py"
    file.write_text(NEEDS.format(dependencies))
    return file


def report(folder: Path, **counts: int) -> Path:
    numbers = {"tests": 3, "failures": 0, "errors": 0, "skipped": 0} | counts
    attributes = " ".join(f'{name}="{number}"' for name, number in numbers.items())
    file = folder / "report.xml"
    file.write_text(f"<testsuites><testsuite {attributes}/></testsuites>")
    return file


def test_every_peer_says_what_it_needs_and_is_tested() -> None:
    assert peers()
    for peer in peers().values():
        assert "def test_" in peer.file.read_text(), peer.name
        assert not peer.file.name.startswith("test_"), "the suite would collect it, without its package"


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "does not say"), (NEEDS.format(""), "nothing is named"), (NEEDS.format('"ray>=2"'), "ray>=2")],
)
def test_a_peer_that_is_not_pinned_is_refused(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "with_one.py"
    file.write_text(text)
    with pytest.raises(ValueError, match=says):
        peer_of(file)


@pytest.mark.parametrize(
    ("status", "counts", "says"),
    [
        (0, {}, "passed: 3 tests"),
        (1, {"failures": 1, "errors": 1}, "failed: 2 of 3 tests"),
        (0, {"skipped": 1}, "failed: 1 of 3 tests were skipped"),
        (5, {"tests": 0}, "failed: 0 of 0 tests"),
    ],
)
def test_a_peer_passes_only_where_all_its_tests_ran_and_passed(
    tmp_path: Path, status: int, counts: dict[str, int], says: str
) -> None:
    assert verdict(status, report(tmp_path, **counts)) == says
    assert verdict(status, tmp_path / "none.xml").startswith("failed")


def test_a_peer_whose_python_is_not_here_is_named() -> None:
    with pytest.raises(NotInstalled, match=r"needs Python >=3\.99"):
        interpreter(Peer("one", Path("with_one.py"), ">=3.99", ("one==1",)))


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["passed: 1 tests", f"{NOT_RUN}no such version"], 0),
        (["passed: 1 tests", "failed: 1 of 1 tests"], 1),
        ([f"{NOT_RUN}no such version"] * 2, 1),
    ],
)
def test_each_is_named_with_what_came_of_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    status: int,
) -> None:
    file = with_needs(tmp_path, '"one==1"')
    known = {name: Peer(name, file, ">=3.11", ("one==1",)) for name in ("one", "two")}
    monkeypatch.setattr(runner_of_peers, "peers", lambda: known)
    monkeypatch.setattr(runner_of_peers, "trial", lambda peer, folder: ("1", words[list(known).index(peer.name)]))
    assert main([]) == status
    lines = capsys.readouterr().out.splitlines()[-2:]
    assert [line.split(maxsplit=2)[::2] for line in lines] == [["one", words[0]], ["two", words[1]]]


def test_a_name_that_is_not_known_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["nobody"])
    assert ended.value.code == 2 and "gymnasium" in capsys.readouterr().err
