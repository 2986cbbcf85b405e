"""`make audit`: known holes in what is pinned, by pip-audit; what could not be asked about is not called fine.

    python -m tests.project.audit

Exit status 0: every package of every lock was asked about, and none has a known hole. 1: some have. 3: the advisory service
did not know, or could not be reached for, some package.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.version import Version

ROOT = Path(__file__).parents[2]
TOOL = "pip-audit==2.9.0"
NAMES_SHOWN = 5


def main() -> int:
    status = 0
    for lock in locks():
        found, problem = audit(lock)
        lines, code = judged(str(lock.relative_to(ROOT)), found, problem)
        print("\n".join(lines))
        status = max(status, code)
    return status


def locks() -> list[Path]:
    """Every file that pins what is installed here, or in an image."""
    return [*sorted(ROOT.glob("*.lock")), *sorted(ROOT.glob("images/*/requirements.txt"))]


def audit(lock: Path) -> tuple[Sequence[Mapping[str, Any]], str]:
    """(what pip-audit says of each package, the end of what it complained of)."""
    pinned = pins(lock.read_text(encoding="utf-8"))
    command = [sys.executable, "-m", "uv", "tool", "run", "--from", TOOL, "pip-audit", "--disable-pip", "--no-deps"]
    command += ["--progress-spinner", "off", "--format", "json"]
    with tempfile.TemporaryDirectory() as folder:
        for number, text in enumerate(without_markers(pinned)):
            path = Path(folder) / f"{number}.txt"
            path.write_text(text, encoding="utf-8")
            command += ["--requirement", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return [], done.stderr.strip()[-500:] or f"exit status {done.returncode}, and no word"
    return [*found, *passed_over(pinned, found)], ""


def pins(text: str) -> list[tuple[str, str]]:
    """(package, version) of each pin of a lock, for whatever Python and system it is."""
    return re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)", text, re.M)


def without_markers(pinned: Sequence[tuple[str, str]]) -> list[str]:
    """Texts that together hold every pin, for every system: pip-audit passes over what is for another one than its own,
    and takes no text with two versions of a package.
    """
    texts: list[dict[str, str]] = []
    for name, version in pinned:
        fitting = next((text for text in texts if name not in text), None)
        if fitting is None:
            texts.append(fitting := {})
        fitting[name] = version
    return ["".join(f"{name}=={version}\n" for name, version in text.items()) for text in texts]


def passed_over(pinned: Sequence[tuple[str, str]], found: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Pins of which pip-audit said nothing at all, in its own form of what it skipped."""
    skipped = {_plain(package["name"]) for package in found if "skip_reason" in package}
    asked = {(_plain(p["name"]), Version(str(p["version"]))) for p in found if "version" in p}
    return [
        {"name": name, "skip_reason": "it was passed over"}
        for name, version in pinned
        if _plain(name) not in skipped and (_plain(name), Version(version)) not in asked
    ]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def judged(lock: str, found: Sequence[Mapping[str, Any]], problem: str) -> tuple[list[str], int]:
    """(lines, exit status) for one lock."""
    if problem or not found:
        return [f"✗ {lock}: could not be audited: {problem or 'no package was looked at'}"], 3
    holes = list(_holes(found))
    unknown = [str(package["name"]) for package in found if "skip_reason" in package]
    lines = [f"✗ {lock}: {hole}" for hole in holes]
    if unknown:
        names = ", ".join(unknown[:NAMES_SHOWN]) + (", ..." if len(unknown) > NAMES_SHOWN else "")
        lines.append(
            f"✗ {lock}: {len(unknown)} of {len(found)} packages could not be asked about ({names}): the advisory service "
            "is not reachable from here, or does not know them; run it where it is"
        )
    if not lines:
        lines = [f"✓ {lock}: {len(found)} packages, no known hole"]
    return lines, 3 if unknown else 1 if holes else 0


def _holes(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for package in found:
        for hole in package.get("vulns", ()):
            fixed = ", ".join(hole.get("fix_versions", ())) or "no version"
            yield f"{package['name']} {package['version']}: {hole['id']}, fixed in {fixed}"


if __name__ == "__main__":
    sys.exit(main())
