"""What the transcript keeps of a command's exchanges, as `runner.records.episode` has it.

What the request before said already is not said again. A guest chooses how much that is: past
a bound on one event, or on all of a command's, only hashes and sizes are kept.
"""

import hashlib
import json
import threading
from typing import Any

from runner.gateway.policy import UpstreamRequest
from runner.gateway.response_parser import ResponseParser
from runner.llm.request_log import shared_start
from runner.records.episode import Note

EVENT_BYTES_MAX = 4 * 1024 * 1024
EVENTS_BYTES_MAX = 64 * 1024 * 1024
NAMES_NOTED_MAX = 20


class Recorder:
    """Of one command, for all threads of its gateway."""

    def __init__(self, note: Note, bytes_max: int = EVENTS_BYTES_MAX) -> None:
        self._note, self._lock = note, threading.Lock()
        self._left = bytes_max
        self._names: set[str] = set()
        self._before: dict[str, Any] = {}

    def say(self, text: str) -> None:
        """Something that a reader must know."""
        with self._lock:
            self._note("note", {"text": text})

    def say_once(self, text: str) -> None:
        """The same, but not again, and not without end: a guest chose words of it."""
        with self._lock:
            if text not in self._names and len(self._names) < NAMES_NOTED_MAX:
                self._names.add(text)
                self._note("note", {"text": text})

    def request(self, turn: int, asked: UpstreamRequest) -> None:
        """What goes out."""
        body, content = asked.body or {}, asked.content or b""
        event: dict[str, Any] = {
            "turn": turn, "body": {key: value for key, value in body.items() if key not in ("messages", "system", "tools")},
            "asked_model": asked.model,
        }  # fmt: skip
        with self._lock:
            before, messages = self._before, body["messages"] if isinstance(body.get("messages"), list) else []
            kept = shared_start(before.get("messages", []), messages)
            event |= {"messages_kept": kept, "messages": messages[kept:]}
            event |= {key: body.get(key, []) for key in ("system", "tools") if body.get(key, []) != before.get(key, [])}
            self._before = {**body, "messages": messages}
            if not self._has_room_for(event):
                event = {"turn": turn, "body": {}, "asked_model": asked.model, "too_large": len(content)}
                self._before = {}
            self._note("request", {**event, "sha256": hashlib.sha256(content).hexdigest()})

    def response(self, turn: int, heard: ResponseParser | None, one: dict[str, Any]) -> None:
        """What came of it.

        Args:
            heard: None where there was no answer.
            one: the try, by the keys of its event.
        """
        event: dict[str, Any] = {"turn": turn, "tries": [one]}
        with self._lock:
            if heard is None:
                self._note("response", {**event, "error": one["error"]})
                return
            event |= {"stop_reason": heard.stop_reason, "usage": one["usage"], "request_id": one["request_id"]}
            content = heard.content
            if self._has_room_for({**event, "content": content}):
                self._note("response", {**event, "content": content})
                return
            written = json.dumps(content).encode()
            self._note("response", {**event, "too_large": len(written), "sha256": hashlib.sha256(written).hexdigest()})

    def _has_room_for(self, event: dict[str, Any]) -> bool:
        size = len(json.dumps(event))
        if size > min(EVENT_BYTES_MAX, self._left):
            return False
        self._left -= size
        return True
