"""The agents of a job: from its configuration to their makers, checked as far as possible before anything starts."""

import hashlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from runner.agents.command import CommandAgent
from runner.agents.human import Human, Terminal
from runner.agents.model import SYSTEM_PROMPT, ModelAgent, ModelConfig, thinking_of
from runner.agents.oracle import make_noop, make_oracle
from runner.agents.protocol import AgentContext, MakeAgent
from runner.agents.recorded_answers import RecordedFirst, turns_in
from runner.agents.replay import PREFIX, make_replay
from runner.agents.scripted import make_scripted
from runner.agents.tool_formats import Style, toolkit
from runner.budget.clock import Clock
from runner.budget.ledger import Ledger
from runner.episode.tools import schemas
from runner.faults import UsageFault
from runner.gateway.upstream import Endpoint
from runner.job.third_party import about_agent, load_agent
from runner.llm.backoff import Backoff
from runner.llm.credentials import without_userinfo
from runner.llm.model import ModelClient, RetryPolicy, Transport
from runner.llm.prices import Prices, prices_of
from runner.records.events import REPEATED_DOLLARS, NoteEvent, ResponseEvent
from runner.records.run import JobConfig
from runner.report.escape import shown
from runner.settings import Settings
from runner.store.transcript import transcripts_of
from runner.tasks.task import Task

MODEL, HUMAN, COMMAND, REPLAY, SCRIPTED = "model", "human", "command", "replay", "scripted"
KEYLESS: dict[str, MakeAgent] = {"scripted": make_scripted, "oracle": make_oracle, "noop": make_noop}
BUILT_IN = [MODEL, COMMAND, HUMAN, *KEYLESS, "replay:PATH"]
# Agents that ask a model, and agents that mostly wait for one, so that a CPU serves several.
WITH_MODEL = IO_BOUND = (MODEL, COMMAND)
RecordedAnswers = Mapping[int, Sequence[ResponseEvent]]


@dataclass(frozen=True, slots=True)
class AgentSetup:
    """The agents of a job.

    Attributes:
        make: makes the agent of one run.
        stop: makes those that wait for a model give up.
        preflight: checks that the model can be reached; raises a fault where not.
        model_config, prices: None for agents without a model.
        about: for lock.json and the transcripts.
    """

    name: str
    make: MakeAgent
    stop: Callable[[], None] = lambda: None
    preflight: Callable[[], None] = lambda: None
    model_config: ModelConfig | None = None
    prices: Prices | None = None
    about: dict[str, Any] = field(default_factory=dict)


def resolve_agent_name(settings: Settings, name: str, api: str) -> str:
    """What was asked for, else a model where there are credentials, else the scripted episodes."""
    has_key = settings.has_openai_credentials if api == "openai" else settings.has_credentials
    return name or (MODEL if has_key else SCRIPTED)


def kind_of(name: str) -> str:
    """The agent by its name, without the path of a replay."""
    return REPLAY if name.startswith(PREFIX) else name


def set_up_agent(
    config: JobConfig,
    settings: Settings,
    task: Task,
    ledger: Ledger,
    clock: Clock,
    say: Callable[[str], None],
    recorded: RecordedAnswers = MappingProxyType({}),
) -> AgentSetup:
    """The maker of a job's agents, checked as far as possible before anything starts.

    Args:
        recorded: answers of a model that are given before it is asked, by number of the run.

    Raises:
        UsageFault: there is no such agent, it lacks credentials or a price, or an episode of it is broken.
    """
    _check(config)
    about: dict[str, Any] = {}
    match kind_of(config.agent):
        case "model":
            return _model(settings, config, task, ledger, clock, say, recorded)
        case "command":
            return _command(settings, config, task, ledger, clock, say)
        case "human":
            return _human(clock)
        case "replay":
            path = Path(config.agent.removeprefix(PREFIX)).resolve()
            make = make_replay(path, config.replay_ignore)
            about = {"transcripts_sha256": _sha256_of(transcripts_of(path))}
        case name if name in KEYLESS:
            make = KEYLESS[name]
        case name:
            about = about_agent(name)  # before its code, which may do anything, also to its file
            theirs = load_agent(name, BUILT_IN)
            return AgentSetup(name, theirs, stop=theirs.stop, about=about)
    for number in range(1, config.runs + 1):  # a broken episode is told before the first one runs
        make(AgentContext(task, number))
    return AgentSetup(config.agent, make, about=about)


def _check(config: JobConfig) -> None:
    if config.api == "openai" and (config.tools == "native" or config.thinking not in ("", "off")):
        raise UsageFault(
            cause="--tools native and --thinking have no equivalent in chat completions",
            hint="leave them out with --api openai",
        )


# A model


