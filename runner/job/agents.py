"""Who plays: from flags and settings to the makers of a job's agents, checked as far as that goes before anything starts."""

import hashlib
import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast, get_args

from runner.agents.command import CommandAgent
from runner.agents.human import Human, Terminal
from runner.agents.model import SYSTEM_PROMPT, ModelAgent, ModelConfig, thinking_of
from runner.agents.oracle import make_noop, make_oracle
from runner.agents.protocol import AgentContext, MakeAgent
from runner.agents.replay import PREFIX, make_replay
from runner.agents.scripted import make_scripted
from runner.agents.tool_formats import Style, toolkit
from runner.budget.ledger import Ledger
from runner.clock import Clock
from runner.episode.tools import schemas
from runner.faults import UsageFault
from runner.gateway.upstream import Endpoint
from runner.llm.backoff import Backoff
from runner.llm.model import ModelClient, RetryPolicy, Transport
from runner.llm.prices import Prices, prices_of
from runner.records.episode import Limits
from runner.report.escape import shown
from runner.settings import Settings
from runner.tasks.task import Task

MODEL, HUMAN, COMMAND = "model", "human", "command"
KEYLESS: dict[str, MakeAgent] = {"scripted": make_scripted, "oracle": make_oracle, "noop": make_noop}
ENTRY_POINTS = "runner.agents"
APIS = ("anthropic", "openai")


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """The flags about who plays, and what they may use.

    Attributes:
        agent: empty: chosen by what credentials there are.
        limits: of each episode; None of a limit leaves it to the task.
        job_dollars: the most that all episodes together may cost; 0 or less is refused.
        price: US dollars for a million tokens, IN/OUT; empty: the tables'.
        command: the command line that runs in the sandbox, of the agent `command`.
        put: files of the host that it finds in its workspace.
        replay_ignore: a regular expression; what it matches is not compared.
    """

    agent: str = ""
    api: str = "anthropic"
    tools: str = "schema"
    thinking: str = ""
    system_prompt: Path | None = None
    limits: Limits = Limits()
    job_dollars: float = 10.0
    price: str = ""
    price_check: bool = True
    preflight: bool = True
    take_last: bool = False
    grade_snapshots: bool = False
    command: str = ""
    put: tuple[Path, ...] = ()
    replay_ignore: str = ""


@dataclass(frozen=True, slots=True)
class AgentSetup:
    """Who plays a job.

    Attributes:
        stop: makes those that wait for a model give up.
        preflight: sees that the model can be reached; raises a fault where not.
        waits: whether the agents mostly wait for a model.
        alone: whether one plays at a time, since all have one terminal.
        config, prices: None for agents without a model.
        about: for lock.json and the transcripts.
    """

    name: str
    make: MakeAgent
    model: str = ""
    stop: Callable[[], None] = lambda: None
    preflight: Callable[[], None] = lambda: None
    waits: bool = False
    alone: bool = False
    config: ModelConfig | None = None
    prices: Prices | None = None
    about: dict[str, Any] = field(default_factory=dict)


def resolve_agent_name(settings: Settings, options: AgentOptions) -> str:
    """What was asked for, else a model where there are credentials, else the scripted episodes."""
    has_key = settings.has_openai_credentials if options.api == "openai" else settings.has_credentials
    return options.agent or (MODEL if has_key else "scripted")


def resolve_limits(task: Task, options: AgentOptions) -> Limits:
    """What each episode may use: the flags over the task's limits.

    Raises:
        UsageFault: a limit is nothing, or less.
    """
    section, asked = task.file.episode, options.limits
    for name in ("turns", "output_tokens", "tokens", "dollars", "wall_s", "working_s"):
        value = getattr(asked, name)
        if value is not None and not 0 < value < float("inf"):
            flag = "--" + name.replace("_", "-")
            raise UsageFault(cause=f"{flag} {value:g}", hint="give more than nothing, or leave it to the task")
    return Limits(
        turns=asked.turns or section.turns,
        output_tokens=asked.output_tokens or section.output_tokens,
        tokens=asked.tokens or section.tokens,
        dollars=asked.dollars or section.dollars,
        wall_s=asked.wall_s or section.wall_s,
        working_s=asked.working_s or section.working_s,
    )


def set_up_agent(
    settings: Settings, options: AgentOptions, task: Task, runs: int, ledger: Ledger, clock: Clock,
    say: Callable[[str], None],
) -> AgentSetup:  # fmt: skip
    """Who plays.

    Raises:
        UsageFault: there is no such agent, it lacks credentials or a price, or an episode of it is broken.
    """
    _check(options)
    name = resolve_agent_name(settings, options)
    if name == MODEL:
        return _model(settings, options, task, ledger, clock, say)
    if name == COMMAND:
        return _command(settings, options, task, ledger, clock, say)
    if name == HUMAN:
        return _human(clock)
    if name.startswith(PREFIX):
        return _replay(name, options, task, runs)
    make = KEYLESS.get(name) or _third_party(name)
    cast_ = AgentSetup(name, make)
    if name in KEYLESS:
        for number in range(1, runs + 1):
            make(AgentContext(task, number))
    return cast_


