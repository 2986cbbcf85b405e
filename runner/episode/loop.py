"""One episode from its first observation to its end, driven by an agent."""

from runner.agents.protocol import Agent, Observation
from runner.budget.limits import EpisodeEnded
from runner.episode.environment import Episode, EpisodeResult


def run_episode_loop(episode: Episode, agent: Agent) -> EpisodeResult:
    """Let the agent work until the episode ends.

    Raises:
        InfrastructureFault: engine, host or the agent's endpoint failed.
        Interrupted: we are stopping.
    """
    step: Observation | EpisodeResult = episode.reset()
    while isinstance(step, Observation):
        try:
            step = episode.step(agent.act(step))
        except EpisodeEnded as ended:  # before a turn, or in a tool of the agent's own
            return episode.end(ended.ending)
    return step
