"""thin"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from runner.sandbox.engine import Engine


@dataclass(frozen=True, slots=True)
class Image:
    id: str
    reference: str
    python: str
    env: Mapping[str, str]
    volumes: tuple[str, ...] = ()


def resolve_image(engine: Engine, name: str, python: str = "python3", say: Callable[[str], None] = str) -> Image:
    found = engine.client.images.get("scratchbase:1")
    env = dict(e.split("=", 1) for e in found.attrs["Config"]["Env"] or [])
    return Image(found.id, "scratchbase:1", python, env)
