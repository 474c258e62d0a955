"""What `threadwork doctor` says of the model's server: that it answers, refuses the credential, or is not there."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from core.settings import Settings
from tests.doubles.anthropic import AnthropicDouble
from threadwork.checks.finding import Level
from threadwork.checks.model_live import model_live

KEY = "sk-ant-api03-hunter2hunter2"
TOKEN = "sk-ant-oat01-hunter2hunter2"


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of whoever runs the tests, and no proxy."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("NO_PROXY", "*")


def settings_for(url: str, **more: Any) -> Settings:
    given = {name: SecretStr(value) for name, value in (more or {"anthropic_api_key": KEY}).items()}
    return Settings(_env_file=None, anthropic_base_url=url, **given)  # type: ignore[call-arg,arg-type]


@pytest.fixture
def nowhere() -> Iterator[str]:
    """The address of a port that is taken, and where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@asynccontextmanager
async def answering(status: int) -> AsyncIterator[str]:
    """A server that has one answer to everything."""

    async def answer(request: web.Request) -> web.Response:
        del request
        return web.Response(status=status)

    app = web.Application()
    app.router.add_get("/{rest:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_a_server_that_takes_the_credential_answers_and_nothing_is_spent() -> None:
    async with AnthropicDouble(credential=KEY) as double:
        found = await model_live(settings_for(f"{double.url}/"))
    assert (found.level, found.said) == (
        Level.GOOD,
        f"ANTHROPIC_API_KEY at 127.0.0.1; 127.0.0.1:{double.port} answers",
    )
    assert [(seen.method, seen.path) for seen in double.requests] == [("GET", "/v1/models")]
    assert "anthropic-version" in double.requests[0].headers


async def test_a_refused_credential_is_named_and_not_shown() -> None:
    async with AnthropicDouble(credential="another") as double:
        found = await model_live(settings_for(double.url))
    assert (found.level, found.said) == (Level.BAD, f"127.0.0.1:{double.port} refuses ANTHROPIC_API_KEY (401)")
    assert "ANTHROPIC_API_KEY" in found.mend
    assert "hunter2" not in f"{found}"


async def test_a_server_that_is_not_there_is_wrong(nowhere: str) -> None:
    found = await model_live(settings_for(f"http://us:hunter2@{nowhere}"))
    assert (found.level, f"{nowhere} does not answer" in found.said) == (Level.BAD, True), found
    assert "ANTHROPIC_BASE_URL" in found.mend
    assert "hunter2" not in f"{found}"


@pytest.mark.parametrize(
    ("status", "name", "value", "level"),
    [
        (404, "anthropic_api_key", KEY, Level.GOOD),
        (302, "anthropic_auth_token", TOKEN, Level.GOOD),
        (403, "anthropic_api_key", KEY, Level.BAD),
        (403, "anthropic_auth_token", TOKEN, Level.BAD),
        (401, "claude_code_oauth_token", TOKEN, Level.BAD),
        (403, "claude_code_oauth_token", TOKEN, Level.NOTE),
        (503, "anthropic_api_key", KEY, Level.NOTE),
    ],
)
async def test_whatever_else_it_answers_it_is_there(status: int, name: str, value: str, level: Level) -> None:
    async with answering(status) as url:
        found = await model_live(settings_for(url, **{name: value}))
    assert found.level is level, found
    assert name.upper() in found.said
    assert "hunter2" not in f"{found}"


async def test_without_a_credential_nobody_is_asked() -> None:
    async with AnthropicDouble() as double:
        found = await model_live(Settings(_env_file=None, anthropic_base_url=double.url))  # type: ignore[call-arg]
        wrong = await model_live(settings_for(double.url, anthropic_api_key=f"{KEY}\u00e9"))
    assert (found.level, "scripted model" in found.said) == (Level.NOTE, True)
    assert wrong.level is Level.BAD
    assert double.requests == []
