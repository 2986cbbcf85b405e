"""`runner image`: what has no meaning is refused before an engine is looked for."""

from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

Run = Callable[..., CompletedProcess[str]]


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (("list", "base"), "image list lists all of them"),
        (("check",), "image check needs a name"),
        (("load",), "image load needs a name"),
        (("save", "base"), "image save writes a file"),
        (("build", "base", "--output", "x.tar"), "--output has no meaning for image build"),
        (("burn",), "burn"),
    ],
)
def test_what_has_no_meaning_is_refused(in_process: Run, arguments: tuple[str, ...], cause: str) -> None:
    done = in_process("image", *arguments)
    assert done.returncode == 2 and cause in done.stderr and "hint: " in done.stderr


def test_without_an_engine_it_is_infrastructure(in_process: Run) -> None:
    assert in_process("image", "list").returncode == 3
