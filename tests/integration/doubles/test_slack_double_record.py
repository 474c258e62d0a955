"""What is asked of the Slack double is held against the table of Slack's methods, and each breach fails its test."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from tests.doubles.slack import SlackDouble, rules
from tests.doubles.slack.web_api.table import METHODS
from tests.integration.doubles.slack_app import client_of

Ask = Callable[[AsyncWebClient], Awaitable[Any]]


def call(method: str, **arguments: Any) -> Ask:
    return lambda client: client.api_call(method, json=arguments)


async def ask_in_a_test(ask: Ask, *allowed: str) -> None:
    """What a test does that makes one call and does not mind how it ends."""
    async with SlackDouble() as double:
        double.allow(*allowed)
        with suppress(SlackApiError):
            await ask(client_of(double, double.workspace()))


BREACHES = [
    ("invalid_arguments", call("chat.update", channel="#general", text="x")),
    ("invalid_arguments", call("reactions.add", channel="#general", name="eyes", timestamp="now")),
    ("unknown_argument", call("auth.test", colour="red")),
    ("unknown_method", call("chat.shout", channel="#general", text="x")),
    ("invalid_name", call("reactions.add", channel="#general", name=":eyes:", timestamp="1.000001")),
    (
        "metadata_too_large",
        call(
            "chat.postMessage",
            channel="#general",
            text="x",
            metadata={"event_type": "x", "event_payload": {"x": "x" * rules.METADATA_BYTES}},
        ),
    ),
]


@pytest.mark.parametrize(("code", "ask"), BREACHES)
async def test_a_breach_fails_the_test_though_it_looks_away(code: str, ask: Ask) -> None:
    with pytest.raises(AssertionError, match=f"rules were broken:\n.*{code}"):
        await ask_in_a_test(ask)


@pytest.mark.parametrize(("code", "ask"), BREACHES)
async def test_a_breach_that_was_announced_fails_nothing(code: str, ask: Ask) -> None:
    await ask_in_a_test(ask, code)


def test_every_method_is_in_the_table_and_its_arguments_are_the_real_clients() -> None:
    assert set(METHODS) == set(rules.REQUIRED)
    assert set(rules.SCOPES) | set(rules.BY_KIND) <= set(METHODS)
    for method in METHODS:
        assert hasattr(AsyncWebClient, method.replace(".", "_")), method
