"""Variants of a file: some definitions of one source in the place of another's.

A parser in a throw-away sandbox says which bytes become which text; here its word is checked for order, bounds and size,
and the bytes are put together. Nothing is parsed here, and the result runs in sandboxes only, as any submission does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.job.parse import FACTS_BYTES_MAX, PARSE_DEADLINE_S, TEXT_MAX
from runner.records.untrusted_json import InvalidJson, parse_object
from runner.sandbox.container import GuestExit
from runner.sandbox.fleet import Fleet
from runner.sandbox.lock import all_cpus
from runner.sandbox.spec import SandboxSpec
from runner.sandbox.wire import Kind

REPLY_DEPTH_MAX = 5  # an object of lists of edits
EDITS_MAX = 200  # chosen: more than the definitions of any task


@dataclass(frozen=True, slots=True)
class Edit:
    """Bytes that become a text.

    Attributes:
        start, end: of the bytes that go: the first one, and the one after the last.
        text: what comes in their place.
    """

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where things stand in a source.

    Attributes:
        definitions: by the name of a function, a class or a method (`Class.method`), the definitions that it names.
        found: by the name of a rule, the definitions in which it is found; an empty name for the top level.
        error: why nothing is known; empty where it is.
    """

    definitions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    found: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    error: str = ""

    def reached(self, names: Sequence[str], apart: Sequence[str] = ()) -> set[str]:
        """The definitions that some use, themselves included; those of `apart` are not gone into."""
        seen: set[str] = set()
        waiting = [name for name in names if name in self.definitions]
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += [used for used in self.definitions.get(name, ()) if used not in apart]
        return seen


Ask = Callable[[Mapping[str, Any], bytes], Mapping[str, Any] | str]  # a request of the parser: its answer, or why none


def asker(fleet: Fleet, spec: SandboxSpec) -> Ask:
    """Questions to the parser, each in a sandbox of its own.

    Raises (when asked):
        InfrastructureFault: engine or host failed.
    """

    def ask(head: Mapping[str, Any], body: bytes) -> Mapping[str, Any] | str:
        with fleet.open(spec, "parser", role="parse", cpuset=all_cpus(fleet.engine)) as sandbox:
            reply = sandbox.ask(head, body, deadline_s=PARSE_DEADLINE_S, body_bytes_max=FACTS_BYTES_MAX)
        if isinstance(reply, GuestExit):
            return f"its parser ended: {reply.detail}"
        if reply.frame.kind is not Kind.REPLY:
            return "its parser did not answer"
        try:
            return parse_object(reply.frame.body, levels_max=REPLY_DEPTH_MAX)
        except InvalidJson:
            return "what its parser said cannot be read"

    return ask


def swap(ask: Ask, target: bytes, donor: bytes, baseline: bytes, names: Sequence[str], bytes_max: int) -> bytes | str:
    """The target with the donor's versions of some definitions; or why it cannot be made without a guess.

    Args:
        baseline: its definitions are those that each file is expected to have its own version of.
        names: of functions, classes and methods (`Class.method`).
        bytes_max: of the result.
    """
    contents = (target, donor, baseline)
    head = {"op": "swap", "lengths": [len(content) for content in contents], "names": list(names)}
    said = ask(head, b"".join(contents))
    if isinstance(said, str):
        return said
    if "refused" in said:
        return str(said["refused"])[:TEXT_MAX] or "it cannot be made"
    edits = read_edits(said.get("edits"))
    return edits if isinstance(edits, str) else splice(target, edits, bytes_max)


def read_edits(raw: Any) -> list[Edit] | str:
    """The edits that a parser names, or what is wrong with them; every value is taken for hostile."""
    if not isinstance(raw, list) or len(raw) > EDITS_MAX:
        return "what its parser said cannot be read"
    edits = []
    for entry in raw:
        if not isinstance(entry, list) or [type(value) for value in entry] != [int, int, str]:
            return "what its parser said cannot be read"
        edits.append(Edit(*entry))
    return edits


def splice(content: bytes, edits: Sequence[Edit], bytes_max: int) -> bytes | str:
    """The content with the edits made; or what is wrong with them: out of order, out of bounds, or too much."""
    parts, at = [], 0
    for edit in edits:
        if not at <= edit.start <= edit.end <= len(content):
            return "what its parser said is out of bounds"
        parts += [content[at : edit.start], edit.text.encode("utf-8", "replace")]
        at = edit.end
    made = b"".join([*parts, content[at:]])
    return made if len(made) <= bytes_max else f"it would have {len(made)} bytes, the task allows {bytes_max}"


def locate(ask: Ask, source: bytes, rules: Mapping[str, Any]) -> Places:
    """Where definitions stand in a source, and in which of them each rule of ast-grep is found."""
    said = ask({"op": "locate", "rules": dict(rules)}, source)
    if isinstance(said, str) or "error" in said:
        return Places(error=said if isinstance(said, str) else str(said["error"])[:TEXT_MAX])
    definitions, found = _names_by_name(said.get("definitions")), _names_by_name(said.get("places"))
    if definitions is None or found is None:
        return Places(error="what its parser said cannot be read")
    return Places(definitions=definitions, found=found)


def _names_by_name(raw: Any) -> dict[str, tuple[str, ...]] | None:
    if not isinstance(raw, dict) or not all(isinstance(names, list) for names in raw.values()):
        return None
    return {str(key): tuple(str(name) for name in names) for key, names in raw.items()}
