"""Limits: what one episode may use."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one episode may use; None: no limit.

    Attributes:
        turns: answers of the agent.
        output_tokens, tokens: what its model wrote; what it wrote and was sent.
        dollars: what the model cost.
        wall_s: seconds on the wall.
        working_s: seconds without waits for the model's endpoint to have room, and without the time in which the sandbox
            stood frozen while something was measured.
    """

    turns: int | None = None
    output_tokens: int | None = None
    tokens: int | None = None
    dollars: float | None = None
    wall_s: float | None = None
    working_s: float | None = None
