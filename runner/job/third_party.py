"""Agents of others: a class of the user's own file, or an entry point of an installed package."""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

from runner.agents.adapter import ThirdPartyAgent, message_of
from runner.agents.protocol import MakeAgent
from runner.faults import UsageFault
from runner.tasks.authors_code import undisturbed

ENTRY_POINTS = "runner.agents"


def names_of_entry_points() -> list[str]:
    """Names that installed packages register."""
    return [point.name for point in importlib.metadata.entry_points(group=ENTRY_POINTS)]


def file_and_class(name: str) -> tuple[Path, str] | None:
    """The parts of `FILE.py:Class`; None for an agent that is named in another way."""
    path, colon, attribute = name.rpartition(":")
    return (Path(path), attribute) if colon and path.endswith(".py") else None


def load_agent(name: str, known: list[str]) -> ThirdPartyAgent:
    """`FILE.py:Class`, or an entry point's name.

    Args:
        known: names of the agents that ship with the runner, for the message.

    Raises:
        UsageFault: it cannot be found or loaded.
    """
    if (named := file_and_class(name)) is not None:
        return _from_file(*named)
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        if point.name == name:
            return _loaded(f"the entry point {name} ({point.value})", point.load)
    choices = ", ".join([*known, *names_of_entry_points()])
    raise UsageFault(cause=f"no agent {name!r}", hint=f"choose one of: {choices}, or your own as FILE.py:Class")


def about_agent(name: str) -> dict[str, str]:
    """By what an agent is known again: its file's content, or its package's version; nothing where there is none."""
    if (named := file_and_class(name)) is not None:
        with contextlib.suppress(OSError):
            return {"file_sha256": hashlib.sha256(named[0].read_bytes()).hexdigest()}
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        if point.name == name:
            package = f"{point.dist.name} {point.dist.version}" if point.dist is not None else ""
            return {"entry_point": point.value, "package": package}
    return {}


def _from_file(path: Path, attribute: str) -> ThirdPartyAgent:
    """A class of the user's own file: code that is trusted, and runs here. It finds the modules beside it.

    These come last: none of them may take the name of what the runner, or a library of its, imports later.
    """
    if not path.is_file():
        raise UsageFault(cause=f"{path} is not a file", hint="write --agent FILE.py:Class")
    path = path.absolute()  # its code may change the working directory
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    name = f"agent_{path.stem}"  # never a module's name that somebody imports
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # registered: dataclasses look there
    run = spec.loader.exec_module

    def load() -> object:
        run(module)
        return getattr(module, attribute)

    return _loaded(f"{path}:{attribute}", load)


def _loaded(what: str, load: Callable[[], object]) -> ThirdPartyAgent:
    """An agent's class or maker.

    Raises:
        UsageFault: there is none.
    """
    try:
        # Standard output is the report's, and scores are computed in this thread.
        with contextlib.redirect_stdout(sys.stderr), undisturbed():
            made = load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # boundary: whatever a user's code does when it is imported
        raise UsageFault(
            cause=f"{what} cannot be loaded: {type(error).__name__}: {message_of(error)}", hint="fix the file"
        ) from error
    if not callable(made):
        raise UsageFault(cause=f"{what} is not a class, but {type(made).__name__}", hint="name a class that has act")
    return ThirdPartyAgent(cast(MakeAgent, made))
