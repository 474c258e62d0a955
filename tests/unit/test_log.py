"""What leaves the program by its log: everything that happened, and no credential."""

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator

import pytest
import structlog

from core.log import Changing, about, set_up

SECRETS = {
    "Anthropic's key": "sk-ant-api03-abcdefghij_KLMNOP-0123456789",
    "Claude's OAuth token": "sk-ant-oat01-abcdefghijKLMNOP",
    "another model's key": "sk-proj-abcdefghijklmnop0123",
    "Slack's bot token": "xoxb-123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx",
    "Slack's app token": "xapp-1-A0123456789-1234567890123-0123456789abcdef",
    "Slack's rotated token": "xoxe.xoxb-1-Mi0yLTEyMzQ1Njc4OTA",
    "E2B's key": "e2b_0123456789abcdef0123456789abcdef",
    "Discord's token": "MTIzNDU2Nzg5MDEyMzQ1Njc4.GabcdE.abcdefghijklmnopqrstuvwxyz0123456789AB",
    "a newer Discord token": "OTIzNDU2Nzg5MDEyMzQ1Njc4MQ.GabcdE.abcdefghijklmnopqrstuvwxyz0123456789AB",
}
INSIDE = {
    "a header": ("Authorization: Bearer abcDEF123456.7890~xyz", "abcDEF123456.7890~xyz"),
    "a database's address": ("cannot reach postgresql+asyncpg://tw:hunter2@db/threadwork", "hunter2"),
    "a cache's address": ("redis://:hunter2@cache:6379/0", "hunter2"),
    "a hook of Slack's": ("POST https://hooks.slack.com/actions/T1/42/AbCdEf failed", "AbCdEf"),
    "Slack's socket": ("wss://wss-primary.slack.com/link/?ticket=abc-123&app_id=1", "abc-123"),
    "an interaction of Discord's": (
        "PATCH https://discord.com/api/v10/webhooks/123/aW50ZXJhY3Rpb246MTIzNDU2Nzg5/messages/@original",
        "aW50ZXJhY3Rpb246MTIzNDU2Nzg5",
    ),
}


@pytest.fixture(params=["text", "json"])
def logged(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """Logging set up anew; gives what was written so far."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    set_up("debug", request.param)
    yield out.getvalue
    root.handlers[:], root.level = before
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS.keys())
def test_a_credential_is_hidden_wherever_it_stands(logged: Callable[[], str], secret: str) -> None:
    log = structlog.get_logger("ours")
    log.warning(secret, text=f"before {secret} after", nested={"list": [{"deep": (secret,)}]})
    log.warning("objects", error=ValueError(secret), raw=secret.encode(), many={secret})
    logging.getLogger("theirs").warning("positional %s and %r", secret, {"x": secret})
    try:
        raise RuntimeError(f"it said {secret}")
    except RuntimeError as error:
        log.exception("ours")
        logging.getLogger("theirs").exception("theirs")
        log.warning("passed on", exc_info=error)
    assert secret not in logged()
    assert logged().count("[hidden]") >= 9


@pytest.mark.parametrize(("text", "secret"), INSIDE.values(), ids=INSIDE.keys())
def test_what_is_secret_in_a_longer_text_is_hidden(logged: Callable[[], str], text: str, secret: str) -> None:
    structlog.get_logger("ours").warning("said", text=text)
    assert secret not in logged()
    assert "[hidden]" in logged()


@pytest.mark.parametrize("name", ["token", "signing_secret", "SLACK_CLIENT_SECRET", "password", "api_key", "X-Api-Key"])
def test_what_is_called_a_secret_is_hidden_whatever_it_looks_like(logged: Callable[[], str], name: str) -> None:
    structlog.get_logger("ours").warning("said", **{name: "8f742231b10e"}, inner={name: "8f742231b10f"})
    assert "8f742231b10" not in logged()


def test_what_is_no_secret_is_kept(logged: Callable[[], str]) -> None:
    kept = {
        "chat": "01989f4e-8d1b-7c39-9a53-7f0e4f6c3f10",
        "key": "slack:T0123:C0123:1712345678.123456",
        "address": "http://127.0.0.1:3000/sandboxes",
        "socket": "unix:///tmp/tw/valkey.sock",
        "said": "the task-list was risk-free, at ann@example.com 12:30",
        "program": "sandbox-host",
    }
    structlog.get_logger("ours").info("said", tokens=1200, **kept)
    assert "[hidden]" not in logged()
    for value in (*kept.values(), "1200"):
        assert value in logged()


def test_a_record_is_one_line_of_json_with_its_chat_and_process(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        set_up("info", "json", name="worker")
        structlog.contextvars.bind_contextvars(chat="c1")
        structlog.get_logger("ours").info("turn_started", turn="t1")
        structlog.get_logger("ours").debug("unseen")
        logging.getLogger("theirs").warning("two\nlines")
        logging.getLogger("httpx").info("unseen")
    finally:
        root.handlers[:], root.level = before
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
    ours, theirs = (json.loads(line) for line in out.getvalue().splitlines())
    assert (ours["event"], ours["chat"], ours["turn"], ours["process"]) == ("turn_started", "c1", "t1", "worker")
    assert (ours["level"], theirs["level"]) == ("info", "warning")
    assert theirs["event"] == "two\nlines"
    assert theirs["process"] == "worker"


def test_a_line_of_an_error_says_what_the_error_was_about(monkeypatch: pytest.MonkeyPatch) -> None:
    out, heard = io.StringIO(), []
    monkeypatch.setattr(sys, "stderr", out)
    root = logging.getLogger()
    before = root.handlers[:], root.level
    turn = Changing()
    try:
        set_up("info", "json", on_error=lambda error, facts: heard.append((error, facts)))
        try:
            with about(chat="c1", epoch=3), about(chat="c2", turn=turn):
                turn.value = "t1"
                raise ValueError("wrong")
        except ValueError as error:
            broken = error
        turn.value = "t2"
        structlog.get_logger("ours").warning("broke", chat="here", exc_info=broken)
        structlog.get_logger("ours").warning("unsaid", why=broken)
        logging.getLogger("theirs").error("a sentence", exc_info=broken)
    finally:
        root.handlers[:], root.level = before
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
    ours, unsaid, theirs = (json.loads(line) for line in out.getvalue().splitlines())
    assert (ours["chat"], ours["turn"], ours["epoch"]) == ("here", "t1", "3")
    assert (theirs["chat"], theirs["turn"], theirs["epoch"]) == ("c2", "t1", "3")
    assert "turn" not in unsaid
    assert [error for error, _ in heard] == [broken, broken]
    assert [facts["event"] for _, facts in heard] == ["broke", "theirs"]
