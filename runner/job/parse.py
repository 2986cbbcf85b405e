"""Sources parsed in a throw-away sandbox: only plain facts come out, of sizes that are bounded here."""

from collections.abc import Mapping
from typing import Any

from runner.records.syntax import SyntaxFacts
from runner.records.untrusted_json import InvalidJson, parse_object
from runner.sandbox.container import GuestExit, Sandbox
from runner.sandbox.engine import Engine
from runner.sandbox.fleet import Fleet
from runner.sandbox.host_checks import check_engine
from runner.sandbox.image import resolve_image
from runner.sandbox.image_inputs import Say
from runner.sandbox.lock import all_cpus
from runner.sandbox.spec import SandboxSpec
from runner.sandbox.wire import Kind
from runner.settings import Settings

IMAGE = "parse"  # under images/
# Chosen: the parser's tree of a large file takes some ten MiB; nothing is written to its file systems.
MEMORY_BYTES, FILES_BYTES = 512 * 1024 * 1024, 8 * 1024 * 1024
PARSE_DEADLINE_S = 20.0  # chosen: files of the largest size that a task accepts take a fraction of it
FACTS_BYTES_MAX = 2 * 1024 * 1024  # chosen: 20,000 shapes take about 0.4 MiB
FACTS_DEPTH_MAX = 4  # an object of objects of objects of numbers
LINES_MAX = 10_000_000  # chosen: more than the largest submission can have
TEXT_MAX = 300  # characters of an error that are kept; as in inside/syntax.py


def build_parser_spec(engine: Engine, settings: Settings, say: Say) -> SandboxSpec:
    """A sandbox of the parser's own image, so that every task's submissions are read by the same parser.

    Raises:
        ImageFault: its image cannot be built.
        SandboxMismatch, EngineFault: the engine lacks a wall, or the runtime that was asked for.
    """
    unenforced = check_engine(engine.facts, settings)
    image = resolve_image(engine, IMAGE, settings, say=say)
    return SandboxSpec(
        **image.basis(),
        memory_bytes=MEMORY_BYTES,
        cpus=1.0,
        pids=64,
        workspace_bytes=FILES_BYTES,
        tmp_bytes=FILES_BYTES,
        runtime=settings.runtime,
        unenforced=unenforced,
    )


def parse_sources(
    fleet: Fleet, spec: SandboxSpec, sources: Mapping[str, bytes], rules: Mapping[str, Any] | None = None
) -> dict[str, SyntaxFacts]:
    """What a parser says of each source; one that ends the parser costs only itself.

    Args:
        rules: of ast-grep, by name: the facts say which are found.

    Raises:
        InfrastructureFault: engine or host failed.
    """
    facts: dict[str, SyntaxFacts] = {}
    while waiting := [name for name in sources if name not in facts]:
        with fleet.open(spec, "parser", role="parse", cpuset=all_cpus(fleet.engine)) as sandbox:
            for name in waiting:
                facts[name], alive = _parse(sandbox, sources[name], dict(rules or {}))
                if not alive:
                    break
    return facts


def refused_rules(facts: Mapping[str, SyntaxFacts]) -> Mapping[str, str]:
    """The rules that ast-grep refuses, by name, and why: of the first source in which rules were looked for.

    They are the same for all, and the first one is the task's own.
    """
    looked = (found for found in facts.values() if not found.error and found.matches is not None)
    return next((found.refused for found in looked), {})


def _parse(sandbox: Sandbox, source: bytes, rules: dict[str, Any]) -> tuple[SyntaxFacts, bool]:
    """(the facts, whether the parser goes on)."""
    head = {"op": "parse", "rules": rules}
    reply = sandbox.ask(head, source, deadline_s=PARSE_DEADLINE_S, body_bytes_max=FACTS_BYTES_MAX)
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
    if not isinstance(shapes, dict) or not _are_counts(shapes):
        return SyntaxFacts(lines=lines, error="what its parser said cannot be read")
    regions = raw.get("regions")
    kept = (
        {name: counts for name, counts in regions.items() if _are_counts(counts)} if isinstance(regions, dict) else {}
    )
    matches = _matches(raw.get("matches"))
    why = str(raw.get("doubt") or "there is no ast-grep in the parser's image")[:TEXT_MAX] if matches is None else ""
    refused = _matches(raw.get("refused")) or {}
    return SyntaxFacts(lines=lines, shapes=shapes, matches=matches, regions=kept, no_matches=why, refused=refused)


def _matches(raw: Any) -> dict[str, str] | None:
    if not isinstance(raw, dict):
        return None
    return {str(name): str(text)[:TEXT_MAX] for name, text in raw.items()}


def _are_counts(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_count, value.values()))


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 < value <= LINES_MAX
