"""Makes `runner` and `tests` importable for a script of this folder, wherever it is started: imported for its effect."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
