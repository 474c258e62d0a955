"""What the doctor says: the right thing is wrong, the mend is in the same line, and no secret is."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.crypto import FILE, find_secret
from core.settings import Settings, load
from threadwork.checks import accounts, machine
from threadwork.checks.finding import Level
from threadwork.doctor import examine, run_doctor, unknown_settings
from threadwork.embedded.valkey import binary

SECRET = "hunter2hunter2hunter2"
DISCORD = f"MTIzNDU2Nzg5MDEyMzQ1Njc4.GabcdE.{'x' * 30}"
SIGNING = "8f742231b10e8888abcd99yyyzzz85a5".replace("y", "0").replace("z", "1")
CLOUD = {"E2B_API_KEY": "e2b_1234567890"}
OTHER = {"E2B_API_URL": "http://127.0.0.1:3000", "E2B_SANDBOX_URL": "http://127.0.0.1:3000"}
PUBLIC = {"THREADWORK_PUBLIC_URL": "https://tw.example.com/gateway"}
KEY_INSIDE = {"THREADWORK_ALLOW_KEY_IN_SANDBOX": "1"}

Setter = Callable[..., Settings]


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Setter:
    """Settings with only these set, read from the environment as a program reads them."""
    for name in list(os.environ):
        if name.lower() in Settings.model_fields or name.startswith("THREADWORK_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THREADWORK_DATA_DIR", str(tmp_path / "data"))

    def make(values: dict[str, str] | None = None) -> Settings:
        for name, value in (values or {}).items():
            monkeypatch.setenv(name, value)
        return load()

    return make


@pytest.mark.parametrize(
    ("given", "level", "words"),
    [
        ({}, Level.NOTE, "scripted model"),
        ({"ANTHROPIC_API_KEY": f"sk-ant-api03-{SECRET}"}, Level.GOOD, "ANTHROPIC_API_KEY"),
        ({"ANTHROPIC_API_KEY": SECRET}, Level.BAD, "does not begin with sk-ant-"),
        ({"ANTHROPIC_API_KEY": f"sk-ant-oat01-{SECRET}"}, Level.BAD, "CLAUDE_CODE_OAUTH_TOKEN"),
        ({"ANTHROPIC_API_KEY": f"sk-ant-{SECRET}\u00e9"}, Level.BAD, "ANTHROPIC_API_KEY"),
        ({"ANTHROPIC_API_KEY": SECRET, "ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}, Level.GOOD, "at 127.0.0.1"),
        ({"ANTHROPIC_AUTH_TOKEN": SECRET}, Level.GOOD, "ANTHROPIC_AUTH_TOKEN"),
        ({"CLAUDE_CODE_OAUTH_TOKEN": f"sk-ant-oat01-{SECRET}"}, Level.GOOD, "CLAUDE_CODE_OAUTH_TOKEN"),
        ({"CLAUDE_CODE_OAUTH_TOKEN": SECRET}, Level.BAD, "claude setup-token"),
        (
            {"ANTHROPIC_API_KEY": f"sk-ant-{SECRET}", "ANTHROPIC_AUTH_TOKEN": SECRET},
            Level.NOTE,
            "ANTHROPIC_AUTH_TOKEN is used; ANTHROPIC_API_KEY is not",
        ),
    ],
)
def test_the_models_credential(settings: Setter, given: dict[str, str], level: Level, words: str) -> None:
    found = accounts.model(settings(given))
    assert (found.level, words in f"{found.said}. {found.mend}") == (level, True), found
    assert SECRET not in f"{found}"


@pytest.mark.parametrize(
    ("given", "level", "words"),
    [
        ({}, Level.GOOD, "socket"),
        (PUBLIC, Level.NOTE, "THREADWORK_PUBLIC_URL has no effect"),
        (KEY_INSIDE, Level.NOTE, "THREADWORK_ALLOW_KEY_IN_SANDBOX has no effect"),
        (CLOUD, Level.BAD, "Set THREADWORK_PUBLIC_URL"),
        (CLOUD | KEY_INSIDE, Level.BAD, "none is set"),
        (CLOUD | KEY_INSIDE | {"ANTHROPIC_API_KEY": SECRET}, Level.NOTE, "can read the real key"),
        (CLOUD | PUBLIC, Level.NOTE, "THREADWORK_GATEWAY_PORT"),
        (CLOUD | PUBLIC | {"THREADWORK_GATEWAY_PORT": "8090"}, Level.GOOD, "served on 127.0.0.1:8090"),
        (CLOUD | {"THREADWORK_PUBLIC_URL": "http://localhost:8090"}, Level.BAD, "cannot reach http://localhost:8090"),
        (CLOUD | {"THREADWORK_PUBLIC_URL": "https://127.0.0.2"}, Level.BAD, "cannot reach"),
        (CLOUD | {"THREADWORK_PUBLIC_URL": "http://tw.example.com"}, Level.NOTE, "unencrypted"),
        (OTHER, Level.NOTE, "binds the gateway's socket"),
        (
            OTHER | {"THREADWORK_PUBLIC_URL": "http://127.0.0.1:8090", "THREADWORK_GATEWAY_PORT": "8090"},
            Level.GOOD,
            "http://127.0.0.1:8090",
        ),
    ],
)
def test_the_way_from_sandboxes_to_the_model(settings: Setter, given: dict[str, str], level: Level, words: str) -> None:
    found = accounts.gateway(settings(given))
    assert (found.level, words in f"{found.said}. {found.mend}") == (level, True), found


@pytest.mark.parametrize(
    ("given", "level", "words"),
    [
        ({}, Level.GOOD, "not used"),
        ({"BOT_TOKEN": "xoxb-1", "APP_TOKEN": "xapp-1"}, Level.GOOD, "socket mode"),
        ({"BOT_TOKEN": "xoxb-1", "SIGNING_SECRET": SIGNING, "PORT": "3000"}, Level.GOOD, "HTTP on port 3000"),
        (
            {"CLIENT_ID": "1.2", "CLIENT_SECRET": SECRET, "SIGNING_SECRET": SIGNING, "PORT": "3000"},
            Level.GOOD,
            "HTTP on port 3000",
        ),
        ({"BOT_TOKEN": SECRET, "APP_TOKEN": "xapp-1"}, Level.BAD, "SLACK_BOT_TOKEN does not begin with xoxb-"),
        ({"BOT_TOKEN": "xoxb-1", "APP_TOKEN": SECRET}, Level.BAD, "SLACK_APP_TOKEN does not begin with xapp-"),
        ({"BOT_TOKEN": "xoxb-1", "SIGNING_SECRET": SECRET, "PORT": "3000"}, Level.BAD, "32 hexadecimal digits"),
        ({"BOT_TOKEN": "xoxb-1", "SIGNING_SECRET": SIGNING}, Level.BAD, "SLACK_PORT is missing"),
        ({"BOT_TOKEN": "xoxb-1"}, Level.BAD, "how events come in"),
        ({"APP_TOKEN": "xapp-1"}, Level.BAD, "SLACK_BOT_TOKEN is missing"),
        ({"CLIENT_ID": "1.2", "APP_TOKEN": "xapp-1"}, Level.BAD, "go together"),
    ],
)
def test_slacks_tokens(settings: Setter, given: dict[str, str], level: Level, words: str) -> None:
    found = accounts.slack(settings({f"SLACK_{name}": value for name, value in given.items()}))
    assert (found.level, words in found.said) == (level, True), found
    assert found.level is Level.GOOD or found.mend
    assert SECRET not in f"{found}"


@pytest.mark.parametrize(
    ("token", "level"),
    [
        ("", Level.GOOD),
        (DISCORD, Level.GOOD),
        (f"Bot {DISCORD}", Level.BAD),
        (SECRET, Level.BAD),
        (f"!{DISCORD}", Level.BAD),
        (f"{'x' * 24}.GabcdE.{'x' * 30}", Level.BAD),
    ],
)
def test_discords_token(settings: Setter, token: str, level: Level) -> None:
    found = accounts.discord(settings({"DISCORD_TOKEN": token}))
    assert found.level is level
    assert "x" * 20 not in f"{found}"


def test_a_data_folder_is_looked_at_without_being_made(settings: Setter, tmp_path: Path) -> None:
    assert machine.data_folder(settings()).level is not Level.BAD
    assert list(tmp_path.iterdir()) == []


def test_a_data_folder_that_is_a_file_is_wrong(settings: Setter, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    found = machine.data_folder(settings())
    assert (found.level, found.said) == (Level.BAD, f"{tmp_path / 'data'} is not a folder")


@pytest.mark.parametrize(
    ("folder", "why"), [("/dev/null", "it is not a folder"), (f"/tmp/{'x' * 150}", "it is 155 bytes long")]
)
async def test_a_data_folder_that_no_stack_can_run_on_is_one_line(settings: Setter, folder: str, why: str) -> None:
    settings({"THREADWORK_DATA_DIR": folder})
    wrong = [finding for finding in await examine(None) if finding.level is Level.BAD]
    assert [finding.what for finding in wrong] == ["Data folder"]
    assert why in wrong[0].said
    assert "Example: THREADWORK_DATA_DIR=" in wrong[0].said


def test_a_data_folder_that_nobody_may_write_to_is_wrong(settings: Setter) -> None:
    found = machine.data_folder(settings({"THREADWORK_DATA_DIR": "/proc/threadwork"}))
    assert (found.level, "/proc cannot be written to" in found.said) == (Level.BAD, True), found


def test_the_secret_is_looked_at_without_being_made(settings: Setter, tmp_path: Path) -> None:
    assert "will be made" in machine.secret(settings()).said
    assert list(tmp_path.iterdir()) == []
    find_secret(None, tmp_path / "data")
    assert "kept in" in machine.secret(settings()).said
    (tmp_path / "data" / FILE).chmod(0o644)
    assert "chmod 600" in machine.secret(settings()).said
    assert machine.secret(settings()).level is Level.BAD


def test_a_wrong_secret_is_wrong(settings: Setter) -> None:
    found = machine.secret(settings({"THREADWORK_SECRET_KEY": SECRET}))
    assert found.level is Level.BAD
    assert SECRET not in f"{found}"


def test_machines_that_share_a_database_must_share_the_secret(settings: Setter) -> None:
    found = machine.secret(settings({"DATABASE_URL": "postgresql://db/tw"}))
    assert (found.level, "same THREADWORK_SECRET_KEY" in found.mend) == (Level.NOTE, True)


@pytest.mark.parametrize(
    ("instances", "files", "level"),
    [("128", "8192", Level.GOOD), ("79", "8192", Level.NOTE), ("128", "8191", Level.NOTE), ("x", "", Level.NOTE)],
)
def test_file_watches(settings: Setter, tmp_path: Path, instances: str, files: str, level: Level) -> None:
    (tmp_path / "max_user_instances").write_text(f"{instances}\n")
    (tmp_path / "max_user_watches").write_text(f"{files}\n")
    assert machine.watches(settings(), tmp_path).level is level


def test_no_isolation_is_said_loudly(settings: Setter) -> None:
    found = machine.walls(settings({"THREADWORK_UNSAFE_NO_ISOLATION": "1"}))
    assert (found.level, "NO ISOLATION" in found.said) == (Level.NOTE, True)


def test_missing_bubblewrap_is_named_with_the_command_that_installs_it(
    settings: Setter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = settings()
    monkeypatch.setenv("PATH", str(tmp_path))
    found = machine.walls(made)
    assert (found.level, "apt-get install -y bubblewrap" in found.said) == (Level.BAD, True)


async def test_the_agents_program_says_its_version(settings: Setter) -> None:
    found = await machine.agent_program(settings())
    assert (found.level, "Claude Code" in found.said) == (Level.GOOD, True), found


@pytest.mark.parametrize(
    ("script", "said"), [("echo broken; exit 3", "ended with 3 and said: broken"), (":", "nothing")]
)
async def test_a_program_that_does_not_run_is_wrong(settings: Setter, tmp_path: Path, script: str, said: str) -> None:
    cli = tmp_path / "claude"
    cli.write_text(f"#!/bin/sh\n{script}\n")
    cli.chmod(0o755)
    found = await machine.agent_program(settings(), cli)
    assert (found.level, said in found.said) == (Level.BAD, True), found
    assert (await machine.agent_program(settings(), tmp_path / "none")).level is Level.BAD
    with_template = settings(CLOUD | {"E2B_TEMPLATE": "threadwork"})
    assert (await machine.agent_program(with_template, cli)).level is Level.NOTE


def test_a_name_that_is_almost_a_setting_is_told(
    settings: Setter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings()
    monkeypatch.setenv("THREADWORK_WORKER", "2")
    (tmp_path / ".env").write_text("THREADWORK_QQQQ=1\nSOMETHING_ELSE=2\n")
    assert list(unknown_settings()) == [
        ("THREADWORK_QQQQ is not a setting", "See .env.example."),
        ("THREADWORK_WORKER is not a setting", "Did you mean THREADWORK_WORKERS?"),
    ]


async def test_a_machine_with_nothing_set_is_fit(
    settings: Setter, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    settings()
    code = await run_doctor(None)
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert code == 0, out
    assert len(lines) == 16
    assert all(line[:2] in {"✓ ", "! "} for line in lines[:-2])
    assert "\x1b" not in out
    assert lines[-1] == "All that is needed is there."
    assert list(tmp_path.iterdir()) == []


async def test_a_model_that_nobody_serves_fails(settings: Setter, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = "http://127.0.0.1:1"
    settings({"ANTHROPIC_API_KEY": f"sk-ant-{SECRET}", "ANTHROPIC_BASE_URL": nowhere, "NO_PROXY": "*"})
    code = await run_doctor(None)
    out = capsys.readouterr().out
    assert code == 1
    assert "✗ Model: 127.0.0.1:1 does not answer" in out
    assert SECRET not in out


async def test_every_wrong_setting_is_told_and_fails(settings: Setter, capsys: pytest.CaptureFixture[str]) -> None:
    settings()
    os.environ["THREADWORK_WORKERS"] = "0"
    os.environ["SLACK_PORT"] = "x"
    try:
        code = await run_doctor(None)
    finally:
        del os.environ["THREADWORK_WORKERS"], os.environ["SLACK_PORT"]
    out = capsys.readouterr().out
    assert code == 1
    assert "✗ Settings: THREADWORK_WORKERS is wrong" in out
    assert "✗ Settings: SLACK_PORT is wrong" in out
    assert out.splitlines()[-1] == "2 to mend."


async def test_a_line_of_the_file_that_cannot_be_read_is_told_and_fails(
    settings: Setter, capsys: pytest.CaptureFixture[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings()
    (tmp_path / ".env").write_text('\nTHREADWORK_MODE="plan\n')
    code = await run_doctor(None)
    out = capsys.readouterr().out
    assert code == 1
    assert f"✗ Settings: {tmp_path}/.env, line 2: THREADWORK_MODE cannot be read" in out
    assert caplog.text == ""


async def test_without_these_characters_it_says_so_in_letters(
    settings: Setter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings({"DISCORD_TOKEN": SECRET, "THREADWORK_SECRET_KEY": SECRET})
    with (tmp_path / "out").open("w", encoding="ascii") as out:
        monkeypatch.setattr(sys, "stdout", out)
        code = await run_doctor(tmp_path / "other")
        monkeypatch.undo()
    text = (tmp_path / "out").read_text()
    assert code == 1
    assert "XX Discord: DISCORD_TOKEN does not look like" in text
    assert f"ok Data folder: {tmp_path / 'other'}" in text
    assert text.endswith("\n2 to mend.\n")
    assert SECRET not in text


def test_the_embedded_valkey_is_a_program() -> None:
    found: Any = binary()
    assert os.access(found, os.X_OK)
