"""One episode as a transcript holds it, with what makes trouble: escapes, broken calls, a lone surrogate, no number."""

from typing import Any

AT = "2026-01-01T00:00:00+00:00"
USAGE = {"input": 100, "cache_write": 20, "cache_read": 300, "output": 50}
START = {
    "event": "start",
    "at": AT,
    "run": 2,
    "agent": "model",
    "model": "m-1",
    "task": "t",
    "instruction_sha256": "ab",
}
TOOLS = [
    {"name": "bash", "description": "Run.", "input_schema": {"type": "object"}},
    {"type": "bash_20250124", "name": "b"},
]
ASKED = {
    "event": "request", "at": AT, "turn": 1, "sha256": "0", "body": {"model": "m-1"}, "system": "Be fast.", "tools": TOOLS,
    "messages": [{"role": "user", "content": [{"type": "text", "text": "Do it."}, {"type": "text", "text": "[left: 9]"}]}],
}  # fmt: skip
CALLS = [
    {"id": "a", "tool": "bash", "input": {"command": None, "x": float("nan")}},
    {"id": "b", "tool": "v", "input": {}, "broken": "{"},
]
END = {"event": "end", "at": AT, "ending": "submitted", "turns": 1, "calls": 2, "seconds": 3.0, "dollars": 0.04}
EPISODE: list[dict[str, Any]] = [
    START,
    ASKED,
    {"event": "response", "turn": 1, "tries": [{"error": "HTTP 529", "usage": {"input": 7}, "dollars": 0.01},
                                               {"usage": USAGE, "dollars": 0.03, "request_id": "req_1"}],
     "content": [{"type": "thinking", "thinking": "Hm."}], "stop_reason": "tool_use"},
    {"event": "turn", "turn": 1, "say": "I look.\ud800", "calls": CALLS},
    {"event": "answer", "call": "a", "text": "\x1b[31mred", "is_error": False, "seconds": 0.1, "exit_status": 0},
    {"event": "answer", "call": "b", "text": "no JSON", "is_error": True},
    {"event": "note", "text": "outputs were cleared", "edits": [1]},
    {"event": "budget", "turn": 1, "left": {"turns": 8}},
    END,
]  # fmt: skip
