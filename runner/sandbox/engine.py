"""Finding the engine, and turning whatever it says into a fault with a cause and a hint.

Looked for in this order: DOCKER_HOST, the docker context in use, the usual sockets (Docker, rootless Docker, Docker
Desktop, Colima, and Podman, to say that it is not fit). What was named and does not answer is an error; a socket that
merely lies around is passed over for the next one.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
import requests
from docker.context import ContextAPI
from docker.context.config import get_current_context_name

from runner.faults import EngineFault, EngineUnreachable
from runner.sandbox.canaries import canaries
from runner.sandbox.patience import bound_calls, hurry, part_client
from runner.settings import Settings, home_folder, is_loopback

POOL_SIZE = 64  # connections: one an attached container, and the calls beside
LOCAL = ("unix://", "http+unix://", "/")
SSH = "ssh://"
DEFAULT_SOCKET = "/var/run/docker.sock"
# What reading an answer raises that is no JSON, or has another form than the API says.
ODD_ANSWER = (requests.exceptions.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError, IndexError)
APT_INSTALL = "apt-get install -y --no-install-recommends docker.io"


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What the engine says of itself and of its machine.

    Attributes:
        ncpu: CPUs of the engine's machine, which need not be this one.
        memory_bytes: its memory.
        runtimes: names of the OCI runtimes that it knows.
        cpuset: whether it limits CPUs: which, and how much of them.
        memory_limit: whether it limits memory, with swap.
        default_runtime: the one that it takes where none is named.
        is_podman: whether it is Podman, whose socket speaks Docker's API.
        id: what it calls itself; empty where it does not.
    """

    version: str
    api_version: str
    os: str
    arch: str
    kernel: str
    storage_driver: str
    cgroup_version: str
    ncpu: int
    memory_bytes: int
    runtimes: tuple[str, ...]
    security: tuple[str, ...]
    root: str
    cpuset: bool
    pids_limit: bool
    memory_limit: bool
    id: str = ""
    default_runtime: str = ""
    is_podman: bool = False

    @property
    def unenforced(self) -> list[str]:
        """The walls that the engine says itself it cannot put up; what it shows of a container need not tell."""
        said = {
            "memory": self.memory_limit,
            "processes": self.pids_limit,
            "cpu": self.cpuset,
            "calls": any("seccomp" in option for option in self.security),
        }
        return [wall for wall, there in said.items() if not there]

    @property
    def rootless(self) -> bool:
        """Whether the engine runs without root."""
        return any("rootless" in option for option in self.security)


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that answers.

    Attributes:
        found: where its address came from.
        own_cpus: the CPUs that this process could use when it met the engine; empty where the engine is not this machine's.
        canaries: words that only this host has, for what comes out of its sandboxes.
        is_elsewhere: its kernel is not this machine's: its address may be here, and be forwarded, or a virtual machine's.
    """

    url: str
    client: docker.DockerClient
    facts: EngineFacts
    found: str = ""
    own_cpus: frozenset[int] = frozenset()
    canaries: tuple[bytes, ...] = field(default=(), repr=False)
    is_elsewhere: bool = False

    @property
    def is_local(self) -> bool:
        """Whether it listens on a socket of this machine, and runs on it: what is read here is said of its containers."""
        return self.url.startswith(LOCAL) and not self.is_elsewhere

    @property
    def is_on_this_machine(self) -> bool:
        """Whether its CPUs are this machine's, as far as its address and its kernel tell."""
        return self.is_local or (_is_loopback(self.url) and not self.is_elsewhere)

    def part(self) -> "Engine":
        """The same engine for a part of the work, which `hurry` then concerns alone."""
        return replace(self, client=part_client(self.client))

    def hurry(self) -> None:
        """The work is stopped: from now on each call gets a few seconds."""
        hurry(self.client)


@dataclass(frozen=True, slots=True)
class Address:
    """Where an engine may be.

    Attributes:
        named: the user named it, so that nothing else is tried when it does not answer.
        options: further arguments of the client (TLS).
    """

    url: str
    found: str
    named: bool
    options: dict[str, Any]

    @property
    def is_local(self) -> bool:
        """Whether it is a socket of this machine."""
        return self.url.startswith(LOCAL)


def find_engine(settings: Settings) -> Engine:
    """The first engine that answers.

    Raises:
        EngineUnreachable: none does; says whether there is no socket, no permission, or nobody behind it.
    """
    first: EngineUnreachable | None = None
    for address in addresses(settings):
        try:
            return replace(connect(address, settings.engine_timeout_s), canaries=canaries(settings))
        except EngineUnreachable as fault:
            first = first or fault
            if address.named:
                break
    raise first or EngineUnreachable(cause="no Docker engine was found", hint=command_for_this_system())


