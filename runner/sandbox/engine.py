"""Finding the engine, and turning whatever it says into a fault with a cause and a hint.

Looked for in this order: DOCKER_HOST, the docker context in use, the usual sockets (Docker, rootless Docker, Docker
Desktop, Colima, Podman). What was named and does not answer is an error; a socket that merely lies around is passed over
for the next one.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import requests
from docker.context import ContextAPI

from runner.faults import EngineFault, EngineUnreachable
from runner.settings import Settings, home_folder

POOL_SIZE = 64  # connections: one an attached container, and the calls beside
LOCAL = ("unix://", "http+unix://", "/")
DEFAULT_SOCKET = "/var/run/docker.sock"
APT_INSTALL = "apt-get install -y --no-install-recommends docker.io"


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What the engine says of itself and of its machine.

    Attributes:
        ncpu: CPUs of the engine's machine, which need not be this one.
        memory_bytes: its memory.
        runtimes: names of the OCI runtimes that it knows.
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

    @property
    def is_podman(self) -> bool:
        """Whether Podman answers on this socket."""
        return "podman" in self.version.lower() or any("libpod" in name for name in self.runtimes)

    @property
    def rootless(self) -> bool:
        """Whether the engine runs without root."""
        return any("rootless" in option for option in self.security)


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that answers.

    Attributes:
        found: where its address came from.
    """

    url: str
    client: docker.DockerClient
    facts: EngineFacts
    found: str = ""

    @property
    def is_local(self) -> bool:
        """Whether it listens on a socket of this machine."""
        return self.url.startswith(LOCAL)


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
            return connect(address, settings.engine_timeout_s)
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
    sockets = [path for path in _usual_sockets(settings) if path.exists()] or [Path(DEFAULT_SOCKET)]
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
            cause=f"DOCKER_TLS_VERIFY is set for {url}, and its certificates cannot be read",
            hint="let DOCKER_CERT_PATH name the folder of ca.pem, cert.pem and key.pem, or unset DOCKER_TLS_VERIFY",
        ) from error


def _context(settings: Settings) -> Address | None:
    """The docker context in use, unless it is the default one."""
    try:
        name = settings.docker_context or ContextAPI.get_current_context().Name
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


def connect(address: Address, timeout_s: float) -> Engine:
    """Talk to one address.

    Raises:
        EngineUnreachable: it does not answer as an engine.
    """
    try:
        client = docker.DockerClient(
            base_url=address.url, timeout=timeout_s, max_pool_size=POOL_SIZE, version="auto", **address.options
        )
        info, version = client.info(), client.version()
    except (docker.errors.DockerException, requests.RequestException, OSError, ValueError, ImportError) as error:
        raise _unreachable(address, error) from error
    return Engine(address.url, client, _facts(info, version), address.found)


def _facts(info: dict[str, Any], version: dict[str, Any]) -> EngineFacts:
    return EngineFacts(
        version=str(info.get("ServerVersion", "")),
        api_version=str(version.get("ApiVersion", "")),
        os=str(info.get("OperatingSystem", "")),
        arch=str(info.get("Architecture", "")),
        kernel=str(info.get("KernelVersion", "")),
        storage_driver=str(info.get("Driver", "")),
        cgroup_version=str(info.get("CgroupVersion", "1")),
        ncpu=int(info.get("NCPU", 1)),
        memory_bytes=int(info.get("MemTotal", 0)),
        runtimes=tuple(sorted(info.get("Runtimes") or {})),
        security=tuple(info.get("SecurityOptions") or ()),
        root=str(info.get("DockerRootDir", "")),
        cpuset=bool(info.get("CPUSet", True)),
        pids_limit=bool(info.get("PidsLimit", True)),
        memory_limit=bool(info.get("MemoryLimit", True)),
    )


# (words of what the client raises, what they mean, what to do); {named} is where the address came from. Proxies come first:
# what they raise says of a connection that it was refused, too.
_ELSEWHERE = (
    (("SOCKS",), "the environment names a SOCKS proxy", "name the host in NO_PROXY, or unset ALL_PROXY"),
    (("ProxyError",), "the proxy of the environment failed", "name the host in NO_PROXY, or correct the proxy"),
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
    (("paramiko", "SSH"), "ssh:// needs the package paramiko, and a key that logs in",
     "pip install paramiko, or forward the socket: ssh -L /tmp/docker.sock:/var/run/docker.sock HOST"),
)  # fmt: skip


def _unreachable(address: Address, error: Exception) -> EngineUnreachable:
    text, where = str(error), f"{address.url} (from {address.found})"
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
            cause=f"{what}: the connection to the engine failed ({str(error)[:300]})",
            hint="check that the engine runs: `python -m runner doctor`",
        ) from error
