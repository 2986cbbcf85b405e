"""What the surroundings of a test are: the same on every machine, whatever is set outside."""

import os
from collections.abc import Mapping

# Where the engine is, which the machine decides; and what a process needs to be started at all.
KEPT = ("PATH", "VIRTUAL_ENV", "XDG_RUNTIME_DIR")
KEPT_PREFIXES = ("DOCKER_", "PYTEST_", "COV_", "HYPOTHESIS_")
FIXED = {"LC_ALL": "C.UTF-8", "LANG": "C.UTF-8", "TZ": "UTC", "TERM": "xterm", "NO_PROXY": "127.0.0.1,localhost"}


def clean_environment(home: str, outer: Mapping[str, str] = os.environ, **more: str) -> dict[str, str]:
    """The environment of a test, or of a program that it starts.

    Args:
        home: the user's home; never the real one, which holds certificates that change verdicts.
        outer: what is set outside.
        more: what this test is about.
    """
    kept = {name: value for name, value in outer.items() if name in KEPT or name.startswith(KEPT_PREFIXES)}
    return {**kept, **FIXED, "HOME": home, **more}