def _check(options: AgentOptions) -> None:
    if not 0 < options.job_dollars < float("inf"):
        raise UsageFault(cause=f"--job-dollars {options.job_dollars:g}", hint="allow the job more than nothing")
    if options.api not in APIS:
        raise UsageFault(cause=f"--api {options.api}", hint=f"choose one of: {', '.join(APIS)}")
    if options.tools not in get_args(Style):
        raise UsageFault(cause=f"--tools {options.tools}", hint=f"choose one of: {', '.join(get_args(Style))}")
    if options.api == "openai" and (options.tools == "native" or options.thinking not in ("", "off")):
        raise UsageFault(
            cause="--tools native and --thinking have no words in chat completions",
            hint="leave them out with --api openai",
        )


# A model


def _model(
    settings: Settings, options: AgentOptions, task: Task, ledger: Ledger, clock: Clock, say: Callable[[str], None]
) -> AgentSetup:
    config = _model_config(settings, options, task)
    _base_url(settings, options.api)
    if options.api == "anthropic":
        _has_credentials(settings)
    transport_of = _openai if options.api == "openai" else _anthropic
    model = settings.model
    provider = "" if options.api == "openai" else options.api
    prices = prices_of(model, provider, options.price, check=options.price_check)
    client: list[ModelClient] = []

    def get_client() -> ModelClient:
        if not client:  # the SDK takes seconds to import: only when something is asked
            retry_policy = RetryPolicy(settings.turn_s, settings.retry_after_max_s)
            client.append(ModelClient(transport_of(settings, model), prices, ledger, clock, say, retry_policy))
        return client[0]

    def make(assignment: AgentContext) -> ModelAgent:
        get_client().check()  # a key that was refused once needs no sandbox to be refused again
        return ModelAgent(get_client(), config, assignment)

    return AgentSetup(
        name=MODEL,
        make=make,
        model=model,
        stop=lambda: client[0].close() if client else None,
        preflight=lambda: get_client().preflight(),
        waits=True,
        config=config,
        prices=prices,
        about={
            "model": model,
            "api": options.api,
            "tools": options.tools,
            "thinking": dict(config.thinking) if config.thinking else None,
            "max_tokens": config.max_tokens,
            "system_sha256": _sha256(config.system),
        },
    )


# A program in the sandbox


def _command(
    settings: Settings, options: AgentOptions, task: Task, ledger: Ledger, clock: Clock, say: Callable[[str], None]
) -> AgentSetup:
    if options.api != "anthropic":
        raise UsageFault(cause=f"--agent command with --api {options.api}", hint="its gateway speaks anthropic only")
    if not options.command.strip():
        raise UsageFault(cause="--agent command without a command", hint="name the sandbox's line as --command")
    files = tuple((path.name, _content(path)) for path in options.put)
    played = _model(settings, options, task, ledger, clock, say)  # preflight, prices and estimate are a model's
    assert played.prices is not None
    endpoint = Endpoint(
        model=settings.model,
        base_url=_base_url(settings, "anthropic"),
        limiter=Backoff(clock),
        api_key=settings.anthropic_api_key,
        auth_token=settings.anthropic_auth_token,
        retry_after_max_s=settings.retry_after_max_s,
    )
    prices = played.prices

    def make(assignment: AgentContext) -> CommandAgent:
        return CommandAgent(options.command, files, endpoint, ledger, prices, assignment, played.preflight)

    about = {
        "model": settings.model,
        "command": options.command,
        "put": {name: hashlib.sha256(content).hexdigest() for name, content in files},
    }
    return replace(played, name=COMMAND, make=make, about=about)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageFault(cause=f"{path} cannot be read: {error.strerror}", hint="name a file as --put") from error


def _has_credentials(settings: Settings) -> None:
    if not settings.has_credentials:
        raise UsageFault(cause="no model credentials are set", hint="set ANTHROPIC_API_KEY, or play --agent scripted")


