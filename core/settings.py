"""Every setting, from the environment or `.env`, checked once at the start.

A wrong value stops the program with the setting's name, what is wrong and an example (`load`). Secrets are
`SecretStr`, so they never show in a log or a traceback. `.env.example` explains each. Next: `core/crypto.py`.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from dotenv.parser import parse_stream
from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.domain.chat import Mode
from core.errors import Misconfigured

ENV_FILE: Final = ".env"
_EXAMPLES: Final = {
    "DATABASE_URL": "postgresql+asyncpg://threadwork:secret@db.example.com/threadwork",
    "REDIS_URL": "redis://cache.example.com:6379/0",
    "ANTHROPIC_BASE_URL": "https://api.anthropic.com",
    "E2B_API_URL": "http://127.0.0.1:3000",
    "E2B_SANDBOX_URL": "http://127.0.0.1:3000",
    "THREADWORK_PUBLIC_URL": "https://threadwork.example.com/gateway",
    "THREADWORK_SECRET_KEY": "$(head -c 32 /dev/urandom | base64)",
    "THREADWORK_DATA_DIR": "/var/lib/threadwork",
    "THREADWORK_GATEWAY_PORT": "8090",
    "SLACK_BOT_TOKEN": "xoxb-…",
    "SLACK_APP_TOKEN": "xapp-…",
    "SLACK_API_URL": "https://slack.com/api/",
    "SLACK_WEB_URL": "https://slack.com",
    "THREADWORK_WEB_PORT": "8030",
    "THREADWORK_WEB_URL": "https://threadwork.example.com",
    "THREADWORK_METRICS_TOKEN": "$(head -c 24 /dev/urandom | base64)",
    "SLACK_PORT": "3000",
    "DISCORD_API_URL": "https://discord.com/api/v10",
    "DISCORD_WEB_URL": "https://discord.com",
    "DISCORD_GATEWAY_URL": "wss://gateway.discord.gg/",
    "SENTRY_DSN": "https://key@sentry.example.com/1",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces",
}
# What `core/observing` is told, by the names that Sentry and OpenTelemetry have for it.
_OBSERVING: Final = ("sentry_", "otel_")


def _address(value: str, *beginnings: str, host: bool = True) -> str:
    if not value.startswith(beginnings):
        raise ValueError(f"it must begin with {' or '.join(beginnings)}")
    try:
        parts = urlsplit(value)
        is_there = parts.port != 0 and (bool(parts.hostname) or not host)
    except ValueError:
        is_there = False
    if not is_there:
        raise ValueError(
            "it names no host, or a port that there is not" if host else "it names a port that there is not"
        )
    return value


def _web_address(value: str) -> str:
    return _address(value, "http://", "https://")


def _socket_address(value: str) -> str:
    return _address(value, "ws://", "wss://")


def _database(value: str) -> str:
    # Its host may stand in the query, and be a folder; `core/store/engine.py` reads the rest.
    return _address(value, "postgresql://", "postgres://", "postgresql+asyncpg://", host=False)


def _redis(value: str) -> str:
    if value.startswith("unix://"):
        return value
    return _address(value, "redis://", "rediss://", "unix://")


def _dsn(value: str) -> str:
    """Sentry's kind of address: https://docs.sentry.io/concepts/key-terms/dsn-explainer/."""
    parts = urlsplit(_web_address(value))
    if not parts.username or not parts.path.rpartition("/")[2]:
        raise ValueError("it has no key before the host, or no project behind it")
    return value


def _folder(value: Path) -> Path:
    """A folder that means the same to every process: absolute, with `~` written out."""
    try:
        return value.expanduser().absolute()
    except RuntimeError:
        raise ValueError("there is no such user's home folder") from None