def addresses(settings: Settings) -> Iterator[Address]:
    """Every place to look, in order."""
    if settings.docker_host:
        yield Address(settings.docker_host, "DOCKER_HOST", True, _tls_of_environment(settings.docker_host))
        return
    context = _context(settings)
    if context is not None:
        yield context
        return
    sockets = [path for path in _usual_sockets(settings) if _is_there(path)] or [Path(DEFAULT_SOCKET)]
    for path in sockets:
        yield Address(f"unix://{path}", "the usual sockets", False, {})


def _tls_of_environment(url: str) -> dict[str, Any]:
    """What DOCKER_TLS_VERIFY and DOCKER_CERT_PATH ask for.

    Raises:
        EngineUnreachable: the certificates are not there.
    """
    try:
        return {key: value for key, value in docker.utils.kwargs_from_env().items() if key == "tls"}
    except docker.errors.TLSParameterError as error:
        raise EngineUnreachable(
            cause=f"DOCKER_TLS_VERIFY or DOCKER_CERT_PATH is set for {url}, and the certificates cannot be read",
            hint="let DOCKER_CERT_PATH name the folder of ca.pem, cert.pem and key.pem, or unset both",
        ) from error


def _context(settings: Settings) -> Address | None:
    """The docker context in use, unless it is the default one."""
    try:
        name = settings.docker_context or get_current_context_name() or "default"
        if name == "default":
            return None
        context = ContextAPI.get_context(name)
    except Exception as error:  # boundary: a broken context file must not read as «no engine»
        raise EngineUnreachable(
            cause=f"the docker context cannot be read: {error}", hint="see `docker context ls`, or set DOCKER_HOST"
        ) from error
    if context is None:
        raise EngineUnreachable(cause=f"there is no docker context {name!r}", hint="see `docker context ls`")
    options = {"tls": context.TLSConfig} if context.TLSConfig else {}
    return Address(str(context.Host), f"docker context {name}", True, options)


def _usual_sockets(settings: Settings) -> list[Path]:
    home, user = home_folder(), settings.xdg_runtime_dir or f"/run/user/{os.getuid()}"
    in_home = (".docker/run/docker.sock", ".docker/desktop/docker.sock", ".colima/default/docker.sock")
    return [
        Path(DEFAULT_SOCKET),
        Path(user) / "docker.sock",
        *(home / path for path in in_home if home is not None),
        Path(user) / "podman/podman.sock",
        Path("/run/podman/podman.sock"),
    ]


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # in a folder that is another user's: after `su`, HOME and XDG_RUNTIME_DIR may still be root's
        return False


def connect(address: Address, timeout_s: float) -> Engine:
    """Talk to one address.

    Raises:
        EngineUnreachable: it does not answer as an engine.
    """
    if address.url.startswith(SSH):
        raise _no_ssh(address)
    try:
        spoken = _client(address, timeout_s, docker.constants.MINIMUM_DOCKER_API_VERSION)
        version = spoken.version(api_version=False)
        client = _client(address, timeout_s, str(version["ApiVersion"]))
        facts = _facts(client.info(), version)
    except (docker.errors.DockerException, requests.RequestException, OSError, ImportError, *ODD_ANSWER) as error:
        raise _unreachable(address, error) from error
    elsewhere = _is_elsewhere(facts)
    own_cpus = frozenset[int]() if elsewhere else _own_cpus(address)
    return Engine(address.url, client, facts, address.found, own_cpus, is_elsewhere=elsewhere)


def _is_elsewhere(facts: EngineFacts) -> bool:
    """Whether the engine's kernel is another one than this machine's; one that it does not name tells nothing."""
    return bool(facts.kernel) and _release(facts.kernel) != _release(os.uname().release)


def _release(text: str) -> str:
    """A kernel's release as an engine writes it: with a third number, also where there is none."""
    return re.sub(r"^(\d+\.\d+)(?!\.?\d)", r"\1.0", text)