def _model_config(settings: Settings, options: AgentOptions, task: Task) -> ModelConfig:
    if settings.max_tokens < 1:
        raise UsageFault(cause=f"--max-tokens {settings.max_tokens}", hint="allow an answer at least one token")
    try:
        thinking = thinking_of(options.thinking, settings.max_tokens)
    except ValueError as error:
        raise UsageFault(
            cause=f"--thinking {options.thinking}",
            hint="write off, adaptive, or a number of tokens from 1024 on and under --max-tokens",
        ) from error
    return ModelConfig(
        system=_system_prompt(options, task),
        toolkit=toolkit(cast(Style, options.tools), schemas()),
        max_tokens=settings.max_tokens,
        thinking=thinking,
        context_tokens=settings.context_tokens,
        endpoint_edits=options.api == "anthropic",
    )


def _system_prompt(options: AgentOptions, task: Task) -> str:
    """The user's, else the task's own, else ours."""
    own = task.folder / "system.md"
    path = options.system_prompt or (own if own.is_file() else SYSTEM_PROMPT)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageFault(cause=f"{path} cannot be read: {error}", hint="name a text file as --system-prompt") from error


def _anthropic(settings: Settings, model: str) -> Transport:
    from runner.llm.client import AnthropicTransport

    return AnthropicTransport(
        model,
        api_key=settings.anthropic_api_key.get_secret_value(),
        auth_token=settings.anthropic_auth_token.get_secret_value(),
        base_url=_base_url(settings, "anthropic"),
    )


def _openai(settings: Settings, model: str) -> Transport:
    from runner.llm.openai_client import OpenAITransport

    return OpenAITransport(
        model,
        api_key=settings.openai_api_key.get_secret_value(),
        base_url=_base_url(settings, "openai"),
    )


# A person


def _human(clock: Clock) -> AgentSetup:
    try:
        descriptor = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError) as error:
        raise UsageFault(
            cause=f"--agent {HUMAN}: there is no standard input", hint="start it in a terminal, or pipe the lines in"
        ) from error
    terminal = Terminal(descriptor, sys.stderr, shown, clock)
    return AgentSetup(HUMAN, lambda assignment: Human(terminal, assignment.run), stop=terminal.stop, alone=True)


# A transcript


def _replay(name: str, options: AgentOptions, task: Task, runs: int) -> AgentSetup:
    make = make_replay(Path(name.removeprefix(PREFIX)), options.replay_ignore)
    for number in range(1, runs + 1):
        make(AgentContext(task, number))
    return AgentSetup(name, make)


def _base_url(settings: Settings, api: str) -> str:
    """Where the endpoint is; empty: where its vendor has it.

    Raises:
        UsageFault: that is no address.
    """
    text = settings.base_url or (settings.openai_base_url if api == "openai" else settings.anthropic_base_url)
    if text and not re.fullmatch(r"https?://[^/\s]+(/\S*)?", text):
        raise UsageFault(cause=f"--base-url {text!r} is no address", hint="write it as https://host[:port][/path]")
    return text


# Agents of others


def _third_party(name: str) -> MakeAgent:
    """`FILE.py:Class`, or an entry point's name.

    Raises:
        UsageFault: it cannot be found or read.
    """
    path, colon, attribute = name.rpartition(":")
    if colon and path.endswith(".py"):
        return _from_file(Path(path), attribute)
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        if point.name == name:
            return _loaded(f"the entry point {name} ({point.value})", point.load)
    known = [MODEL, HUMAN, *KEYLESS, *(point.name for point in importlib.metadata.entry_points(group=ENTRY_POINTS))]
    raise UsageFault(
        cause=f"no agent {name!r}", hint=f"choose one of: {', '.join(known)}, or bring your own as FILE.py:Class"
    )


def _from_file(path: Path, attribute: str) -> MakeAgent:
    """A class of the user's own file: code that is trusted, and runs here."""
    if not path.is_file():
        raise UsageFault(cause=f"{path} is no file", hint="write --agent FILE.py:Class")
    name = f"agent_{path.stem}"  # never a module's name that somebody imports
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # registered: dataclasses look there
    run = spec.loader.exec_module

    def load() -> object:
        run(module)
        return getattr(module, attribute)

    return _loaded(f"{path}:{attribute}", load)


def _loaded(what: str, load: Callable[[], object]) -> MakeAgent:
    """An agent's class or maker.

    Raises:
        UsageFault: there is none.
    """
    try:
        made = load()
    except (Exception, SystemExit) as error:  # boundary: whatever a user's code does when it is imported
        raise UsageFault(
            cause=f"{what} cannot be loaded: {type(error).__name__}: {error}", hint="fix the file"
        ) from error
    if not callable(made):
        raise UsageFault(cause=f"{what} is no class, but {type(made).__name__}", hint="name a class that has act")
    return cast(MakeAgent, made)


def prompts_json(cast_: AgentSetup, task: Task, scale: str) -> dict[str, Any]:
    """What the agent is told, by hash, for lock.json."""
    return {"instruction_sha256": _sha256(task.instruction(scale)), **cast_.about}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
