"""`python -m runner serve`: episodes for OpenEnv clients, over WebSockets."""

import sys

from runner.bridges.openenv_server import Server, Serving, check_serving
from runner.cli.exit_codes import INTERRUPTED
from runner.cli.options import Reward, ServeOptions
from runner.cli.signals import interrupt_on_sigterm
from runner.job.rewards import RewardName
from runner.job.training import Host
from runner.settings import Settings

RULES: dict[Reward, RewardName | None] = {
    Reward.PASS: "pass",
    Reward.LOG_SPEEDUP: "log_speedup",
    Reward.MARGIN: "margin",
    Reward.NONE: None,
}


def serve_episodes(settings: Settings, options: ServeOptions) -> int:
    """Serve until it is interrupted; returns the exit status.

    Raises:
        Fault: it could not begin.
    """
    serving = Serving(
        task=options.task.task,
        scale=options.task.scale,
        reward=RULES[options.reward],
        slots=options.slots,
        idle_s=options.idle_limit,
        address=options.host,
        port=options.port,
        token=settings.serve_token.get_secret_value(),
    )
    check_serving(serving)
    with interrupt_on_sigterm(), Host(slots=serving.slots, settings=settings, say=_say) as host:
        server = Server(host, serving)
        try:
            # The first one checks the task and its reward, and builds its image: no client waits for that.
            host.open_episode(serving.task, serving.scale, reward=serving.reward).close()
            with server.listening() as url:
                print(f"serving {serving.task} at {url}", flush=True)
                server.serve()
        except KeyboardInterrupt:
            return INTERRUPTED
    return INTERRUPTED


def _say(text: str) -> None:
    print(text, file=sys.stderr)
