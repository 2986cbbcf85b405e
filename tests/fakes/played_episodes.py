"""A task's scripted episodes, told over the Messages API's wire: a whole job with a model, and no model.

    python -m tests.fakes.played_episodes [arguments of `python -m runner`]

starts the double of the API on loopback, lets the real SDK talk to it, and plays the main job: every tool call is executed
in its container, every submission is measured. What is submitted is the task's own files.
"""

import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.agents.protocol import AgentContext
from runner.agents.scripted import make_scripted
from runner.job.setup import load_task
from runner.records.episode import Turn
from runner.settings import DEFAULT_TASK, Settings
from runner.tasks.task import Task
from tests.fakes.messages_server import Block, MessagesServer, call, text

KEY = "sk-ant-of-the-double"


def episodes_of(task: Task, count: int) -> list[list[Turn]]:
    """The turns of a task's scripted episodes."""
    return [list(make_scripted(AgentContext(task, number)).turns) for number in range(1, count + 1)]


def script_of(episodes: Sequence[Sequence[Turn]]) -> Callable[[Mapping[str, Any]], list[Block]]:
    """Serves one episode to each conversation; calls carry its number in their ids, so that it is known again."""
    fresh, lock = itertools.count(), threading.Lock()

    def answer(body: Mapping[str, Any]) -> list[Block]:
        if body["max_tokens"] == 1:
            return [text("ready")]
        said = [message for message in body["messages"] if message["role"] == "assistant"]
        known = [block["id"] for message in said for block in message["content"] if block["type"] == "tool_use"]
        if known:
            episode = int(known[0].split("_")[1])
        else:
            with lock:
                episode = next(fresh) % len(episodes)
        turns = episodes[episode]
        turn = turns[len(said)] if len(said) < len(turns) else Turn("That is all.")
        calls = [
            call(one.tool, f"toolu_{episode}_{len(said)}_{place}", **one.input) for place, one in enumerate(turn.calls)
        ]
        return [text(turn.say or "…"), *calls]

    return answer


def main(arguments: Sequence[str]) -> int:
    """Play a job against the double; the runner's exit status, or 1 where the double has something to complain of."""
    name = arguments[arguments.index("--task") + 1] if "--task" in arguments else DEFAULT_TASK
    with MessagesServer(script_of(episodes_of(load_task(Settings(), name), 10))) as server:
        environment = {
            **os.environ,
            "ANTHROPIC_API_KEY": KEY,
            "ANTHROPIC_BASE_URL": server.url,
            "NO_PROXY": "127.0.0.1",
        }
        command = [sys.executable, "-m", "runner", "--agent", "model", *arguments]
        status = subprocess.run(
            command, cwd=Path(__file__).resolve().parents[2], env=environment, check=False
        ).returncode
        lines = [f"{len(server.requests)} requests, {len(server.complaints)} complaints", *server.complaints]
        sys.stdout.write("\n".join(lines) + "\n")
        return status if not server.complaints else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
