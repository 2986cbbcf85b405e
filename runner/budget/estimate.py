"""About what a job will cost at the most, and how long it will take. Pure; guesses are named as such.

Only the job's cap is a promise. The cost of an episode is a guess even where every turn is assumed to be the dearest: a turn
may take several attempts, and an episode's own limit is checked between turns.
"""

from dataclasses import dataclass

from runner.records.episode import Limits

# Chosen: a model takes half of the turns that it may take, and this many seconds for each turn, tools included.
TURNS_SHARE_GUESS, TURN_S_GUESS = 0.5, 15.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """Before the first call.

    Attributes:
        dollars_max: the job's cap, which it cannot exceed, or a guess that lies under it.
        dollars_is_guess: whether `dollars_max` is the guess rather than the cap.
        episode_dollars_max: a guess of the cost of one episode if every turn is the dearest, US dollars.
        episodes_s: a guess of the time until the last episode is over.
        episodes_s_max: what the limits allow.
    """

    dollars_max: float
    dollars_is_guess: bool
    episode_dollars_max: float
    episodes_s: float
    episodes_s_max: float


def estimate(budget: Limits, runs: int, jobs: int, cap: float, turn_dollars_max: float) -> Estimate:
    """The most, and a guess.

    Args:
        cap: of the job, US dollars.
        turn_dollars_max: of the dearest turn.
    """
    turns = _limit(budget.turns)
    episode = min(_limit(budget.dollars), turn_dollars_max * turns) if turn_dollars_max > 0 else 0.0
    waves = -(-runs // jobs)
    longest_s = min(_limit(budget.wall_s), _limit(budget.working_s))
    guess_s = min(longest_s, TURNS_SHARE_GUESS * turns * TURN_S_GUESS)
    return Estimate(
        dollars_max=min(cap, runs * episode),
        dollars_is_guess=runs * episode < cap,
        episode_dollars_max=episode,
        episodes_s=waves * guess_s,
        episodes_s_max=waves * longest_s,
    )


def _limit(value: float | None) -> float:
    return float("inf") if value is None else value
