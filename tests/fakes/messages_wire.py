"""What crosses the wire between a client and the Messages API: an answer's events, and what a request may hold.

`events` says an answer in the real order. `PromptCache` counts a request's tokens. `complaints` lists what the endpoint
would refuse in a request, and `Served` remembers what was answered, so that a history that was altered on its way back
is seen.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

Block = Mapping[str, Any]
Body = Mapping[str, Any]

PIECE_CHARS = 64 * 1024
USAGE = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")

# What a block may hold: fields it must have, fields it may have. A field beside these is refused by the endpoint.
FIELDS = {
    "text": ({"text"}, {"cache_control", "citations"}),
    "image": ({"source"}, {"cache_control"}),
    "document": ({"source"}, {"cache_control", "title", "context", "citations"}),
    "tool_result": ({"tool_use_id", "content"}, {"is_error", "cache_control"}),
    "tool_use": ({"id", "name", "input"}, {"cache_control", "caller"}),
    "thinking": ({"thinking", "signature"}, set[str]()),
    "redacted_thinking": ({"data"}, set[str]()),
}
PLACES = {
    "user": {"text", "image", "document", "tool_result"},
    "assistant": {"text", "tool_use", "thinking", "redacted_thinking"},
    "tool_result": {"text", "image", "document"},
    "system": {"text"},
}
NATIVE_TOOLS = {"bash_20250124": "bash", "text_editor_20250728": "str_replace_based_edit_tool"}
CACHE_MARKS_MAX = 4
CACHE_LOOKBACK_BLOCKS = 20
EDITING_KIND = "clear_tool_uses_20250919"
THINKING_TOKENS_MIN = 1024


@dataclass(frozen=True)
class Answer:
    """One message of the model.

    Attributes:
        stop_reason: as the API names it; "" derives it from the blocks, None is sent as null.
        usage: stands over the server's own counts (`USAGE` has the names).
    """

    blocks: Sequence[Block]
    stop_reason: str | None = ""
    usage: Mapping[str, int] = field(default_factory=dict)

    @property
    def ending(self) -> str | None:
        called = any(block["type"] == "tool_use" for block in self.blocks)
        return self.stop_reason if self.stop_reason != "" else "tool_use" if called else "end_turn"


def blocks_of(message: Mapping[str, Any]) -> list[Block]:
    """A message's content, a bare string as the text block that it stands for."""
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def calls_of(blocks: Sequence[Block]) -> list[Block]:
    return [block for block in blocks if block["type"] == "tool_use"]


# The answer's events


def events(
    answer: Answer,
    message: Mapping[str, Any],
    usage: Mapping[str, int],
    raw_inputs: Mapping[int, str],
    edits: Mapping[str, Any] | None,
) -> Iterator[dict[str, Any]]:
    """The real sequence: message_start; for each block start, deltas, stop; message_delta, message_stop.

    Args:
        message: its id and model.
        raw_inputs: by a block's index, what is sent instead of its input's JSON.
        edits: the request's `context_management` as it was applied.
    """
    counts = {**usage, "output_tokens": 1, "service_tier": "standard"}
    empty = {"type": "message", "role": "assistant", "content": [], "stop_reason": None, "stop_sequence": None}
    yield {"type": "message_start", "message": {**message, **empty, "usage": counts}}
    for index, block in enumerate(answer.blocks):
        yield {"type": "content_block_start", "index": index, "content_block": _begun(block)}
        if index == 0:
            yield {"type": "ping"}
        for delta in _deltas(block, raw_inputs.get(index)):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    ended: dict[str, Any] = {"stop_reason": answer.ending, "stop_sequence": None}
    if answer.ending == "refusal":
        ended["stop_details"] = {"type": "refusal", "category": None, "explanation": None}
    applied = {} if edits is None else {"context_management": edits}
    yield {"type": "message_delta", "delta": ended, "usage": dict(usage), **applied}
    yield {"type": "message_stop"}


def _begun(block: Block) -> Block:
    empty = {"text": {"text": ""}, "tool_use": {"input": {}}, "thinking": {"thinking": "", "signature": ""}}
    return {**block, **empty.get(block["type"], {})}


