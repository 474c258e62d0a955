"""`threadwork doctor slack`: asks Slack itself whether the tokens, the scopes and the socket are good.

Nothing is posted. Which events the app is subscribed to, Slack tells nobody but the app's own page.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import aiohttp

from bots.slack.doors import SLACK_API
from bots.slack.manifest import EVENTS, EVENTS_OF_MANY, SCOPES
from bots.slack.web import SlackWeb
from core.errors import Misconfigured, ThreadworkError
from core.settings import Settings
from threadwork.checks.accounts import slack
from threadwork.checks.finding import Finding, Level, bad, good, note

_PAGES: Final = "on your app's page at https://api.slack.com/apps"
_HELLO_S: Final = 10.0
_AGAIN: Final = "Look at your network and at https://slack-status.com, and ask again."


async def slack_live(settings: Settings) -> AsyncIterator[Finding]:
    """What Slack says, in the order in which to mend it."""
    looks = slack(settings)
    yield looks
    if looks.level is Level.BAD:
        return
    async with aiohttp.ClientSession() as session:
        if settings.slack_bot_token is not None:
            token = settings.slack_bot_token.get_secret_value()
            async for finding in _bot(SlackWeb(token, settings.slack_api_url or SLACK_API, session)):
                yield finding
        if settings.slack_app_token is not None:
            token = settings.slack_app_token.get_secret_value()
            yield await _socket(SlackWeb(token, settings.slack_api_url or SLACK_API, session), token, session)
    events = [*EVENTS, *(EVENTS_OF_MANY if settings.slack_bot_token is None else ())]
    mend = f"Compare them with manifest.yaml {_PAGES}, under Event Subscriptions: {', '.join(events)}"
    yield note("Slack's events", "cannot be asked for", mend)


async def _bot(web: SlackWeb) -> AsyncIterator[Finding]:
    try:
        answer, granted = await web.whoami_and_scopes()
    except Misconfigured as error:
        mend = f"Copy SLACK_BOT_TOKEN from OAuth & Permissions {_PAGES}, or install the app again there."
        yield bad("Slack's bot token", error.words.partition(". ")[0], mend)
        return
    except ThreadworkError as error:
        yield bad("Slack's bot token", error.words, _AGAIN)
        return
    yield good("Slack's bot token", f"{answer.get('user')} in {answer.get('team')}")
    yield _scopes(granted)


def _scopes(granted: frozenset[str]) -> Finding:
    missing = sorted(set(SCOPES) - granted)
    if missing:
        mend = f"Add them under OAuth & Permissions {_PAGES}, and install the app again there."
        return bad("Slack's scopes", f"{', '.join(missing)} missing", mend)
    spare = sorted(granted - set(SCOPES))
    if spare:
        return note("Slack's scopes", f"all there, and {', '.join(spare)} for nothing", "They may be taken away.")
    return good("Slack's scopes", f"all {len(SCOPES)} there")


async def _socket(web: SlackWeb, token: str, session: aiohttp.ClientSession) -> Finding:
    what = "Slack's socket"
    try:
        address = await web.socket_address(token)
        async with asyncio.timeout(_HELLO_S), session.ws_connect(address) as socket:
            hello: Mapping[str, Any] = await socket.receive_json()
    except Misconfigured:
        mend = f"Make one with the scope connections:write under Basic Information, App-Level Tokens {_PAGES}."
        return bad(what, "Slack refuses SLACK_APP_TOKEN", mend)
    except ThreadworkError as error:
        return bad(what, error.words, f"Is Socket Mode on, {_PAGES}? {_AGAIN}")
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError, TypeError) as error:
        return bad(what, f"it does not open: {error!r}", _AGAIN)
    if hello.get("type") != "hello":
        return bad(what, f"Slack answers with {hello.get('type')}, {hello.get('reason')}", _AGAIN)
    others = int(hello.get("num_connections") or 1) - 1
    return good(what, f"opens; {others} other bots are connected" if others else "opens")
