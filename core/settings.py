"""Every setting, from the environment or `.env`, checked once at the start.

A wrong value stops the program with the setting's name, what is wrong and an example (`load`). Secrets are
`SecretStr`, so they never show in a log or a traceback. `.env.example` explains each. Next: `core/crypto.py`.
"""

import os
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.domain.chat import Mode
from core.errors import Misconfigured

_EXAMPLES: Final = {
    "DATABASE_URL": "postgresql+asyncpg://threadwork:secret@db.example.com/threadwork",
    "REDIS_URL": "redis://cache.example.com:6379/0",
    "ANTHROPIC_BASE_URL": "https://api.anthropic.com",
    "E2B_API_URL": "http://127.0.0.1:3000",
    "E2B_SANDBOX_URL": "http://127.0.0.1:3000",
    "THREADWORK_PUBLIC_URL": "https://threadwork.example.com/gateway",
    "THREADWORK_SECRET_KEY": "$(head -c 32 /dev/urandom | base64)",
    "THREADWORK_DATA_DIR": "/var/lib/threadwork",
    "THREADWORK_MODE": "auto",
    "SLACK_BOT_TOKEN": "xoxb-…",
    "SLACK_APP_TOKEN": "xapp-…",
    "SLACK_API_URL": "https://slack.com/api/",
    "DISCORD_API_URL": "https://discord.com/api/v10",
    "DISCORD_GATEWAY_URL": "wss://gateway.discord.gg/",
}


def _web_address(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("it must begin with http:// or https://")
    return value


def _socket_address(value: str) -> str:
    if not value.startswith(("ws://", "wss://")):
        raise ValueError("it must begin with ws:// or wss://")
    return value


def _database(value: str) -> str:
    if not value.startswith(("postgresql://", "postgres://", "postgresql+asyncpg://")):
        raise ValueError("it must begin with postgresql://")
    return value


def _redis(value: str) -> str:
    if not value.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("it must begin with redis://, rediss:// or unix://")
    return value


WebUrl = Annotated[str, AfterValidator(_web_address)]
Seconds = Annotated[float, Field(gt=0)]


def default_data_dir() -> Path:
    """Where data lives when THREADWORK_DATA_DIR is not set: the platform's folder for a user's data."""
    home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return home / "threadwork"


class Settings(BaseSettings):
    """All settings. Field names are the environment's, in lower case."""

    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore", env_ignore_empty=True)

    database_url: Annotated[str, AfterValidator(_database)] | None = None
    redis_url: Annotated[str, AfterValidator(_redis)] | None = None

    anthropic_api_key: SecretStr | None = None
    anthropic_auth_token: SecretStr | None = None
    claude_code_oauth_token: SecretStr | None = None
    anthropic_base_url: WebUrl | None = None

    e2b_api_key: SecretStr | None = None
    e2b_api_url: WebUrl | None = None
    e2b_sandbox_url: WebUrl | None = None
    e2b_template: str | None = None

    threadwork_data_dir: Path = Field(default_factory=default_data_dir)
    threadwork_secret_key: SecretStr | None = None
    threadwork_public_url: WebUrl | None = None
    threadwork_gateway_port: int | None = Field(default=None, ge=1, le=65535)
    threadwork_gateway_host: str = "127.0.0.1"
    threadwork_allow_key_in_sandbox: bool = False
    threadwork_unsafe_no_isolation: bool = False
    threadwork_mode: Mode = Mode.AUTO
    threadwork_model: str | None = None
    threadwork_workers: int = Field(default=1, ge=1, le=64)
    threadwork_max_chats: int = Field(default=24, ge=1, le=1000)
    threadwork_log: Literal["debug", "info", "warning", "error"] = "info"
    threadwork_log_format: Literal["text", "json"] = "text"

    threadwork_lease_s: Seconds = 8.0
    threadwork_linger_s: float = Field(default=20.0, ge=0)
    threadwork_look_every_s: Seconds = 5.0
    threadwork_park_after_s: Seconds = 600.0
    threadwork_turn_s: Seconds = 3600.0
    threadwork_turn_mb: int = Field(default=64, ge=1)
    threadwork_idle_pause_after_s: Seconds = 900.0
    threadwork_retain_sandbox_days: Seconds = 30.0

    slack_bot_token: SecretStr | None = None
    slack_app_token: SecretStr | None = None
    slack_signing_secret: SecretStr | None = None
    slack_client_id: str | None = None
    slack_client_secret: SecretStr | None = None
    slack_api_url: WebUrl | None = None
    slack_port: int | None = Field(default=None, ge=1, le=65535)
    slack_command: str = "/threadwork"
    slack_streaming: Literal["edit", "native"] = "edit"

    discord_token: SecretStr | None = None
    discord_api_url: WebUrl | None = None
    discord_gateway_url: Annotated[str, AfterValidator(_socket_address)] | None = None

    @property
    def has_credential(self) -> bool:
        """Whether a model can be reached; without one the scripted offline model plays."""
        return any((self.anthropic_api_key, self.anthropic_auth_token, self.claude_code_oauth_token))

    @property
    def uses_own_sandboxes(self) -> bool:
        """Whether sandboxes are on this machine, because no other E2B server was named."""
        return self.e2b_api_key is None and self.e2b_api_url is None


def load(**overrides: object) -> Settings:
    """Read the settings. Raises `Misconfigured` naming the first wrong one, what is wrong, and an example."""
    try:
        settings = Settings(**overrides)  # type: ignore[arg-type]  # checked by pydantic
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0]).upper()
        why = str(first["msg"]).removeprefix("Value error, ")
        example = _EXAMPLES.get(name)
        raise Misconfigured(f"{name} is wrong: {why}.{f' Example: {name}={example}' if example else ''}") from error
    if (settings.e2b_api_url is None) != (settings.e2b_sandbox_url is None):
        missing = "E2B_SANDBOX_URL" if settings.e2b_sandbox_url is None else "E2B_API_URL"
        raise Misconfigured(
            f"{missing} is missing: an E2B-compatible server needs both addresses. "
            f"Example: {missing}={_EXAMPLES[missing]}"
        )
    return settings
