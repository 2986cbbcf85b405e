"""Hosts in a cluster of Ray's; the only importer of ray.

One task of Ray's is one share. It needs one `runner_host`, which every measuring host offers once, so that a host has one
share at a time; no CPU of Ray's accounting, since the engine's limits hold; and it is never retried by Ray, which does not
know that an episode costs money. Arguments and answers are bytes, which Ray passes without pickling: JSON, and one archive.
"""

import contextlib
import json
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from runner.budget.limits import Account
from runner.faults import InfrastructureFault, UsageFault
from runner.hosts.book import Book
from runner.hosts.cluster import BookKeeper, Event, Host, Lost, Over, Said
from runner.hosts.messages import LineKind, line_of, read_line
from runner.hosts.relay import play_share
from runner.settings import is_loopback, set_for_ray

RESOURCE, LABEL = "runner_host", "runner.host"
KEY_RESOURCE = "runner_key_"
CONNECT_S = 5.0  # chosen: an address in the same network answers in milliseconds
# `ray start` puts the machine's outer address in place of 127.0.0.1, on which a head that keeps to loopback does not listen.
START_ON_LOOPBACK = """
import ray._private.services as services
services.get_node_ip_address = lambda *given, **named: "127.0.0.1"
from ray.scripts.scripts import main
main()
"""
ANSWER_S = 10.0  # chosen: a third of what a share waits for the book at the most


def import_ray(*, loopback: bool) -> Any:
    """Ray, told to keep to itself before it is imported.

    Args:
        loopback: the cluster is on this machine.

    Raises:
        UsageFault: it is not installed.
    """
    set_for_ray(loopback=loopback)
    try:
        import ray
    except ImportError as error:
        raise UsageFault(
            cause=f"several hosts need the package ray: {error}",
            hint="pip install 'ray>=2.49', which is all that the extra runner[ray] adds",
        ) from error
    return ray


def is_on_loopback(address: str) -> bool:
    """Whether only this machine reaches an address, `HOST:PORT`."""
    return is_loopback(address.rpartition(":")[0].strip("[]"))