def _deltas(block: Block, raw_input: str | None) -> Iterator[Block]:
    match block["type"]:
        case "text":
            yield from ({"type": "text_delta", "text": piece} for piece in _pieces(block["text"]))
        case "thinking":
            yield from ({"type": "thinking_delta", "thinking": piece} for piece in _pieces(block["thinking"]))
            yield {"type": "signature_delta", "signature": block["signature"]}
        case "tool_use":
            whole = json.dumps(block["input"]) if raw_input is None else raw_input
            yield from ({"type": "input_json_delta", "partial_json": piece} for piece in ("", *_pieces(whole)))


def _pieces(whole: str) -> Iterator[str]:
    """Two halves, or more where it is long."""
    size = max(1, min(PIECE_CHARS, (len(whole) + 1) // 2))
    return (whole[at : at + size] for at in range(0, len(whole), size))


# What a request costs, and what of it is left out


class PromptCache:
    """Prefixes of requests that were marked before: what they spare, and what a new mark writes.

    As in the real one a mark also finds what was written up to 20 blocks before it. Not modelled: the smallest length
    that is cached, and that entries expire.
    """

    def __init__(self) -> None:
        self._written: set[str] = set()

    def count(self, body: Body) -> dict[str, int]:
        prefix, tokens, marks = "", [0], [0]
        prefixes = [prefix]
        for block in _cacheable(body):
            bare = json.dumps({name: value for name, value in block.items() if name != "cache_control"})
            prefix = digest(prefix + bare)
            prefixes.append(prefix)
            tokens.append(tokens[-1] + len(bare) // 4)
            if block.get("cache_control"):
                marks.append(len(prefixes) - 1)
        if body.get("cache_control"):
            marks.append(len(prefixes) - 1)
        near = [at for mark in marks for at in range(max(0, mark - CACHE_LOOKBACK_BLOCKS), mark + 1)]
        read = max((tokens[at] for at in near if prefixes[at] in self._written), default=0)
        self._written |= {prefixes[mark] for mark in marks if mark}
        counts = (tokens[-1] - tokens[marks[-1]], tokens[marks[-1]] - read, read, 50)
        return dict(zip(USAGE, counts, strict=True))


def _cacheable(body: Body) -> Iterator[Block]:
    """All blocks of a request in the order in which they are cached; a message's with its role."""
    yield {"type": "model", "model": body.get("model")}
    yield from body.get("tools", [])
    if body.get("system"):
        yield from blocks_of({"content": body["system"]})
    for message in body["messages"]:
        yield from ({**block, "role": message["role"]} for block in blocks_of(message))


def applied_edits(body: Body) -> dict[str, Any] | None:
    """How `context_management` was applied: all but the last results to keep are cleared, whatever triggers it."""
    if "context_management" not in body:
        return None
    applied = []
    results = [block for message in body["messages"] for block in blocks_of(message) if block["type"] == "tool_result"]
    for edit in body["context_management"].get("edits", []):
        if edit["type"] != EDITING_KIND:
            continue
        cleared = results[: max(0, len(results) - edit.get("keep", {}).get("value", 3))]
        if cleared:
            tokens = sum(len(json.dumps(block["content"])) // 4 for block in cleared)
            applied.append({"type": EDITING_KIND, "cleared_tool_uses": len(cleared), "cleared_input_tokens": tokens})
    return {"applied_edits": applied}


def digest(of: str) -> str:
    return hashlib.sha256(of.encode(errors="surrogatepass")).hexdigest()


# What was answered, and what became of it


def _essence(block: Block) -> tuple[str, ...]:
    """What has to come back as it was sent."""
    match block["type"]:
        case "tool_use":
            return ("tool_use", block["id"], block["name"], _canonical(block["input"]))
        case "thinking":
            return ("thinking", block["thinking"], block["signature"])
        case "redacted_thinking":
            return ("redacted_thinking", block["data"])
    return (block["type"], str(block.get("text")))


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _thoughts(blocks: Sequence[Block]) -> set[tuple[str, ...]]:
    return {_essence(block) for block in blocks if "thinking" in block["type"]}


@dataclass
class Served:
    """The answers that were given whole. A second server may be handed the first one's, to go on with its conversations."""

    _seen: set[tuple[str, ...]] = field(default_factory=set)
    _before: dict[str, list[set[tuple[str, ...]]]] = field(default_factory=dict)
    _paused: list[list[tuple[str, ...]]] = field(default_factory=list)

    def remember(self, answer: Answer, broken_inputs: bool, asked: Body) -> None:
        """Of a call whose input was broken any input may come back; of one whose id was not new, any id."""
        ids = Counter(call["id"] for call in calls_of(answer.blocks))
        ids.update(call["id"] for message in asked["messages"] for call in calls_of(blocks_of(message)))
        for block in answer.blocks:
            kind, *rest = _essence(block)
            if kind == "tool_use":
                rest = ["" if ids[block["id"]] > 1 else rest[0], rest[1], "" if broken_inputs else rest[2]]
                self._before.setdefault(block["id"], []).append(_thoughts(answer.blocks))
            self._seen.add((kind, *rest))
        if answer.ending == "pause_turn":
            self._paused.append([_essence(block) for block in answer.blocks])

    def is_paused(self, message: Mapping[str, Any]) -> bool:
        """It ends in an answer that stopped with pause_turn, which the client has to send back to go on."""
        sent = [_essence(block) for block in blocks_of(message)]
        return any(paused and sent[-len(paused) :] == paused for paused in self._paused)

    def complaints(self, blocks: Sequence[Block], is_last: bool) -> Iterator[str]:
        """Where an assistant's message differs from what was answered; older thoughts may be left out, not altered."""
        for call in calls_of(blocks):
            kind, id_, name, given = _essence(call)
            if not {(kind, i, name, g) for i in (id_, "") for g in (given, "")} & self._seen:
                yield f"the call {id_} ({name}) was not served so: {given[:200]}"
            served = self._before.get(id_, [])
            if is_last and served and not any(thoughts <= _thoughts(blocks) for thoughts in served):
                yield f"the thinking before the call {id_} is missing"
        for thought in sorted(_thoughts(blocks) - self._seen):
            yield f"{thought[0]} that was not served so: {thought[1][:200]!r}"


# The request


def complaints(body: Body, served: Served) -> Iterator[str]:
    """What the real endpoint would refuse, or what no request of ours should hold."""
    yield from _options(body)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        yield f"messages is {messages!r}"
        return
    yield from _order(messages, served)
    last = max((at for at, message in enumerate(messages) if message["role"] == "assistant"), default=-1)
    for at, message in enumerate(messages):
        yield from _blocks(f"messages.{at}", message["role"], message["content"])
        if message["role"] == "assistant":
            yield from (f"messages.{at}: {each}" for each in served.complaints(blocks_of(message), at == last))
    yield from _results(messages)
    if body.get("system"):
        yield from _blocks("system", "system", body["system"])
    yield from _tools(body.get("tools", []))
    yield from _cache_marks(body)


def _options(body: Body) -> Iterator[str]:
    most = body.get("max_tokens")
    if not isinstance(body.get("model"), str) or not body["model"]:
        yield f"model is {body.get('model')!r}"
    if type(most) is not int or most <= 0:
        yield f"max_tokens is {most!r}"
    if body.get("stream") is not True:
        yield f"stream is {body.get('stream')!r}"
    yield from (f"{name} is set" for name in ("temperature", "top_p", "top_k") if name in body)
    match body.get("thinking"):
        case None | {"type": "adaptive" | "disabled"}:
            pass
        case {"type": "enabled", "budget_tokens": int(budget)} if THINKING_TOKENS_MIN <= budget < (most or 0):
            pass
        case other:
            yield f"thinking is {other!r} with max_tokens {most!r}"


def _order(messages: Sequence[Mapping[str, Any]], served: Served) -> Iterator[str]:
    if messages[0]["role"] != "user":
        yield f"messages.0: a message of {messages[0]['role']} where user's was due"
    for at, (before, message) in enumerate(pairwise(messages), start=1):
        due = "assistant" if before["role"] == "user" else "user"
        if message["role"] != due and not (message["role"] == "assistant" and served.is_paused(before)):
            yield f"messages.{at}: a message of {message['role']} where {due}'s was due"
    if messages[-1]["role"] == "assistant" and not served.is_paused(messages[-1]):
        yield "the last message is the assistant's, and it was not paused"


def _results(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Each call has one result, in order, at the beginning of the next user's message; no id is used twice."""
    asked: list[str] = []
    used: Counter[str] = Counter()
    for at, message in enumerate(messages):
        kinds = [block["type"] for block in blocks_of(message)]
        called = [call["id"] for call in calls_of(blocks_of(message))]
        used.update(called)
        if message["role"] == "assistant":
            asked += called
            continue
        answered = [block["tool_use_id"] for block in blocks_of(message) if block["type"] == "tool_result"]
        if answered != asked:
            yield f"messages.{at}: tool results {answered} for the calls {asked}"
        if "tool_result" in kinds[len(answered) :]:
            yield f"messages.{at}: a tool result after other content"
        asked = []
    yield from (f"the call id {id_} is used {count} times" for id_, count in used.items() if count > 1)


def _blocks(where: str, place: str, content: object) -> Iterator[str]:
    if isinstance(content, str) and (content.strip() or place == "tool_result"):
        return
    if not isinstance(content, list) or (not content and place != "tool_result"):
        yield f"{where}: content is {content!r}"
        return
    for at, block in enumerate(content):
        kind = block.get("type")
        if kind not in PLACES.get(place, set()):
            yield f"{where}.{at}: {kind!r} in the content of {place}"
            continue
        needed, allowed = FIELDS[kind]
        if wrong := (needed - set(block)) | (set(block) - needed - allowed - {"type"}):
            yield f"{where}.{at}: {kind} with missing or extra {sorted(wrong)}"
        if kind == "text" and not str(block.get("text", "")).strip():
            yield f"{where}.{at}: text is empty"
        if kind == "tool_use" and not isinstance(block.get("input"), dict):
            yield f"{where}.{at}: input is {block.get('input')!r}"
        if kind == "tool_result":
            yield from _blocks(f"{where}.{at}", "tool_result", block.get("content"))


def _tools(tools: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    names = Counter(tool.get("name") for tool in tools)
    yield from (f"tool {name} is defined {count} times" for name, count in names.items() if count > 1)
    for tool in tools:
        name, kind = tool.get("name"), tool.get("type", "custom")
        if kind != "custom":
            if NATIVE_TOOLS.get(kind) != name:
                yield f"tool {name} has the type {kind}"
        elif tool.get("input_schema", {}).get("type") != "object" or not tool.get("description"):
            yield f"tool {name} lacks a schema or a description"
        elif not re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", str(name)):
            yield f"tool {name!r} has a name that is not allowed"


def _cache_marks(body: Body) -> Iterator[str]:
    inner = [block for message in body["messages"] for block in blocks_of(message)]
    inner += [each for block in inner if isinstance(block.get("content"), list) for each in block["content"]]
    system = body["system"] if isinstance(body.get("system"), list) else []
    with_cache_control = [each for each in (*body.get("tools", []), *system, *inner, body) if each.get("cache_control")]
    if len(with_cache_control) > CACHE_MARKS_MAX:
        yield f"cache_control stands {len(with_cache_control)} times, at most {CACHE_MARKS_MAX} are allowed"
    for each in with_cache_control:
        mark = each["cache_control"]
        if (
            mark.get("type") != "ephemeral"
            or not set(mark) <= {"type", "ttl"}
            or mark.get("ttl", "5m") not in ("5m", "1h")
        ):
            yield f"cache_control is {mark!r}"
        if "thinking" in each.get("type", "") or (each.get("type") == "text" and not each["text"]):
            yield f"cache_control on {each['type']} that is empty or thinking"
