"""The line that a message names is the one where the key stands."""

import pytest

from runner.tasks.toml_lines import line_of

TEXT = '''\
# a comment = no key

[task]
name = "x"
title = """
name = "not this one"
[not a table]
"""
[inputs.points]
dtype = "float64"  # [not = this]
[components.Net]
methods = []
[[components.Net.probes]]
method = "a"
[[components.Net.probes]]
method = "b"
inputs = [{ dtype = "x" }]
[quality]
quality.tolerance = 1
"odd key" = 2
'''


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (("task",), 3),
        (("task", "name"), 4),
        (("task", "title"), 5),
        (("inputs", "points", "dtype"), 10),
        (("inputs", "points", "shape"), 9),
        (("components", "Net", "probes"), 13),
        (("components", "Net", "probes", 0, "method"), 14),
        (("components", "Net", "probes", 1, "method"), 16),
        (("components", "Net", "probes", 1, "inputs", 0, "dtype"), 17),
        (("quality", "quality", "tolerance"), 19),
        (("quality", "odd key"), 20),
        (("grading",), None),
        ((), None),
    ],
)
def test_a_key_has_its_line_or_that_of_what_it_lies_in(key: tuple[str | int, ...], line: int | None) -> None:
    assert line_of(TEXT, key) == line