def check_address(address: str, auth_mode: str) -> None:
    """Refuse an address that cannot be one, that is open to others without a token, or where nothing answers.

    Raises:
        UsageFault: of the first two.
        InfrastructureFault: nothing answers.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()):
        raise UsageFault(
            cause=f"--ray {address!r} is not an address of Ray's",
            hint="write HOST:PORT, as `ray start --head` prints it",
        )
    if not is_on_loopback(address) and auth_mode != "token":
        raise UsageFault(
            cause=f"{address} can be reached by others, and whoever reaches a cluster of Ray's runs code on it",
            hint="set RAY_AUTH_MODE=token here and on every host, with the same token (docs.ray.io: token authentication)",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except (OSError, UnicodeError, OverflowError) as error:  # a name with an empty or overlong part; a port over 65535
        raise InfrastructureFault(
            cause=f"no Ray answers at {address}: {getattr(error, 'strerror', None) or error}",
            hint="start it on the driver's machine: `ray start --head --include-dashboard=false`",
        ) from error


class RayCluster:
    """A `Cluster` of Ray's, joined by this process.

    Raises:
        UsageFault: ray is not installed, or the address is open to others.
        InfrastructureFault: there is none at the address, or its Ray or Python is of another version.
    """

    def __init__(self, address: str, dollars_max: float | None, spent: float, auth_mode: str) -> None:
        check_address(address, auth_mode)
        self._ray = ray = import_ray(loopback=is_on_loopback(address))
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        loopback = {"_node_ip_address": "127.0.0.1"} if is_on_loopback(address) else {}
        try:
            ray.init(
                address=address, namespace=f"runner-{secrets.token_hex(8)}", log_to_driver=False, configure_logging=False,
                **loopback,
            )  # fmt: skip
        except Exception as error:  # boundary: Ray raises what it likes
            raise _not_joined(address, error) from error
        finally:
            if threading.current_thread() is threading.main_thread():
                for number, handler in handlers.items():
                    signal.signal(number, handler)
        node = ray.get_runtime_context().get_node_id()
        stay = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node_id=node, soft=False)
        self._actor = (
            ray.remote(BookActor)
            .options(num_cpus=0, max_restarts=0, scheduling_strategy=stay)
            .remote(json.dumps({"cap": dollars_max, "spent": spent}).encode())
        )
        self._archives: dict[bytes, Any] = {}
        self._running: dict[Any, str] = {}
        self._state: dict[str, float | bool] = {"spent": spent, "exhausted": False}

    def hosts(self) -> Sequence[Host]:
        """The nodes that offer `runner_host`."""
        try:
            nodes = self._ray.nodes()
        except Exception as error:  # boundary: whatever Ray raises, its head does not answer
            raise _gone(error) from error
        return [_host(node) for node in nodes if node.get("Alive") and RESOURCE in node.get("Resources", {})]

    def start(self, share: str, request: bytes, archive: bytes, key: str, avoid: Collection[str], only: str) -> None:
        """See `Cluster`."""
        if archive not in self._archives:
            self._archives[archive] = self._ray.put(archive)
        selector = {LABEL: only} if only else {LABEL: f"!in({','.join(sorted(avoid))})"} if avoid else None
        resources = {RESOURCE: 1, **({KEY_RESOURCE + key: 1} if key else {})}
        task = self._ray.remote(play_remotely).options(
            num_cpus=0, max_retries=0, resources=resources, num_returns="streaming", name=share,
            **({"label_selector": selector} if selector else {}),
        )  # fmt: skip
        self._running[task.remote(share.encode(), request, self._archives[archive], self._actor)] = share

    def wait(self, seconds: float) -> Sequence[Event]:
        """See `Cluster`."""
        if not self._running:
            threading.Event().wait(seconds)
            return []
        events: list[Event] = []
        try:
            ready, _ = self._ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
            if not ready:
                ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=seconds)
        except self._ray.exceptions.RayError as error:
            raise _gone(error) from error
        for stream in ready:
            events.append(self._next(stream))
        return events

    def _next(self, stream: Any) -> Event:
        share = self._running[stream]
        try:
            line = self._ray.get(next(stream), timeout=ANSWER_S)
        except StopIteration:
            del self._running[stream]
            return Over(share)
        except self._ray.exceptions.RayError as error:
            del self._running[stream]
            return Lost(share, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:300])
        return Said(share, line) if isinstance(line, bytes) else Lost(share, "it said something that is not bytes")

    def drop(self, share: str) -> None:
        """See `Cluster`."""
        for stream in [stream for stream, name in self._running.items() if name == share]:
            del self._running[stream]
            with contextlib.suppress(self._ray.exceptions.RayError, ValueError, TypeError):
                self._ray.cancel(stream, force=True)

    def book(self) -> BookKeeper:
        """See `Cluster`."""
        return self

    def close_share(self, share: str) -> float:
        """See `BookKeeper`."""
        return float(self._call({"do": "close", "share": share}).get("lost", 0.0))

    def stop(self) -> None:
        """See `BookKeeper`."""
        self._call({"do": "stop"})

    def state(self) -> Mapping[str, float | bool]:
        """See `BookKeeper`; what was last known where it does not answer."""
        self._state |= self._call({"do": "state"})
        return self._state

    def _call(self, order: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return read_line(self._ray.get(self._actor.order.remote(line_of(order)), timeout=ANSWER_S))
        except self._ray.exceptions.RayError:
            return {}

    def close(self) -> None:
        """See `Cluster`."""
        self._ray.shutdown()


def _host(node: Mapping[str, Any]) -> Host:
    resources, labels = node["Resources"], node.get("Labels") or {}
    keys = {name.removeprefix(KEY_RESOURCE) for name in resources if name.startswith(KEY_RESOURCE)}
    return Host(str(labels.get(LABEL) or node["NodeID"][:8]), str(node["NodeID"]), frozenset(keys))


def _gone(error: Exception) -> InfrastructureFault:
    return InfrastructureFault(
        cause=f"Ray's head does not answer any more: {type(error).__name__}",
        hint="start it again, and go on with --resume; what was finished is kept",
    )


def _not_joined(address: str, error: Exception) -> InfrastructureFault:
    """Why a cluster cannot be joined, in one line."""
    words = " ".join(str(error).split())
    if "ersion mismatch" in words:
        return InfrastructureFault(
            cause=f"the Ray at {address} is of another version: {words}"[:400],
            hint="install the same versions of ray and Python on all machines, to the patch",
        )
    return InfrastructureFault(
        cause=f"Ray at {address} cannot be joined: {words or type(error).__name__}"[:400],
        hint="run `ray start --address ADDRESS` on this machine first: the driver needs a node of its own",
    )


# On the hosts


class BookActor:
    """The job's dollars, in a process of its own on the driver's machine; called with bytes, answers with bytes."""

    def __init__(self, about: bytes) -> None:
        given = read_line(about)
        self._book = Book(Account(given["cap"], float(given["spent"])))

    def ask(self, share: bytes, question: bytes) -> bytes:
        """Answer a share's question."""
        return line_of(self._book.answer(share.decode(), read_line(question)))

    def order(self, order: bytes) -> bytes:
        """Do what the driver says."""
        match read_line(order):
            case {"do": "close", "share": str(share)}:
                return line_of({"lost": self._book.close(share)})
            case {"do": "stop"}:
                self._book.stopping = True
        return line_of({"spent": self._book.account.spent, "exhausted": self._book.exhausted})


def play_remotely(share: bytes, request: bytes, archive: bytes, book: Any) -> Iterator[bytes]:
    """A task of Ray's on a host: play a share, and yield its lines."""
    import ray

    yield line_of({"kind": LineKind.PLACED, "node": ray.get_runtime_context().get_node_id()})

    def ask(question: bytes) -> bytes | None:
        try:
            answer = ray.get(book.ask.remote(share, question), timeout=ANSWER_S)
        except ray.exceptions.RayError:
            return None
        return answer if isinstance(answer, bytes) else None

    yield from play_share(request, archive, ask)


def join_command(address: str, name: str, keys: Collection[str], loopback: bool) -> list[str]:
    """The command line that makes this machine a host of a cluster; it runs until it is stopped."""
    resources = {RESOURCE: 1, **{KEY_RESOURCE + key: 1 for key in keys}}
    program = ["-c", START_ON_LOOPBACK] if loopback else ["-m", "ray.scripts.scripts"]
    return [
        sys.executable, *program, "start", "--address", address, "--block", "--num-cpus", "0",
        "--resources", json.dumps(resources), "--labels", f"{LABEL}={name}", "--disable-usage-stats",
        *(["--node-ip-address", "127.0.0.1"] if loopback else []),
    ]  # fmt: skip
