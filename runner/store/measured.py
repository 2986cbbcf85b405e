"""What is measured of a job after it has ended: one file a measurement in output/<job>/measured, whole or not at all.

Each file says what it is about (task, scale, files, rounds) and carries a checksum, so that a later call takes what is
there, and measures again what was changed, is damaged, or is about something else.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.store.files import guard_writing, read_regular, write_file

FOLDER = "measured"


def keep_measurement(job: Path, name: str, about: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    """Write one measurement, in place of an older one of that name.

    Raises:
        StoreFault: it cannot be written.
    """
    folder = job / FOLDER
    guard_writing(folder, lambda: folder.mkdir(exist_ok=True))
    whole = {"about": dict(about), "content": dict(content)}
    text = json.dumps({**whole, "sha256": _checksum(whole)}, ensure_ascii=False, indent=1)
    write_file(folder / f"{name}.json", text + "\n")


def read_measurement(job: Path, name: str, about: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """A measurement's content; None where there is none that is whole and about just this.

    Args:
        about: None for whatever it is about.
    """
    try:
        whole = json.loads(read_regular(job / FOLDER / f"{name}.json").decode("utf-8"))
        content, said = whole["content"], whole.pop("sha256")
        is_whole = said == _checksum(whole) and isinstance(content, dict)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if not is_whole or (about is not None and whole["about"] != json.loads(json.dumps(dict(about)))):
        return None
    return dict(content)


def measurements(job: Path) -> dict[str, dict[str, Any]]:
    """The contents of all measurements that are whole, by name."""
    names = sorted(path.stem for path in (job / FOLDER).glob("*.json"))
    found = {name: read_measurement(job, name) for name in names}
    return {name: content for name, content in found.items() if content is not None}


def _checksum(whole: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(whole, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
