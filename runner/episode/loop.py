"""One episode from its first observation to its end, driven by an agent; and what an agent finds in its workspace."""

from runner.agents.protocol import Agent, Observation
from runner.budget.limits import BudgetExceeded
from runner.episode.environment import Episode, EpisodeResult


def play(episode: Episode, agent: Agent) -> EpisodeResult:
    """Let the agent work until the episode ends.

    Raises:
        InfrastructureFault: engine, host or the agent's endpoint failed.
        Interrupted: we are stopping.
    """
    seen: Observation | EpisodeResult = episode.reset()
    while isinstance(seen, Observation):
        try:
            turn = agent.act(seen)
        except BudgetExceeded as ended:
            return episode.close(ended.limit)
        seen = episode.step(turn)
    return seen
