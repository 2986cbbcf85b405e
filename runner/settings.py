"""Settings: the only reader of the environment.

Flags win over the environment. Every setting is `RUNNER_<NAME>`; DOCKER_HOST and the vendor's credential names are
read as their own tools read them. Secrets are `SecretStr`: their repr shows stars.
"""

import contextlib
import errno
import ipaddress
import os
import stat
import sys
import threading
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from runner.faults import StoreFault, UsageFault

DEFAULT_TASK = "slow_ml_training_complex"
SECONDS_MAX = 86_400.0  # chosen: of any wait; the operating system's own takes no endless one
# The least that each may say, and the most. chosen: a narrower help loses words, and no terminal is larger.
SIZES_MIN, SIZE_MAX = {"COLUMNS": 40, "LINES": 1, "TERMINAL_WIDTH": 40}, 10_000
# No report of its use, no worker ended for the host's memory.
QUIET_RAY = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_memory_monitor_refresh_ms": "0"}


class Settings(BaseSettings):
    """What the surroundings decide.

    Attributes:
        docker_host: URL of the engine; empty means the current docker context, then the usual sockets.
        docker_context: name of a docker context; empty means the current one.
        log_level: of a job's own log, job.log: debug, info, warning or error.
        output: folder in which each job gets a folder of its own.
        images: folder of the sandbox images' recipes; empty means the one that ships with the project.
        tasks: folder of the tasks known by name; empty means the one that ships with the project.
        runtime: OCI runtime for every sandbox (`crun`), empty for the engine's default.
        allow_unenforced: walls that an engine need not enforce, separated by commas (`doctor` names them).
        model: name of the model that plays, as its vendor writes it.
        max_tokens: most tokens in one answer of the model.
        serve_token: the bearer token that clients of `serve` must send; empty: none, which is allowed on the loopback only.
        base_url: of the model's endpoint; empty: the vendor's variable, else the vendor's own endpoint.
        context_tokens: above this many tokens the oldest tool outputs are cleared from a conversation.
        turn_s: longest wait for one answer of the model, in seconds, retries included.
        retry_after_max_s: longest pause that the endpoint may ask for, in seconds.
        ray_auth_mode: Ray's own: `token` where whoever joins a cluster must have its token.
        engine_timeout_s: longest wait for one answer of the engine, in seconds.
    """

    model_config = SettingsConfigDict(
        env_prefix="RUNNER_", extra="ignore", populate_by_name=True, env_ignore_empty=True
    )

    docker_host: str = Field(default="", validation_alias=AliasChoices("DOCKER_HOST", "RUNNER_DOCKER_HOST"))
    docker_context: str = Field(default="", validation_alias=AliasChoices("DOCKER_CONTEXT"))
    xdg_runtime_dir: str = Field(default="", validation_alias=AliasChoices("XDG_RUNTIME_DIR"))
    anthropic_api_key: SecretStr = Field(default=SecretStr(""), validation_alias=AliasChoices("ANTHROPIC_API_KEY"))
    anthropic_auth_token: SecretStr = Field(
        default=SecretStr(""), validation_alias=AliasChoices("ANTHROPIC_AUTH_TOKEN")
    )
    anthropic_base_url: str = Field(default="", validation_alias=AliasChoices("ANTHROPIC_BASE_URL"))
    openai_api_key: SecretStr = Field(default=SecretStr(""), validation_alias=AliasChoices("OPENAI_API_KEY"))
    openai_base_url: str = Field(default="", validation_alias=AliasChoices("OPENAI_BASE_URL"))
    github_step_summary: str = Field(default="", validation_alias=AliasChoices("GITHUB_STEP_SUMMARY"))
    ray_auth_mode: str = Field(default="", validation_alias=AliasChoices("RAY_AUTH_MODE"))
    serve_token: SecretStr = SecretStr("")
    base_url: str = ""
    model: str = "claude-sonnet-5-5"
    max_tokens: int = Field(default=16_384, ge=1)
    context_tokens: int = Field(default=150_000, ge=1)
    turn_s: float = Field(default=600.0, gt=0, le=SECONDS_MAX)
    retry_after_max_s: float = Field(default=120.0, ge=0, le=SECONDS_MAX)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    output: Path = Path("output")
    images: Path | None = None
    tasks: Path | None = None
    runtime: str = ""
    allow_unenforced: str = ""
    engine_timeout_s: float = Field(default=60.0, gt=0, le=SECONDS_MAX)
    pip_index_url: str = Field(default="", validation_alias=AliasChoices("PIP_INDEX_URL"))
    pip_extra_index_url: str = Field(default="", validation_alias=AliasChoices("PIP_EXTRA_INDEX_URL"))
    http_proxy: str = Field(default="", validation_alias=AliasChoices("HTTP_PROXY", "http_proxy"))
    https_proxy: str = Field(default="", validation_alias=AliasChoices("HTTPS_PROXY", "https_proxy"))
    no_proxy: str = Field(default="", validation_alias=AliasChoices("NO_PROXY", "no_proxy"))
    ca_bundle: str = Field(
        default="", validation_alias=AliasChoices("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
    )

    @field_validator(
        "anthropic_api_key", "anthropic_auth_token", "openai_api_key", "anthropic_base_url", "openai_base_url", "base_url",
        "docker_host", "serve_token", mode="before",
    )  # fmt: skip
    @classmethod
    def _strip(cls, value: object) -> object:
        """Without the line's end that a secret's file, or a copied line, mostly has: no header or URL can hold it."""
        if isinstance(value, SecretStr):
            return SecretStr(value.get_secret_value().strip())
        return value.strip() if isinstance(value, str) else value

    @property
    def has_credentials(self) -> bool:
        """Whether a model endpoint could be called at all."""
        return bool(self.anthropic_api_key.get_secret_value() or self.anthropic_auth_token.get_secret_value())

    @property
    def has_openai_credentials(self) -> bool:
        """Whether an endpoint of the other kind could be called: a local one needs no key, only its address."""
        return bool(self.openai_api_key.get_secret_value() or self.openai_base_url or self.base_url)


def data_folder(name: str) -> Path:
    """A folder that ships with the program, images or problem_data: in a wheel in the package, in a checkout beside it."""
    package = Path(str(resources.files("runner")))
    installed = package / "data" / name
    return installed if installed.is_dir() else package.parent / name


def drop_odd_sizes() -> None:
    """Forget what is said of the terminal's size where it cannot be one, as a shell says 0 of one that it does not know.

    The libraries that write to terminals read these variables themselves; they would print nothing, or fail.
    """
    for name, least in SIZES_MIN.items():
        said = os.environ.get(name, "")
        if not (said.isascii() and said.isdigit() and least <= int(said[:9]) <= SIZE_MAX):
            os.environ.pop(name, None)


def inherited_environment() -> dict[str, str]:
    """What a program that we start gets of our own environment: all of it."""
    return dict(os.environ)


def read_settings(**flags: Any) -> Settings:
    """The environment's settings with flags over them; a flag that is None was not given.

    Raises:
        UsageFault: a variable does not have the form that it must have.
    """
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        wrong = error.errors()[0]
        name = "RUNNER_" + str(wrong["loc"][0]).upper()
        raise UsageFault(cause=f"{name}: {wrong['msg']}", hint=f"correct or unset {name}") from None


def is_loopback(host: str) -> bool:
    """Whether a host's name or number is this machine's own, which no other machine reaches."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def set_for_ray(*, loopback: bool) -> None:
    """Before ray is imported: no report of its use, no worker ended for the host's memory.

    Args:
        loopback: the cluster is on this machine; else Ray would put the machine's outer address in place of 127.0.0.1.
    """
    alone = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"} if loopback else {}
    for name, value in {**QUIET_RAY, **alone}.items():
        os.environ.setdefault(name, value)


def environment_of_ray_node() -> dict[str, str]:
    """What `ray start` gets: on loopback, too, it is to be one of several nodes."""
    return {**QUIET_RAY, **os.environ, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"}


def home_folder() -> Path | None:
    """The user's home; None for a user without HOME and without an entry in the passwd file."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def cache_folder() -> Path:
    """Where wheels, locks and certificates are kept between jobs; made when it is not there.

    `runner` in $XDG_CACHE_HOME, else in the platform's own folder: ~/.cache, on macOS ~/Library/Caches.

    Raises:
        StoreFault: it cannot be made or written.
    """
    folder, hint = _caches() / "runner", "set HOME or XDG_CACHE_HOME to a folder that you may write"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreFault(cause=f"{folder} cannot be made: {error.strerror}", hint=hint) from error
    if not os.access(folder, os.W_OK):
        raise StoreFault(cause=f"{folder} cannot be written", hint=hint)
    return folder


def write_cached(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace a file of the caches: whole or not at all, also where this process, or the machine, ends meanwhile.

    Args:
        path: in a folder of the caches, which is made when it is not there.
        mode: who may read it.

    Raises:
        StoreFault: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content, mode)
    except OSError as error:
        raise StoreFault(
            cause=f"{path} cannot be written: {error.strerror}",
            hint="make room or give permission, or set XDG_CACHE_HOME to a folder that you may write",
        ) from error


def replace_file(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Replace a file; who reads it sees the old content or the new, never a part, whenever this process or the machine ends.

    Args:
        mode: of the new file, before the user's mask.

    Raises:
        OSError: it cannot be written, or is a device, a pipe or a socket; what was there is as it was.
    """
    if not _is_replaceable(path):  # root would take it from every program on the machine
        raise OSError(errno.EINVAL, "not an ordinary file", str(path))
    # Of this thread alone: jobs may go on side by side in one process.
    fresh = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.new")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)


def _is_replaceable(path: Path) -> bool:
    try:
        return not is_special(path.lstat().st_mode)
    except OSError:
        return True  # nothing is there, or writing says what is wrong


def is_special(mode: int) -> bool:
    """Whether it is the mode of a device, a pipe or a socket."""
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))


def _caches() -> Path:
    """The folder of all programs' caches. A path that is not absolute counts for nothing, as the standard has it."""
    named, home = Path(os.environ.get("XDG_CACHE_HOME", "")), home_folder()
    if named.is_absolute():
        return named
    if home is None:
        raise StoreFault(
            cause="there is no home folder to keep the runner's cache in",
            hint="set HOME to a folder that you may write",
        )
    return home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"
