"""The audit of what is pinned: a package that could not be asked about is not called fine."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.project import audit as audits
from tests.project.audit import audit, judged, locks, pins

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


def test_every_file_that_pins_a_package_by_its_hash_is_audited(project: Path) -> None:
    folders = [project, *(path for path in (project / "images").iterdir() if path.is_dir())]
    files = [path for folder in folders for path in folder.iterdir() if path.suffix in (".lock", ".txt")]
    assert {path for path in files if "==" in path.read_text(encoding="utf-8")} == set(locks())


LOCK = """# made by a program
a==1.0 \\
    --hash=sha256:00
b[extra]==2.0 ; python_full_version < '3.12' \\
    --hash=sha256:00
b[extra]==3.0 ; python_full_version >= '3.12' \\
    --hash=sha256:00
C_d==2024.07 ; sys_platform == 'win32'
"""


def test_what_is_pinned_for_another_system_is_asked_about_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[tuple[str, str]] = set()

    def run(command: list[str], **_: Any) -> SimpleNamespace:
        texts = [
            Path(path).read_text() for option, path in zip(command, command[1:], strict=False) if "--req" in option
        ]
        for text in texts:
            names = [name for name, _ in pins(text)]
            assert ";" not in text and len(names) == len(set(names)), "such a text is refused, or its line passed over"
            asked.update(pins(text))
        found = [{"name": name.lower().replace("_", "-"), "version": version, "vulns": []} for name, version in asked]
        return SimpleNamespace(stdout=json.dumps({"dependencies": found}), stderr="", returncode=0)

    monkeypatch.setattr(audits.subprocess, "run", run)
    path = tmp_path / "x.lock"
    path.write_text(LOCK)
    found, problem = audit(path)
    assert asked == {("a", "1.0"), ("b", "2.0"), ("b", "3.0"), ("C_d", "2024.07")}
    assert judged("x.lock", found, problem) == (["✓ x.lock: 4 packages, no known hole"], 0)


def test_a_pin_of_which_nothing_was_said_is_not_called_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = json.dumps({"dependencies": [{"name": "a", "version": "1", "vulns": []}]})
    monkeypatch.setattr(
        audits.subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=said, stderr="", returncode=0)
    )
    path = tmp_path / "x.lock"
    path.write_text("a==1.0\nb==2.0\n")
    lines, status = judged("x.lock", *audit(path))
    assert status == 3 and "1 of 2 packages could not be asked about (b)" in lines[0]


def test_no_pin_of_a_lock_is_overlooked() -> None:
    for path in locks():
        text = path.read_text(encoding="utf-8")
        lines = [line for line in text.splitlines() if line[:1].strip(" #")]
        assert len(pins(text)) == len(lines) > 0
