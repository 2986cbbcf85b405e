"""Settings: the only reader of the environment.

Flags win over the environment. Every setting is `RUNNER_<NAME>`; DOCKER_HOST and the vendor's credential names are
read as their own tools read them. Secrets are `SecretStr`: their repr shows stars.
"""

import os
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from runner.faults import StoreFault

DEFAULT_TASK = "slow_ml_training_complex"


class Settings(BaseSettings):
    """What the surroundings decide.

    Attributes:
        docker_host: URL of the engine; empty means the current docker context, then the usual sockets.
        docker_context: name of a docker context; empty means the current one.
        log_level: of a job's own log, job.log: debug, info, warning or error.
        output: folder under which each job gets one of its own.
        images: folder of the sandbox images' recipes; empty means the one that ships with the project.
        tasks: folder of the tasks known by name; empty means the one that ships with the project.
        runtime: OCI runtime for every sandbox (`runsc`), empty for the engine's default.
        model: name of the model that plays, as its vendor writes it.
        max_tokens: the most tokens of one answer of the model.
        base_url: of the model's endpoint; empty: the vendor's variable, then the vendor.
        context_tokens: from this many tokens on, the oldest tool outputs are cleared from a conversation.
        turn_s: longest wait for one answer of the model, in seconds, with all tries.
        retry_after_max_s: the longest pause that the endpoint may ask for.
        engine_timeout_s: longest wait for one answer of the engine.
    """

    model_config = SettingsConfigDict(env_prefix="RUNNER_", extra="ignore", populate_by_name=True)

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
    base_url: str = ""
    model: str = "claude-sonnet-5-5"
    max_tokens: int = 16_384
    context_tokens: int = 150_000
    turn_s: float = 600.0
    retry_after_max_s: float = 120.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    output: Path = Path("output")
    images: Path | None = None
    tasks: Path | None = None
    runtime: str = ""
    engine_timeout_s: float = 60.0
    pip_index_url: str = Field(default="", validation_alias=AliasChoices("PIP_INDEX_URL"))
    pip_extra_index_url: str = Field(default="", validation_alias=AliasChoices("PIP_EXTRA_INDEX_URL"))
    http_proxy: str = Field(default="", validation_alias=AliasChoices("HTTP_PROXY", "http_proxy"))
    https_proxy: str = Field(default="", validation_alias=AliasChoices("HTTPS_PROXY", "https_proxy"))
    no_proxy: str = Field(default="", validation_alias=AliasChoices("NO_PROXY", "no_proxy"))

    @field_validator(
        "anthropic_api_key", "anthropic_auth_token", "openai_api_key", "anthropic_base_url", "openai_base_url", "base_url",
        "docker_host", mode="before",
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


def project_folder() -> Path:
    """The folder that holds images/ and problem_data/: the checkout this package runs from."""
    return Path(__file__).resolve().parent.parent


def home_folder() -> Path | None:
    """The user's home; None for a user without HOME and without an entry in the passwd file."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def cache_folder() -> Path:
    """Where wheels, locks and certificates are kept between jobs; made when it is not there.

    Raises:
        StoreFault: it cannot be made or written.
    """
    home, hint = home_folder(), "set HOME to a folder that you may write"
    if home is None:
        raise StoreFault(cause="there is no home folder to keep the runner's cache in", hint=hint)
    folder = home / ".cache" / "runner"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreFault(cause=f"{folder} cannot be made: {error.strerror}", hint=hint) from error
    if not os.access(folder, os.W_OK):
        raise StoreFault(cause=f"{folder} cannot be written", hint=hint)
    return folder
