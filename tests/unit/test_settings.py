"""What is wrong with a setting is said by its name, with the reason and an example, and never with its value."""

import os
from pathlib import Path

import pytest

from core.domain.chat import Mode
from core.errors import Misconfigured
from core.settings import Settings, default_data_dir, load, read

WRONG = {
    "DATABASE_URL": ["mysql://u:hunter2@h/d", "hunter2", "postgresql://u:hunter2@h:99999/d", "postgres://h:port/d"],
    "REDIS_URL": ["http://hunter2", "redis://:hunter2@", "redis://h:99999"],
    "ANTHROPIC_BASE_URL": ["api.anthropic.com", "https://", "https://host:port"],
    "E2B_API_URL": ["localhost:3000", "ftp://h"],
    "E2B_SANDBOX_URL": ["//h", "http://:80"],
    "THREADWORK_DATA_DIR": ["~nobody-of-that-name/data"],
    "THREADWORK_PUBLIC_URL": ["threadwork.example.com", "http://["],
    "THREADWORK_GATEWAY_PORT": ["0", "65536", "http", "80.5"],
    "THREADWORK_WEB_PORT": ["0", "65536", "http"],
    "THREADWORK_WEB_URL": ["threadwork.example.com", "ftp://h"],
    "THREADWORK_WEB_VIEWERS": ["everyone"],
    "THREADWORK_METRICS_TOKEN": ["hunter2", "0123456789abcde"],
    "THREADWORK_ALLOW_KEY_IN_SANDBOX": ["perhaps"],
    "THREADWORK_UNSAFE_NO_ISOLATION": ["2"],
    "THREADWORK_MODE": ["yolo", "AUTO"],
    "THREADWORK_DECIDERS": ["nobody"],
    "THREADWORK_WORKERS": ["0", "-1", "65", "two"],
    "THREADWORK_MAX_CHATS": ["0", "1001"],
    "THREADWORK_LOG": ["loud"],
    "THREADWORK_LOG_FORMAT": ["xml"],
    "THREADWORK_LEASE_S": ["0", "nan", "inf", "soon"],
    "THREADWORK_LINGER_S": ["-1", "nan", "inf"],
    "THREADWORK_LOOK_EVERY_S": ["0", "inf"],
    "THREADWORK_PARK_AFTER_S": ["-5", "inf"],
    "THREADWORK_TURN_S": ["0", "nan"],
    "THREADWORK_TURN_MB": ["0", "1.5"],
    "THREADWORK_IDLE_PAUSE_AFTER_S": ["0", "x"],
    "THREADWORK_RETAIN_SANDBOX_DAYS": ["0", "x"],
    "SLACK_API_URL": ["slack.com/api"],
    "SLACK_WEB_URL": ["slack.com"],
    "SLACK_PORT": ["0", "70000"],
    "SLACK_STREAMING": ["both"],
    "DISCORD_API_URL": ["wss://discord.com"],
    "DISCORD_WEB_URL": ["discord.com"],
    "DISCORD_GATEWAY_URL": ["https://discord.com", "wss://"],
    "SENTRY_DSN": ["sentry.example.com", "https://sentry.example.com/1", "https://hunter2@sentry.example.com/"],
    "OTEL_EXPORTER_OTLP_ENDPOINT": ["collector:4317", "grpc://collector"],
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": ["/v1/traces"],
    "OTEL_SDK_DISABLED": ["perhaps"],
}
# Any text will do for these; what is odd about it, `threadwork doctor` says.
FREE = {
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "DISCORD_CLIENT_ID",
    "DISCORD_CLIENT_SECRET",
    "DISCORD_FORUMS",
    "DISCORD_DECIDERS",
    "DISCORD_TOKEN",
    "E2B_API_KEY",
    "E2B_TEMPLATE",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_SERVICE_NAME",
    "SENTRY_ENVIRONMENT",
    "SENTRY_RELEASE",
    "SLACK_APP_TOKEN",
    "SLACK_BOT_TOKEN",
    "SLACK_CLIENT_ID",
    "SLACK_CLIENT_SECRET",
    "SLACK_COMMAND",
    "SLACK_SIGNING_SECRET",
    "THREADWORK_GATEWAY_HOST",
    "THREADWORK_WEB_HOST",
    "THREADWORK_MODEL",
    "THREADWORK_SECRET_KEY",
}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting in the environment, and no `.env`."""
    for name in list(os.environ):
        if name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_every_setting_that_can_be_wrong_is_tried_here() -> None:
    assert {name.upper() for name in Settings.model_fields} == set(WRONG) | FREE
    assert not set(WRONG) & FREE


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_setting_stops_with_its_name_the_reason_and_an_example(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(Misconfigured) as stopped:
        load()
    words = stopped.value.words
    assert words.startswith(f"{name} is wrong: ")
    example = words.rpartition(f"Example: {name}=")[2]
    assert example not in {words, "", "None"}
    assert "hunter2" not in f"{words} {stopped.value.__cause__}"
    # What is shown as an example is itself right.
    monkeypatch.setenv(name, example)
    assert not any(wrong.startswith(f"{name} is wrong") for wrong in read()[1])


def test_what_is_wrong_is_told_all_at_once_to_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREADWORK_WORKERS", "0")
    monkeypatch.setenv("SLACK_PORT", "x")
    settings, wrong = read()
    assert settings is None
    assert sorted(words.split()[0] for words in wrong) == ["SLACK_PORT", "THREADWORK_WORKERS"]


def test_nothing_set_is_a_good_setting() -> None:
    settings = load()
    assert settings.threadwork_mode is Mode.AUTO
    assert settings.uses_own_sandboxes
    assert not settings.has_credential


@pytest.mark.parametrize(("given", "missing"), [("E2B_API_URL", "E2B_SANDBOX_URL"), ("E2B_SANDBOX_URL", "E2B_API_URL")])
def test_one_address_of_a_sandbox_server_without_the_other_is_wrong(
    monkeypatch: pytest.MonkeyPatch, given: str, missing: str
) -> None:
    monkeypatch.setenv(given, "http://127.0.0.1:3000")
    with pytest.raises(Misconfigured, match=rf"^{missing} is missing: .* Example: {missing}=http"):
        load()


def test_the_environment_wins_over_the_file_and_empty_means_not_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("THREADWORK_WORKERS=2\nTHREADWORK_MAX_CHATS=5\nTHREADWORK_TURN_MB=\n")
    monkeypatch.setenv("THREADWORK_WORKERS", "3")
    monkeypatch.setenv("DATABASE_URL", "")
    settings = load()
    assert (settings.threadwork_workers, settings.threadwork_max_chats, settings.threadwork_turn_mb) == (3, 5, 64)
    assert settings.database_url is None


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"THREADWORK_MODEL=\xff\xfe\n")
    with pytest.raises(Misconfigured, match=r"\.env cannot be read: it is not UTF-8 text"):
        load()


def test_the_data_folder_means_the_same_to_every_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("THREADWORK_DATA_DIR", "data")
    assert load().threadwork_data_dir == tmp_path / "data"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("THREADWORK_DATA_DIR", "~/data")
    assert load().threadwork_data_dir == tmp_path / "data"
    assert load(threadwork_data_dir=Path("other")).threadwork_data_dir == tmp_path / "other"


def test_data_lives_where_the_platform_keeps_a_users_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert default_data_dir() == tmp_path / "xdg" / "threadwork"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert default_data_dir() == tmp_path / ".local" / "share" / "threadwork"


def test_no_secret_shows_in_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "hunter2-hunter2"
    for name in FREE - {
        "DISCORD_CLIENT_ID",
        "DISCORD_CLIENT_SECRET",
        "DISCORD_FORUMS",
        "DISCORD_DECIDERS",
        "E2B_TEMPLATE",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "OTEL_SERVICE_NAME",
        "SENTRY_ENVIRONMENT",
        "SENTRY_RELEASE",
        "SLACK_CLIENT_ID",
        "SLACK_COMMAND",
        "THREADWORK_GATEWAY_HOST",
        "THREADWORK_WEB_HOST",
        "THREADWORK_MODEL",
    }:
        monkeypatch.setenv(name, secret)
    assert secret not in repr(load())


def test_what_watches_is_told_by_its_own_names_what_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert load().observing == {}
    (tmp_path / ".env").write_text(
        "SENTRY_DSN=https://key@sentry.example.com/1\nOTEL_EXPORTER_OTLP_HEADERS=a=hunter2\n"
    )
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert load().observing == {
        "SENTRY_DSN": "https://key@sentry.example.com/1",
        "OTEL_EXPORTER_OTLP_HEADERS": "a=hunter2",
        "OTEL_SDK_DISABLED": "True",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('THREADWORK_MODE="plan\n', "line 1: THREADWORK_MODE cannot be read; .* Example: THREADWORK_MODE=auto"),
        ("\n# why\n\n\nexport SLACK_PORT='3000\n", "line 5: SLACK_PORT cannot be read; .* Example: SLACK_PORT=3000"),
        ('A="1\n2"\nDISCORD_TOKEN="hunter2\n', "line 3: DISCORD_TOKEN cannot be read; .* Example: DISCORD_TOKEN=value"),
        ('REDIS_URL="hunter2" more\n', "line 1: REDIS_URL cannot be read; .* Example: REDIS_URL=redis://"),
        ("THREADWORK_WEB_VIEWERS='1\n", "THREADWORK_WEB_VIEWERS cannot be read; .* Example: THREADWORK_WEB_VIEWERS=0"),
        ("hunter2hunter2==' '\nhunter2=' '\n OTHER='", "line 3: OTHER cannot be read; .* Example: OTHER=value"),
        ("THREADWORK_LOG=info\nhunter2 hunter2\n", "line 2: it cannot be read; .* Example: THREADWORK_MODE=auto"),
    ],
)
def test_a_line_of_the_file_that_cannot_be_read_is_wrong_and_not_shown(
    text: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(text)
    with pytest.raises(Misconfigured, match=said) as raised:
        load()
    assert raised.value.words.startswith(f"{tmp_path}/.env, line ")
    assert "hunter2" not in raised.value.words
    assert caplog.text == ""


def test_every_line_of_the_file_that_cannot_be_read_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("SLACK_PORT=\"3000\nTHREADWORK_LOG=info\n\nE2B_TEMPLATE='x\n")
    settings, wrong = read()
    assert settings is None
    assert [words.partition(": ")[0] for words in wrong] == [f"{tmp_path}/.env, line {line}" for line in (1, 4)]
