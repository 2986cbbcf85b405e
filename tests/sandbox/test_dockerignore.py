"""What a .dockerignore leaves out, and that none of them takes for ever."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.faults import TaskFault
from runner.sandbox.dockerignore import without_ignored

PATHS = ["Dockerfile", "a.txt", "a/b.txt", "a/c/d.txt", "x/a.txt", "x/y/z.pyc"]


def kept(text: str, *paths: str) -> list[str]:
    files = dict.fromkeys((*PATHS, *paths), (b"", False))
    return [
        path for path in without_ignored({**files, ".dockerignore": (text.encode(), False)}) if path != ".dockerignore"
    ]


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("", []),
        ("# a.txt\n\n", []),
        ("a.txt", ["a.txt"]),
        ("/a/", ["a/b.txt", "a/c/d.txt"]),
        ("*/a.txt", ["x/a.txt"]),
        ("**/a.txt", ["a.txt", "x/a.txt"]),
        ("**/*.pyc\na/../a.txt", ["a.txt", "x/y/z.pyc"]),
        ("a/**/d.txt", ["a/c/d.txt"]),
        ("**.pyc", ["x/y/z.pyc"]),
        ("**.txt", ["a.txt", "a/b.txt", "a/c/d.txt", "x/a.txt"]),
        ("a/**d.txt", ["a/c/d.txt"]),
        ("x/**", ["x/a.txt", "x/y/z.pyc"]),
        ("**", PATHS[1:]),
        ("/**/**\n!**/a.txt", ["a/b.txt", "a/c/d.txt", "x/y/z.pyc"]),
        ("a.txt\x0cx", []),
        ("a.txt\r\nx/a.txt\r\n", ["a.txt", "x/a.txt"]),
        ("*\n!a", ["a.txt", "x/a.txt", "x/y/z.pyc"]),
        ("[^a].txt\n?.txt", ["a.txt"]),
        ("*\n!**/*.txt\na/c", ["a/c/d.txt", "x/y/z.pyc"]),
        ("..\n!\n/\n[z-a]\n[\n", []),
    ],
)
def test_a_pattern_leaves_out_what_it_names_and_all_below(text: str, gone: list[str]) -> None:
    assert kept(text) == [path for path in PATHS if path not in gone]


def test_a_pattern_of_many_stars_takes_no_longer_than_another() -> None:
    deep = "/".join(["b"] * 60)
    assert deep in kept("**/" * 60 + "x\n" + "*b" * 60 + "c", deep, "b" * 250)


@pytest.mark.parametrize("text", ["a\n" * 1001, "a" * 1001])
def test_a_list_beyond_measure_is_refused(text: str) -> None:
    with pytest.raises(TaskFault, match="patterns"):
        kept(text)


def test_without_a_list_all_is_kept() -> None:
    assert without_ignored({"a": (b"", True)}) == {"a": (b"", True)}


@given(st.text("ab*/!.?[]^ \\\n", max_size=30))
def test_any_list_leaves_out_some_or_none_and_never_the_dockerfile(text: str) -> None:
    assert "Dockerfile" in kept(text) and set(kept(text)) <= set(PATHS)
