"""Sources parsed in a throw-away sandbox: only plain facts come out, of sizes that are bounded here."""

from collections.abc import Mapping
from typing import Any

from runner.records.syntax import SyntaxFacts
from runner.sandbox.container import GuestExit, Sandbox
from runner.sandbox.fleet import Fleet
from runner.sandbox.lock import all_cpus
from runner.sandbox.spec import SandboxSpec
from runner.sandbox.wire import Kind
from runner.untrusted_json import InvalidJson, parse_object

PARSE_DEADLINE_S = 20.0  # chosen: files of the largest size that a task accepts take a fraction of it
FACTS_BYTES_MAX = 2 * 1024 * 1024  # chosen: 20,000 shapes take about 0.4 MiB
FACTS_DEPTH_MAX = 4  # an object of objects of numbers
LINES_MAX = 10_000_000  # chosen: more than the largest submission can have
TEXT_MAX = 300  # characters of an error that are kept; as in inside/syntax.py


def parse_sources(fleet: Fleet, spec: SandboxSpec, sources: Mapping[str, bytes]) -> dict[str, SyntaxFacts]:
    """What a parser says of each source; one that ends the parser costs only itself.

    Raises:
        InfrastructureFault: engine or host failed.
    """
    facts: dict[str, SyntaxFacts] = {}
    while waiting := [name for name in sources if name not in facts]:
        with fleet.open(spec, "parser", role="parse", cpuset=all_cpus(fleet.engine)) as sandbox:
            for name in waiting:
                facts[name], alive = _parse(sandbox, sources[name])
                if not alive:
                    break
    return facts


def _parse(sandbox: Sandbox, source: bytes) -> tuple[SyntaxFacts, bool]:
    """(the facts, whether the parser goes on)."""
    reply = sandbox.ask({"op": "parse"}, source, deadline_s=PARSE_DEADLINE_S, body_bytes_max=FACTS_BYTES_MAX)
    if isinstance(reply, GuestExit):
        return SyntaxFacts(error=f"its parser ended: {reply.detail}"), False
    if reply.frame.kind is not Kind.REPLY:
        return SyntaxFacts(error="its parser did not answer"), False
    return read_facts(reply.frame.body), True


def read_facts(body: bytes) -> SyntaxFacts:
    """The facts in the bytes that came out; every value is taken for hostile until it has been checked."""
    try:
        raw = parse_object(body, levels_max=FACTS_DEPTH_MAX)
    except InvalidJson:
        return SyntaxFacts(error="what its parser said cannot be read")
    lines = raw.get("lines")
    lines = lines if type(lines) is int and 0 <= lines <= LINES_MAX else 0
    if "error" in raw:
        return SyntaxFacts(lines=lines, error=str(raw["error"])[:TEXT_MAX] or "does not parse")
    shapes = raw.get("shapes")
    if not isinstance(shapes, dict) or not all(_is_count(count) for count in shapes.values()):
        return SyntaxFacts(lines=lines, error="what its parser said cannot be read")
    return SyntaxFacts(lines=lines, shapes=shapes)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 < value <= LINES_MAX
