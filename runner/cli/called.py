"""What this program was started as: a copied command must work where it was installed without its Python on the path."""

import sys
from pathlib import Path

MODULE, SCRIPT = "python -m runner", "runner"


def as_called(text: str) -> str:
    """A text of ours with its commands as the user calls the program."""
    return text.replace(MODULE, SCRIPT) if Path(sys.argv[0]).stem == SCRIPT else text
