"""Run LLM-agent episodes in hardened containers, and grade what they submit.

The way of the data: task folder -> `Task` -> `Episode` (sandbox + agent + budget) -> transcript and `Submission` (the
bytes of one file) -> checks -> samples (baseline, candidate, baseline, ...) -> `Measurement` and `Quality` ->
`Verdict` -> results.json, console. Imports go down that way only. ARCHITECTURE.md has the map and the glossary.

What other programs may use is named in `PUBLIC`, and loaded when it is first asked for: `from runner import Turn`. The types
of these names are in `__init__.pyi`.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

# Name by name, the module that defines it.
PUBLIC = {
    "Agent": "runner.agents.protocol",
    "AgentContext": "runner.agents.protocol",
    "Observation": "runner.agents.protocol",
    "Episode": "runner.episode.environment",
    "workspace_files": "runner.episode.workspace",
    "Limits": "runner.records.episode",
    "ToolCall": "runner.records.episode",
    "ToolResult": "runner.records.episode",
    "Turn": "runner.records.episode",
    "Usage": "runner.records.episode",
    "GradingConfig": "runner.records.run",
    "reward": "runner.records.outcome",
    "grade_contents": "runner.grading.grade",
    "build_context": "runner.job.setup",
    "build_rules": "runner.job.setup",
    "build_spec": "runner.job.setup",
    "load_task": "runner.job.setup",
    "find_engine": "runner.sandbox.engine",
    "Fleet": "runner.sandbox.fleet",
    "all_cpus": "runner.sandbox.lock",
    "Case": "runner.tasks.problem",
    "Settings": "runner.settings",
    "SystemClock": "runner.clock",
    "Fault": "runner.faults",
    "InfrastructureFault": "runner.faults",
}
__all__ = ["PUBLIC", "__version__", *PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(PUBLIC[name]), name)