def _model(
    settings: Settings,
    config: JobConfig,
    task: Task,
    ledger: Ledger,
    clock: Clock,
    say: Callable[[str], None],
    recorded: RecordedAnswers = MappingProxyType({}),
) -> AgentSetup:
    model_config = _model_config(config, task)
    _base_url(settings, config.api)
    if config.api == "anthropic":
        _has_credentials(settings)
    transport_of = _openai if config.api == "openai" else _anthropic
    model = config.model
    provider = "" if config.api == "openai" else config.api
    prices = prices_of(model, provider, config.price, check=config.price_check)
    client: list[ModelClient] = []

    def get_client() -> ModelClient:
        if not client:  # the SDK takes seconds to import: only when something is asked
            retry_policy = RetryPolicy(settings.turn_s, settings.retry_after_max_s)
            client.append(ModelClient(transport_of(settings, model), prices, ledger, clock, say, retry_policy))
        return client[0]

    def make(context: AgentContext) -> ModelAgent:
        get_client().check()  # a key that was refused once needs no sandbox to be refused again
        answers = recorded.get(context.run, ())
        if not answers:
            return ModelAgent(get_client(), model_config, context)
        dollars = sum(answer.dollars for answer in answers)
        text = f"taken up again after {turns_in(answers)} turns, which are repeated from the record"
        context.emit(NoteEvent(text=text, more={REPEATED_DOLLARS: dollars}))
        return ModelAgent(RecordedFirst(get_client(), answers), model_config, context)

    return AgentSetup(
        name=MODEL,
        make=make,
        stop=lambda: client[0].close() if client else None,
        preflight=lambda: get_client().preflight(),
        model_config=model_config,
        prices=prices,
        about={
            "model": model,
            "api": config.api,
            "tools": config.tools,
            "thinking": dict(model_config.thinking) if model_config.thinking else None,
            "max_tokens": model_config.max_tokens,
            "system_sha256": _sha256(model_config.system),
        },
    )


# A program in the sandbox


def _command(
    settings: Settings, config: JobConfig, task: Task, ledger: Ledger, clock: Clock, say: Callable[[str], None]
) -> AgentSetup:
    if config.api != "anthropic":
        raise UsageFault(cause=f"--agent command with --api {config.api}", hint="its gateway speaks anthropic only")
    if not config.command.strip():
        raise UsageFault(
            cause="--agent command without --command",
            hint="give the command line that runs in the sandbox as --command",
        )
    files = tuple((Path(path).name, _content(Path(path))) for path in config.uploads)
    of_model = _model(settings, config, task, ledger, clock, say)  # preflight, prices and estimate are a model's
    assert of_model.prices is not None
    endpoint = Endpoint(
        model=config.model,
        base_url=_base_url(settings, "anthropic"),
        limiter=Backoff(clock),
        api_key=settings.anthropic_api_key,
        auth_token=settings.anthropic_auth_token,
        retry_after_max_s=settings.retry_after_max_s,
    )
    prices = of_model.prices

    def make(context: AgentContext) -> CommandAgent:
        return CommandAgent(config.command, files, endpoint, ledger, prices, context, of_model.preflight)

    about = {
        "model": config.model,
        "command": config.command,
        "uploads": {name: hashlib.sha256(content).hexdigest() for name, content in files},
    }
    return replace(of_model, name=COMMAND, make=make, about=about)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageFault(
            cause=f"{path} cannot be read: {error.strerror}", hint="give --upload a file that you may read"
        ) from error


def _has_credentials(settings: Settings) -> None:
    if not settings.has_credentials:
        raise UsageFault(cause="no model credentials are set", hint="set ANTHROPIC_API_KEY, or use --agent scripted")


def _model_config(config: JobConfig, task: Task) -> ModelConfig:
    try:
        thinking = thinking_of(config.thinking, config.max_tokens)
    except ValueError as error:
        raise UsageFault(
            cause=f"--thinking {config.thinking} is not understood",
            hint="write off, adaptive, or a number of tokens from 1024 on and under --max-tokens",
        ) from error
    return ModelConfig(
        system=_system_prompt(config, task),
        toolkit=toolkit(cast(Style, config.tools), schemas()),
        max_tokens=config.max_tokens,
        thinking=thinking,
        context_tokens=config.context_tokens,
        endpoint_edits=config.api == "anthropic",
    )


def _system_prompt(config: JobConfig, task: Task) -> str:
    """The user's, else the task's own, else ours."""
    own = task.folder / "system.md"
    path = Path(config.system_prompt) if config.system_prompt else own if own.is_file() else SYSTEM_PROMPT
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageFault(
            cause=f"{path} cannot be read: {error}", hint="give --system-prompt a text file that you may read"
        ) from error


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
    return AgentSetup(HUMAN, lambda context: Human(terminal, context.run), stop=terminal.stop)


# What they have in common


def _base_url(settings: Settings, api: str) -> str:
    """Where the endpoint is; empty: where its vendor has it.

    Raises:
        UsageFault: it is not a URL.
    """
    text = settings.base_url or (settings.openai_base_url if api == "openai" else settings.anthropic_base_url)
    if text and not re.fullmatch(r"https?://[^/\s]+(/\S*)?", text):
        raise UsageFault(
            cause=f"--base-url {without_userinfo(text)!r} is not a URL", hint="write it as https://host[:port][/path]"
        )
    return text


def prompts_json(setup: AgentSetup, task: Task, scale: str) -> dict[str, Any]:
    """What the agent is told, by hash, for lock.json."""
    return {"instruction_sha256": _sha256(task.instruction(scale)), **setup.about}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _sha256_of(paths: Sequence[Path]) -> str:
    """Of several files, in their order."""
    each = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    return _sha256("\n".join(each))
