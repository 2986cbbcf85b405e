"""The audit of what is pinned: a package that could not be asked about is not called fine."""

import pytest

from tests.project.audit import judged

FINE = {"name": "a", "version": "1", "vulns": []}
HOLE = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
UNKNOWN = {"name": "c", "skip_reason": "could not be audited"}


@pytest.mark.parametrize(
    ("found", "problem", "status", "words"),
    [
        ([FINE], "", 0, "1 packages, no known hole"),
        ([FINE, HOLE], "", 1, "b 2: CVE-1, fixed in 3"),
        ([FINE, UNKNOWN], "", 3, "1 of 2 packages could not be asked about (c)"),
        ([HOLE, UNKNOWN], "", 3, "CVE-1"),
        ([], "no network", 3, "could not be audited: no network"),
        ([], "", 3, "no package was looked at"),
    ],
)
def test_what_is_known_of_each_package_decides(
    found: list[dict[str, object]], problem: str, status: int, words: str
) -> None:
    lines, code = judged("x.lock", found, problem)
    assert code == status and words in "\n".join(lines)
