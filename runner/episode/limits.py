"""What an episode may use up. Pure."""

from dataclasses import dataclass

BASH_DEADLINE_S = 120.0
BASH_DEADLINE_MAX_S = 600.0
FILE_DEADLINE_S = 30.0
ANSWER_GRACE_S = 15.0
OUTPUT_BYTES_MAX = 30_000
INPUT_BYTES_MAX = 2 * 1024 * 1024
CALLS_PER_TURN_MAX = 32


@dataclass(frozen=True, slots=True)
class Limits:
    """An episode's limits.

    Attributes:
        turns: answers that the agent may give.
        wall_s: seconds, not counting the time in which its sandbox is frozen.
    """

    turns: int
    wall_s: float

    def reached(self, turns: int, seconds: float) -> str | None:
        """The name of the limit that is used up; None while there is some left of each."""
        if turns >= self.turns:
            return "turns"
        if seconds >= self.wall_s:
            return "wall clock"
        return None
