"""Run LLM-agent episodes in hardened containers, and grade what they submit.

What other programs may use is declared in `__init__.pyi`, and loaded when it is first asked for (`from runner import Turn`).
The way of the data, the map and the glossary are in ARCHITECTURE.md.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
