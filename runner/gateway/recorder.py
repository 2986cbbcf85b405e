"""A command's exchanges as events of the transcript.

What a request repeats of the one before is not stored again. A guest chooses how much it sends: past a bound on one
event, or on all events of a command, only hashes and sizes are kept.
"""

import hashlib
import json
import threading
from dataclasses import replace
from typing import Any

from runner.gateway.policy import UpstreamRequest
from runner.gateway.response_parser import ResponseParser
from runner.llm.request_log import common_prefix_len
from runner.records.events import Attempt, Event, EventSink, NoteEvent, RequestEvent, ResponseEvent, event_to_json

# Chosen: an event holds a conversation of a million tokens once; a transcript stays small enough to be read whole.
EVENT_BYTES_MAX = 4 * 1024 * 1024
EVENTS_BYTES_MAX = 64 * 1024 * 1024  # chosen: bounds what a program can fill the host's disk with
NAMES_NOTED_MAX = 20  # chosen: no honest program has more keys that are dropped


class Recorder:
    """Of one command, for all threads of its gateway."""

    def __init__(self, emit: EventSink, bytes_max: int = EVENTS_BYTES_MAX) -> None:
        self._emit, self._lock = emit, threading.Lock()
        self._left = bytes_max
        self._names: set[str] = set()
        self._before: dict[str, Any] = {}

    def note(self, text: str) -> None:
        """A note for whoever reads the transcript."""
        with self._lock:
            self._emit(NoteEvent(text=text))

    def note_once(self, text: str) -> None:
        """The same, once for each text and at most `NAMES_NOTED_MAX` times: a guest chose words of it."""
        with self._lock:
            if text not in self._names and len(self._names) < NAMES_NOTED_MAX:
                self._names.add(text)
                self._emit(NoteEvent(text=text))

    def request(self, turn: int, asked: UpstreamRequest) -> None:
        """A request, as it is sent."""
        body, content = asked.body or {}, asked.content or b""
        sha256 = hashlib.sha256(content).hexdigest()
        event = RequestEvent(
            turn=turn,
            body={key: value for key, value in body.items() if key not in ("messages", "system", "tools")},
            asked_model=asked.model,
            sha256=sha256,
        )
        with self._lock:
            before, messages = self._before, body["messages"] if isinstance(body.get("messages"), list) else []
            kept = common_prefix_len(before.get("messages", []), messages)
            changed = [key for key in ("system", "tools") if body.get(key, []) != before.get(key, [])]
            event = replace(
                event,
                messages_kept=kept,
                messages=tuple(messages[kept:]),
                system=body.get("system", []) if "system" in changed else None,
                tools=tuple(body.get("tools") or []) if "tools" in changed else None,
            )
            self._before = {**body, "messages": messages}
            if not self._has_room_for(event):
                event = RequestEvent(turn=turn, asked_model=asked.model, too_large=len(content), sha256=sha256)
                self._before = {}
            self._emit(event)

    def response(self, turn: int, parser: ResponseParser | None, attempt: Attempt) -> None:
        """The answer to a request, or why there is none.

        Args:
            parser: of the answer; None where there was none.
        """
        event = ResponseEvent(turn=turn, tries=(attempt,))
        with self._lock:
            if parser is None:
                self._emit(replace(event, error=attempt.error))
                return
            event = replace(
                event, stop_reason=parser.stop_reason or "", usage=attempt.usage, request_id=attempt.request_id
            )
            content = tuple(parser.content)
            if self._has_room_for(replace(event, content=content)):
                self._emit(replace(event, content=content))
                return
            written = json.dumps(content).encode()
            self._emit(replace(event, too_large=len(written), sha256=hashlib.sha256(written).hexdigest()))

    def _has_room_for(self, event: Event) -> bool:
        size = len(json.dumps(event_to_json(event)))
        if size > min(EVENT_BYTES_MAX, self._left):
            return False
        self._left -= size
        return True
