"""The end of a container on the engine, and what the engine tells of it."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import docker

from runner.sandbox.engine import Engine, engine_errors

# chosen: far over what a removal takes, also where the engine's disk is busy: a second of the engine's is many under load
GONE_DEADLINE_S = 30.0
# Removals in a row that the engine does not answer, after which it is not asked again. chosen: one may be lost on its way.
UNANSWERED_MAX = 3
# How far the engine's record of a kill for memory may lie from that of the end which it brought. chosen: both come of one
# moment of the kernel's, and a starved engine writes them down when it can.
OOM_NEAR_S = 10
REMOVE_POLL_S_MAX = 0.5  # chosen: late enough beside minutes, soon enough beside seconds


# What the engine tells


def made_id(answer: Mapping[str, Any]) -> str:
    """The container's id in the engine's answer to create.

    Raises:
        KeyError, TypeError: it has none.
    """
    if not isinstance(answer["Id"], str):
        raise TypeError(f"Id is {answer['Id']!r}")
    return answer["Id"]


def events_of(engine: Engine, container_id: str) -> list[dict[str, Any]]:
    """What the engine recorded of a container that has ended; that it did may come a little later."""
    for _ in range(20):
        found = events_by_now(engine, container_id)
        if any(event.get("Action") == "die" for event in found):
            return found
        time.sleep(0.1)
    return found


def events_by_now(engine: Engine, container_id: str) -> list[dict[str, Any]]:
    """What the engine recorded of a container in the last day, by the engine's own clock."""
    with engine_errors(f"asking what became of container {container_id[:12]}"):
        api = engine.client.api
        now = engine_seconds(api.info()["SystemTime"])
        since, until = int(now) - 86_400, int(now) + 1
        found = api.events(since=since, until=until, filters={"container": container_id}, decode=True)
        return [event for event in found if isinstance(event, dict)]


def ended_for_memory(events: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the kernel killed for memory when the container ended; what it killed long before is another story."""
    killed, ended = (
        [event.get("time") for event in events if event.get("Action") == action] for action in ("oom", "die")
    )
    at_s = [time_s for time_s in killed if isinstance(time_s, int)]
    end_s = next((time_s for time_s in reversed(ended) if isinstance(time_s, int)), None)
    if not at_s or end_s is None:  # the engine does not say when
        return bool(killed)
    return any(abs(each_s - end_s) <= OOM_NEAR_S for each_s in at_s)


def engine_seconds(text: str) -> float:
    """The engine's RFC 3339 time (nanoseconds, any zone) as seconds since 1970."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text)).timestamp()


def exit_code(events: Sequence[Mapping[str, Any]]) -> int | None:
    """The status that the engine recorded of an end; None where it recorded none.

    Raises:
        AttributeError, TypeError, ValueError: what it recorded has another form than its API says.
    """
    codes = [
        event.get("Actor", {}).get("Attributes", {}).get("exitCode") for event in events if event.get("Action") == "die"
    ]
    return int(codes[-1]) if codes and codes[-1] is not None else None


# Removing


def remove(
    engine: Engine, container_id: str, patience_s: float = GONE_DEADLINE_S, given_up: Callable[[], bool] = lambda: False
) -> bool:
    """Kill and remove a container; whether it was seen to be gone, and with it every process that was in it.

    PID 1 ends last: the kernel lets it go when no other process of its container is left.

    Args:
        patience_s: while the engine says that it runs still; with one that has ended nobody waits for
            more than GONE_DEADLINE_S.
        given_up: whether to wait for GONE_DEADLINE_S at the most; asked again and again.
    """
    start, unanswered = time.monotonic(), 0
    while (waited_s := time.monotonic() - start) < patience_s:
        if waited_s >= GONE_DEADLINE_S and (given_up() or not _runs(engine, container_id)):
            return False
        try:
            engine.client.api.remove_container(container_id, force=True, v=True)
        except docker.errors.NotFound:
            return True
        except docker.errors.APIError as error:
            # "removal already in progress", or its processes take their time to end: asked again until it is gone. One that
            # refuses whatever it is asked does neither.
            unanswered = unanswered + 1 if error.is_server_error() and not _tells(engine, container_id) else 0
        except Exception:  # boundary: no connection; the engine removes it by itself, since its stdin is closed
            unanswered += 1
        if unanswered == UNANSWERED_MAX:
            return False
        # Ever more seldom: an engine in trouble is not asked a hundred times a second, and an easy removal is seen at once.
        time.sleep(min(REMOVE_POLL_S_MAX, max(0.01, (time.monotonic() - start) / 10)))
    return False


def _runs(engine: Engine, container_id: str) -> bool:
    """Whether the engine says that processes of a container are there, or that there is no container any more."""
    state = _state(engine, container_id)
    return state is not None and state.get("Running", True)


def is_paused(engine: Engine, container_id: str) -> bool:
    """Whether the engine says that it lets no process of a container run."""
    return bool((_state(engine, container_id) or {}).get("Paused"))


def has_ended(engine: Engine, container_id: str) -> bool:
    """Whether the engine says that no process of a container runs, or that there is none."""
    state = _state(engine, container_id)
    return state is not None and not state.get("Running")


def _tells(engine: Engine, container_id: str) -> bool:
    """Whether the engine says anything of a container."""
    return _state(engine, container_id) is not None


def _state(engine: Engine, container_id: str) -> Mapping[str, Any] | None:
    """What the engine says of a container; empty where there is none, None where it says nothing."""
    try:
        return dict(engine.client.api.inspect_container(container_id)["State"])
    except docker.errors.NotFound:
        return {}  # the next attempt to remove it says so, too
    except Exception:  # boundary: no answer, or one of another form
        return None
