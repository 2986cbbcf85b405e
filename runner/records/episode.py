"""An episode: what an agent may use, what it asks for and is told, what it submits, and the episode in figures."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from numbers import Integral, Real
from typing import Any


class Limit(StrEnum):
    """What an episode can run out of, by the name under which it is recorded where that ended it."""

    TURNS = "turns"
    OUTPUT_TOKENS = "output tokens"
    TOKENS = "tokens"
    DOLLARS = "dollars"
    WALL_CLOCK = "wall clock"
    WORKING_TIME = "working time"
    JOB_DOLLARS = "the job's dollars"
    REQUESTS = "requests"  # of a program in the sandbox to the gateway


class EndReason(StrEnum):
    """Why an episode ended, where it was not a `Limit`; an agent may also end it with a word of its own."""

    SUBMITTED = "submitted"
    ENDED = "ended"  # a turn without calls
    REFUSAL = "refusal"  # of the model
    CONTEXT_WINDOW = "context window"  # the conversation is longer than the model takes
    SANDBOX_BROKEN = "sandbox broken"
    INFRASTRUCTURE = "infrastructure"
    RECORDED_TURNS = "recorded turns"  # a replay has no more


# Of a field: it is not written to a transcript where it has its default (`runner.records.events`).
LEFT_OUT = {"left_out": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens; `input` does not hold those that were written to or read from the cache.

    Attributes:
        input: tokens sent that are neither written to the cache nor read from it.
        cache_write: tokens sent that the endpoint wrote to its cache.
        cache_read: tokens sent that it read from its cache.
        output: tokens that came back, thinking included.
    """

    input: int = 0
    cache_write: int = 0
    cache_read: int = 0
    output: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            input=self.input + other.input,
            cache_write=self.cache_write + other.cache_write,
            cache_read=self.cache_read + other.cache_read,
            output=self.output + other.output,
        )

    @property
    def sent(self) -> int:
        """Tokens of the request."""
        return self.input + self.cache_write + self.cache_read

    @property
    def total(self) -> int:
        """Tokens sent and received."""
        return self.sent + self.output

    @property
    def cache_hit_rate(self) -> float | None:
        """Share of the sent tokens that came from the cache; None where nothing was sent."""
        return self.cache_read / self.sent if self.sent else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one episode may use; None: no limit.

    Attributes:
        turns: answers of the agent.
        output_tokens: tokens that its model wrote.
        tokens: tokens that its model wrote and was sent.
        dollars: what the model cost, US dollars.
        wall_s: wall-clock seconds.
        working_s: seconds without waits for the model's endpoint to have room, and without the time in which the sandbox
            stood frozen while something was measured.
    """

    turns: int | None = None
    output_tokens: int | None = None
    tokens: int | None = None
    dollars: float | None = None
    wall_s: float | None = None
    working_s: float | None = None

    def __post_init__(self) -> None:
        """Numbers of another library, numpy's say, become Python's own: they are written into records."""
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, Real) and not isinstance(value, int | float):
                object.__setattr__(self, name, int(value) if isinstance(value, Integral) else float(value))


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The agent asks for a tool.

    Attributes:
        id: ties the answer to the call.
        tool: a tool's name, or whatever the agent made up.
        input: the tool's arguments; hostile until checked.
        broken: why the input could not even be read; empty where it could.
    """

    id: str
    tool: str
    input: dict[str, Any]
    broken: str = field(default="", metadata=LEFT_OUT)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the agent gets to see of a call.

    Attributes:
        text: output or error, capped; bytes that are no UTF-8 are replaced.
        is_error: the call itself was wrong; an exit status other than 0 is not one.
        seconds: on the host's clock.
        facts: exit status, why it ended, bytes cut.
        limit_reached: the limit that was used up while it ran, and ends the episode; None: none was.
    """

    call_id: str
    text: str
    is_error: bool
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    limit_reached: Limit | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer of the agent.

    Attributes:
        say: its text.
        calls: the tools that it asks for; none ends the episode, unless `goes_on`.
        ending: how the agent itself calls its end (`refused`, say); empty: `ended`.
        goes_on: a turn without calls that is not the last (its answer was cut off).
    """

    say: str
    calls: tuple[ToolCall, ...] = ()
    ending: str = ""
    goes_on: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One file, as bytes; nobody on the host ever reads them as source.

    Attributes:
        path: as the agent named it; hostile text.
        content: the file's bytes.
        sha256: of the content, hex.
        snapshot_turn: the turn after which it was taken, where nothing was submitted and the last state of the file is
            graded instead; None for a file that was submitted.
    """

    path: str
    content: bytes = field(repr=False)
    snapshot_turn: int | None = None

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One state of the file, with what had been spent by then.

    Attributes:
        turn: after which it was taken, from 1.
        content: at most the submission's size cap; kept beside the transcript, not in results.json.
        working_s: seconds of the agent's work.
    """

    turn: int
    content: bytes = field(repr=False)
    usage: Usage = Usage()
    dollars: float = 0.0
    working_s: float = 0.0

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeSummary:
    """The episode in figures.

    Attributes:
        turns: answers of the agent.
        calls: tool calls in them.
        seconds: wall clock, without the time in which its sandbox was frozen.
        ending: why it ended: an `EndReason`, a `Limit`, or the agent's own word.
        dollars: what the model cost; 0.0 for agents that need none.
        usage: the model's tokens.
        working_s: of the seconds, without waits for room at the model's endpoint.
        facts: what the agent says of itself, as JSON has it.
    """

    turns: int
    calls: int
    seconds: float
    ending: str
    dollars: float = 0.0
    usage: Usage = Usage()
    working_s: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What an episode has used, in the units of `Limits`.

    Attributes:
        turns: answers of the agent.
        usage: the model's tokens.
        dollars: what the model cost.
        wall_s: seconds on the wall.
        working_s: of them, those that count as work.
    """

    turns: int = 0
    usage: Usage = Usage()
    dollars: float = 0.0
    wall_s: float = 0.0
    working_s: float = 0.0
