"""Run LLM-agent episodes in hardened containers, and grade what they submit.

The way of the data: task folder -> `Task` -> `Episode` (sandbox + agent + budget) -> transcript and `Submission` (the
bytes of one file) -> checks -> samples (baseline, candidate, baseline, ...) -> `Measurement` and `Quality` ->
`Verdict` -> results.json, console. Imports go down that way only. ARCHITECTURE.md has the map and the glossary.
"""

__version__ = "0.1.0"