WebUrl = Annotated[str, AfterValidator(_web_address)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def default_data_dir() -> Path:
    """Where data lives when THREADWORK_DATA_DIR is not set: the platform's folder for a user's data.

    A relative XDG_DATA_HOME does not count: https://specifications.freedesktop.org/basedir-spec/latest/.
    Raises `Misconfigured` for a user without a home.
    """
    home = Path(os.environ.get("XDG_DATA_HOME") or "")
    if not home.is_absolute():
        try:
            home = Path.home() / ".local" / "share"
        except RuntimeError:
            raise Misconfigured(
                "THREADWORK_DATA_DIR is missing, and this user has no home folder. "
                f"Example: THREADWORK_DATA_DIR={_EXAMPLES['THREADWORK_DATA_DIR']}"
            ) from None
    return home / "threadwork"


class Settings(BaseSettings):
    """All settings. Field names are the environment's, in lower case."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE,
        env_file_encoding="utf-8",
        extra="ignore",
        env_ignore_empty=True,
        # What pydantic says of a wrong address would show the password in it.
        hide_input_in_errors=True,
    )

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

    threadwork_data_dir: Annotated[Path, AfterValidator(_folder)] = Field(default_factory=default_data_dir)
    threadwork_secret_key: SecretStr | None = None
    threadwork_public_url: WebUrl | None = None
    threadwork_gateway_port: int | None = Field(default=None, ge=1, le=65535)
    threadwork_gateway_host: str = "127.0.0.1"
    threadwork_web_port: int | None = Field(default=None, ge=1, le=65535)
    threadwork_web_host: str = "127.0.0.1"
    threadwork_web_url: WebUrl | None = None
    threadwork_web_viewers: bool = False
    threadwork_metrics_token: SecretStr | None = Field(default=None, min_length=16)
    threadwork_allow_key_in_sandbox: bool = False
    threadwork_unsafe_no_isolation: bool = False
    threadwork_mode: Mode = Mode.AUTO
    threadwork_model: str | None = None
    threadwork_deciders: Literal["invited", "everyone"] = "invited"
    threadwork_workers: int = Field(default=1, ge=1, le=64)
    threadwork_max_chats: int = Field(default=24, ge=1, le=1000)
    threadwork_log: Literal["debug", "info", "warning", "error"] = "info"
    threadwork_log_format: Literal["text", "json"] = "text"

    threadwork_lease_s: Seconds = 8.0
    threadwork_linger_s: float = Field(default=20.0, ge=0, allow_inf_nan=False)
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
    slack_web_url: WebUrl | None = None
    slack_port: int | None = Field(default=None, ge=1, le=65535)
    slack_command: str = "/threadwork"
    slack_streaming: Literal["edit", "native"] = "edit"

    discord_token: SecretStr | None = None
    discord_client_id: str | None = None
    discord_client_secret: SecretStr | None = None
    discord_api_url: WebUrl | None = None
    discord_web_url: WebUrl | None = None
    discord_gateway_url: Annotated[str, AfterValidator(_socket_address)] | None = None
    discord_forums: str = ""
    discord_deciders: str = ""

    sentry_dsn: Annotated[str, AfterValidator(_dsn)] | None = Field(default=None, repr=False)
    sentry_environment: str | None = None
    sentry_release: str | None = None
    otel_exporter_otlp_endpoint: WebUrl | None = None
    otel_exporter_otlp_traces_endpoint: WebUrl | None = None
    otel_exporter_otlp_protocol: str | None = None
    otel_exporter_otlp_headers: SecretStr | None = None
    otel_service_name: str | None = None
    otel_sdk_disabled: bool = False

    @property
    def has_credential(self) -> bool:
        """Whether a model can be reached; without one the scripted offline model plays."""
        return any((self.anthropic_api_key, self.anthropic_auth_token, self.claude_code_oauth_token))

    @property
    def uses_own_sandboxes(self) -> bool:
        """Whether sandboxes are on this machine, because no other E2B server was named."""
        return self.e2b_api_key is None and self.e2b_api_url is None

    @property
    def observing(self) -> dict[str, str]:
        """What is set for `core/observing`, by its names in the environment."""
        names = [name for name in type(self).model_fields if name.startswith(_OBSERVING)]
        values = {name.upper(): getattr(self, name) for name in names}
        plain = {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in values.items()
        }
        return {name: str(value) for name, value in plain.items() if value}


def load(**overrides: object) -> Settings:
    """Read the settings. Raises `Misconfigured` naming the first wrong one, what is wrong, and an example."""
    settings, wrong = read(**overrides)
    if settings is None or wrong:
        raise Misconfigured(wrong[0])
    return settings


def read(**overrides: object) -> tuple[Settings | None, list[str]]:
    """The settings where they can be read, and a sentence for each that is wrong."""
    try:
        broken = _broken_lines()
        if broken:
            return None, broken
        settings = Settings(**overrides)  # type: ignore[arg-type]  # checked by pydantic
    except ValidationError as error:
        return None, [_words(one) for one in error.errors(include_input=False, include_url=False)]
    except (OSError, UnicodeError) as error:
        why = "it is not UTF-8 text" if isinstance(error, UnicodeError) else error.strerror
        return None, [f"{Path(ENV_FILE).absolute()} cannot be read: {why}."]
    except Misconfigured as error:
        return None, [error.words]
    if (settings.e2b_api_url is None) != (settings.e2b_sandbox_url is None):
        missing = "E2B_SANDBOX_URL" if settings.e2b_sandbox_url is None else "E2B_API_URL"
        return settings, [f"{missing} is missing: an E2B-compatible server needs both addresses. {example_of(missing)}"]
    return settings, []


def _broken_lines() -> list[str]:
    """A sentence for each line of `.env` that sets nothing because of how it is written; without its value."""
    file = Path(ENV_FILE)
    if not file.is_file():
        return []
    with file.open(encoding="utf-8") as text:
        return [_broken(one.original.string, one.original.line) for one in parse_stream(text) if one.error]


def _broken(statement: str, line: int) -> str:
    written = statement.lstrip()
    # Empty lines before it are counted to it.
    line += statement[: len(statement) - len(written)].count("\n")
    # Anything else may be the rest of a secret.
    named = re.match(r"(?:export\s+)?([A-Z][A-Z0-9_]*)\s*=", written)
    what = named[1] if named else "it"
    why = "write NAME=value, and close each quote that you open"
    name = named[1] if named else "THREADWORK_MODE"
    value = _right_value(name)
    example = "value" if value in {None, ""} else value
    return f"{Path(ENV_FILE).absolute()}, line {line}: {what} cannot be read; {why}. Example: {name}={example}"


def example_of(name: str) -> str:
    """A right value of an address, as a sentence."""
    return f"Example: {name}={_EXAMPLES[name]}"


def _words(error: Any) -> str:
    """What is wrong with one setting, for a person, without its value."""
    name = str(error["loc"][0]).upper()
    why = str(error["msg"]).removeprefix("Value error, ")
    return f"{name} is wrong: {why}. Example: {name}={_right_value(name)}"


def _right_value(name: str) -> object:
    field = Settings.model_fields.get(name.lower())
    default = field.default if field else None
    return _EXAMPLES.get(name, int(default) if isinstance(default, bool) else default)