def _client(address: Address, timeout_s: float, version: str) -> docker.DockerClient:
    """A client that the environment steers no further than it steers the docker command.

    By default the HTTP library would trust the certificates that REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE name in place of the
    engine's own, and ask a proxy for an engine of this machine.

    Raises:
        EngineUnreachable: docker's own settings cannot be read.
    """
    try:
        client = docker.DockerClient(
            base_url=address.url, timeout=timeout_s, max_pool_size=POOL_SIZE, version=version, **address.options
        )
    except (TypeError, AttributeError, KeyError) as error:  # nothing was asked yet: it reads its own settings
        raise EngineUnreachable(
            cause=f"docker's own config.json does not have the form that docker writes ({type(error).__name__}: {error})",
            hint="correct it in ~/.docker, or in the folder that DOCKER_CONFIG names",
        ) from error
    bound_calls(client, timeout_s)
    client.api.trust_env = False
    if not address.is_local and not _is_loopback(client.api.base_url):
        client.api.proxies = requests.utils.get_environ_proxies(client.api.base_url)
    return client


def _is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine by its name or number; the docker command asks no proxy for such a one."""
    return is_loopback(urlsplit(url).hostname or "")


def _no_ssh(address: Address) -> EngineUnreachable:
    host = urlsplit(address.url).netloc or "HOST"
    return EngineUnreachable(
        cause=f"the engine at {address.url} (from {address.found}) is reached over ssh, which the runner does not speak",
        hint=f"forward its socket: ssh -NL /tmp/docker.sock:/var/run/docker.sock {host}, then set "
        "DOCKER_HOST=unix:///tmp/docker.sock",
    )


def _own_cpus(address: Address) -> frozenset[int]:
    # Asked once, at the start: while something is measured, this process keeps off a CPU that it may use otherwise.
    if not address.is_local or not hasattr(os, "sched_getaffinity"):  # another machine's, or no Linux
        return frozenset()
    return frozenset(os.sched_getaffinity(0))


def _facts(info: dict[str, Any], version: dict[str, Any]) -> EngineFacts:
    return EngineFacts(
        version=str(info.get("ServerVersion", "")),
        api_version=str(version.get("ApiVersion", "")),
        os=str(info.get("OperatingSystem", "")),
        arch=str(info.get("Architecture", "")),
        kernel=str(info.get("KernelVersion", "")),
        storage_driver=str(info.get("Driver", "")),
        cgroup_version=str(info.get("CgroupVersion", "1")),
        ncpu=int(info["NCPU"]),
        memory_bytes=int(info["MemTotal"]),
        runtimes=tuple(sorted(info.get("Runtimes") or {})),
        default_runtime=str(info.get("DefaultRuntime", "")),
        is_podman=any("podman" in str(part.get("Name", "")).lower() for part in version.get("Components") or ()),
        security=tuple(info.get("SecurityOptions") or ()),
        root=str(info.get("DockerRootDir", "")),
        cpuset=_has(info, "CPUSet", "CpuCfsPeriod", "CpuCfsQuota"),
        pids_limit=_has(info, "PidsLimit"),
        # Without a limit on swap the engine takes the one on memory alone, and lets a guest have swap besides.
        memory_limit=_has(info, "MemoryLimit", "SwapLimit"),
        id=str(info.get("ID", "")),
    )


def _has(info: Mapping[str, Any], *names: str) -> bool:
    """Whether the engine says that it has all of these; of what it says nothing, it is looked at in each sandbox."""
    return all(info.get(name, True) for name in names)


# (words of what the client raises, what they mean, what to do); {named} is where the address came from. Proxies come first:
# what they raise says of a connection that it was refused, too.
_ELSEWHERE = (
    (("SOCKS",), "the environment names a SOCKS proxy", "name the host in NO_PROXY, or unset ALL_PROXY"),
    (("ProxyError", "proxy URL"), "the proxy of the environment failed", "name the host in NO_PROXY, or correct the proxy"),
    (("Name or service not known", "Failed to resolve", "getaddrinfo", "name resolution", "nodename nor servname"),
     "its host's name cannot be resolved", "correct the name in {named}, or this host's DNS"),
    (("CERTIFICATE_VERIFY_FAILED", "certificate verify failed"),
     "its certificate is not trusted", "let DOCKER_CERT_PATH name the folder with the engine's own ca.pem"),
    (("WRONG_VERSION_NUMBER", "record layer failure", "UNKNOWN_PROTOCOL"),
     "there is no TLS at that port", "unset DOCKER_TLS_VERIFY, or correct the port in {named}"),
    (("HTTP request to an HTTPS server",),
     "the engine asks for TLS", "set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to the folder of its certificates"),
    (("Connection refused",),
     "connection refused", "start the engine on that host so that it listens there, or correct {named}"),
    (("timed out", "timeout"), "it does not answer in time", "check the network to that host, or correct {named}"),
)  # fmt: skip


def _unreachable(address: Address, error: Exception) -> EngineUnreachable:
    text, where = str(error), f"{address.url} (from {address.found})"
    if isinstance(error, (requests.exceptions.JSONDecodeError, KeyError, TypeError, AttributeError)):
        return EngineUnreachable(
            cause=f"what answers at {where} is not an engine, or something on the way changes its answers",
            hint=f"see what answers there (`curl` its /version), or correct {address.found}",
        )
    if address.is_local:
        return _unreachable_here(where, text)
    for words, cause, hint in _ELSEWHERE:
        if any(word in text for word in words):
            return EngineUnreachable(
                cause=f"no engine answers at {where}: {cause}", hint=hint.format(named=address.found)
            )
    return _unreachable_somehow(address.found, where, text)


def _unreachable_here(where: str, text: str) -> EngineUnreachable:
    """A socket of this machine."""
    if "Permission denied" in text or "PermissionError" in text:
        return EngineUnreachable(
            cause=f"permission denied for the engine at {where}",
            hint="add yourself to its group (`sudo usermod -aG docker $USER`, then log in again), or use rootless Docker",
        )
    if "No such file" in text or "FileNotFoundError" in text:
        return EngineUnreachable(cause=f"there is no engine socket at {where}", hint=command_for_this_system())
    if "Connection refused" in text or "ConnectionRefusedError" in text:
        return EngineUnreachable(
            cause=f"connection refused at {where}",
            hint="start the engine: `sudo systemctl start docker`, or `make engine`",
        )
    return _unreachable_somehow("DOCKER_HOST and the docker context", where, text)


def _unreachable_somehow(named: str, where: str, text: str) -> EngineUnreachable:
    return EngineUnreachable(cause=f"no engine answers at {where}: {text[:300]}", hint=f"correct {named}")


def command_for_this_system() -> str:
    """The exact command that gets an engine here."""
    if shutil.which("apt-get"):
        sudo = "" if os.geteuid() == 0 else "sudo "
        return f"`{sudo}apt-get update && {sudo}{APT_INSTALL}`, or `make engine` as root"
    for tool, command in (
        ("dnf", "sudo dnf install -y moby-engine && sudo systemctl start docker"),
        ("pacman", "sudo pacman -S --noconfirm docker && sudo systemctl start docker"),
        ("apk", "sudo apk add docker && sudo rc-service docker start"),
        ("zypper", "sudo zypper install -y docker && sudo systemctl start docker"),
        ("brew", "brew install colima docker && colima start"),
    ):
        if shutil.which(tool):
            return f"`{command}`"
    return "install Docker (Docker Desktop on macOS and Windows), or set DOCKER_HOST"


# (a word of what the client raises, what it means) of a connection that failed.
_CONNECTION = (
    ("FileNotFoundError", "its socket is gone: the engine was stopped"),
    ("ConnectionRefusedError", "nothing listens there any more: the engine was stopped"),
    ("ConnectionResetError", "it closed the connection: the engine was stopped or restarted"),
    ("RemoteDisconnected", "it closed the connection without an answer"),
    ("BrokenPipeError", "it closed the connection without an answer"),
    ("IncompleteRead", "its answer broke off"),
    ("Too many open files", "this process may open no more files: raise `ulimit -n`, or lower --concurrency"),
)


def _plain_words(text: str) -> str:
    return next((words for word, words in _CONNECTION if word in text), text[:300])


@contextlib.contextmanager
def engine_errors(what: str) -> Iterator[None]:
    """Turn what the engine raises into a fault that says what was being done.

    Raises:
        EngineFault: for every error of the engine or of the connection to it.
    """
    try:
        yield
    except docker.errors.APIError as error:
        raise EngineFault(
            cause=f"{what}: the engine says {str(error.explanation or error)[:500]!r}",
            hint="run `python -m runner doctor`",
        ) from error
    except requests.Timeout as error:
        raise EngineFault(
            cause=f"{what}: the engine did not answer in time", hint="look at the engine's load and log"
        ) from error
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        raise EngineFault(
            cause=f"{what}: the connection to the engine failed ({_plain_words(str(error))})",
            hint="check that the engine runs: `python -m runner doctor`",
        ) from error
    except ODD_ANSWER as error:
        raise EngineFault(
            cause=f"{what}: the engine's answer does not fit its API ({type(error).__name__}: {error})"[:500],
            hint="check whether something on the way to it (a proxy, a portal) changes answers: `python -m runner doctor`",
        ) from error
