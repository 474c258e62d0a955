"""What the bot itself calls in Slack: reactions, words to one person, forms, the home tab, names, earlier messages.

One `SlackWeb` a workspace. Every call is bounded, and what Slack refuses becomes one of our errors, with words that
an admin can act on. The posts of a turn are not made here but by the worker. Next: `people.py`.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final, TypeVar

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from core.errors import Ambiguous, Misconfigured, PlaceGone, RateLimited, SurfaceError, ThreadworkError

T = TypeVar("T")
CALL_S: Final = 10.0
# A modal's trigger is good for three seconds; what comes later is of no use.
TRIGGER_S: Final = 3.0
_PLACE_GONE: Final = frozenset(
    {"channel_not_found", "is_archived", "not_in_channel", "thread_not_found", "message_not_found"}
)
_TOKEN_WRONG: Final = frozenset(
    {"account_inactive", "invalid_auth", "not_authed", "not_allowed_token_type", "token_expired", "token_revoked"}
)


class SlackWeb:
    """Slack as one workspace's app calls it."""

    def __init__(self, token: str, base_url: str, session: aiohttp.ClientSession) -> None:
        # A call that got no answer may have been carried out: whether to make it again is for the caller to say.
        self._session = session
        self.client = AsyncWebClient(token, base_url, session=session, retry_handlers=[], timeout=int(CALL_S))

    async def whoami(self) -> Mapping[str, Any]:
        """`auth.test`: the app's user, bot and workspace. Raises `Misconfigured` for a token that Slack refuses."""
        return _data(await _bounded(self.client.auth_test()))

    async def whoami_and_scopes(self) -> tuple[Mapping[str, Any], frozenset[str]]:
        """`auth.test`, and the scopes that the token has. Raises `Misconfigured` for a token that Slack refuses."""
        answer = await _bounded(self.client.auth_test())
        headers = {str(name).lower(): str(value) for name, value in answer.headers.items()}
        return _data(answer), frozenset(
            one.strip() for one in headers.get("x-oauth-scopes", "").split(",") if one.strip()
        )

    async def socket_address(self, app_token: str) -> str:
        """Where a socket of the app may be opened, once."""
        return str((await _bounded(self.client.apps_connections_open(app_token=app_token)))["url"])

    async def react(self, channel: str, ts: str, emoji: str) -> None:
        """Put our reaction on a message; one that is there is fine."""
        await _harmless({"already_reacted"}, self.client.reactions_add(channel=channel, timestamp=ts, name=emoji))

    async def unreact(self, channel: str, ts: str, emoji: str) -> None:
        """Take our reaction off; one that is not there is fine."""
        await _harmless({"no_reaction"}, self.client.reactions_remove(channel=channel, timestamp=ts, name=emoji))

    async def whisper(self, channel: str, user: str, text: str, thread: str | None = None) -> None:
        """Say something that one person sees alone."""
        await _bounded(self.client.chat_postEphemeral(channel=channel, user=user, text=text, thread_ts=thread))

    async def post(self, channel: str, text: str, thread: str | None = None) -> str:
        """Say something for all; its `ts`."""
        made = await _bounded(
            self.client.chat_postMessage(
                channel=channel, text=text, thread_ts=thread, unfurl_links=False, unfurl_media=False
            )
        )
        return str(made["ts"])

    async def delete(self, channel: str, ts: str) -> None:
        """Take a post of ours away; one that is gone is fine."""
        await _harmless({"message_not_found"}, self.client.chat_delete(channel=channel, ts=ts))

    async def respond(self, url: str, text: str) -> None:
        """Answer a command, for the person alone."""
        await _bounded(self._respond(url, {"response_type": "ephemeral", "text": text}))

    async def open_form(self, trigger: str, view: Mapping[str, Any]) -> str:
        """Open a modal on a fresh trigger; its id."""
        made = await _bounded(self.client.views_open(trigger_id=trigger, view=dict(view)), TRIGGER_S)
        return str(made["view"]["id"])

    async def change_form(self, view_id: str, view: Mapping[str, Any]) -> None:
        """Change what a modal shows; one that was closed meanwhile is fine."""
        await _harmless({"not_found"}, self.client.views_update(view_id=view_id, view=dict(view)))

    async def _respond(self, url: str, body: Mapping[str, Any]) -> None:
        async with self._session.post(url, json=body) as answer:
            if answer.status >= 400:
                raise SurfaceError(f"Slack took no answer to a command: {answer.status} {await answer.text()}")

    async def set_status(self, channel: str, thread: str, words: str) -> None:
        """Show beside the app's name what it does, until it posts; no words take it away."""
        await _bounded(self.client.assistant_threads_setStatus(channel_id=channel, thread_ts=thread, status=words))

    async def entitle(self, channel: str, thread: str, title: str) -> None:
        """Call a thread of the agent's container something."""
        await _bounded(self.client.assistant_threads_setTitle(channel_id=channel, thread_ts=thread, title=title))

    async def suggest(self, channel: str, thread: str, title: str, prompts: Sequence[tuple[str, str]]) -> None:
        """Offer messages, each with a title, to begin a thread of the agent's container with."""
        offered = [{"title": name, "message": message} for name, message in prompts]
        await _bounded(
            self.client.assistant_threads_setSuggestedPrompts(
                channel_id=channel, thread_ts=thread, title=title, prompts=offered
            )
        )

    async def show_home(self, user: str, view: Mapping[str, Any]) -> None:
        """Set somebody's home tab."""
        await _bounded(self.client.views_publish(user_id=user, view=dict(view)))

    async def person(self, user: str) -> Mapping[str, Any]:
        """A user as `users.info` tells it."""
        return dict((await _bounded(self.client.users_info(user=user)))["user"])

    async def replies(
        self, channel: str, thread: str, *, after: str, before: str, page: str | None
    ) -> Mapping[str, Any]:
        """A page of a thread's messages strictly between two times, oldest first."""
        answer = await _bounded(
            self.client.conversations_replies(
                channel=channel, ts=thread, oldest=after, latest=before, limit=200, cursor=page or None
            )
        )
        return _data(answer)


def _data(answer: Any) -> Mapping[str, Any]:
    return dict(answer.data)


async def _harmless(codes: set[str], call: Awaitable[Any]) -> None:
    try:
        await _bounded(call)
    except SurfaceError as error:
        if not isinstance(error.__cause__, SlackApiError) or code_of(error.__cause__) not in codes:
            raise


async def _bounded(call: Awaitable[T], seconds: float = CALL_S) -> T:
    try:
        async with asyncio.timeout(seconds):
            return await call
    except SlackApiError as error:
        raise _refused(error) from error
    except (TimeoutError, aiohttp.ClientError, SlackClientError, OSError) as error:
        raise Ambiguous(f"Slack did not answer: {error!r}") from error


def code_of(error: SlackApiError) -> str:
    """Slack's word for what is wrong: `not_in_channel`, `missing_scope`, …"""
    # What stands between us and Slack may answer, too, with a page or a line of text.
    answer = getattr(error.response, "data", None)
    return str(answer.get("error") or "") if isinstance(answer, dict) else ""


def _refused(error: SlackApiError) -> ThreadworkError:
    code = code_of(error)
    if not code:
        return Ambiguous(f"Slack did not answer: {str(error)[:300]}")
    if code in _TOKEN_WRONG:
        return Misconfigured(f"Slack refuses the token: {code}. Install the app again and set SLACK_BOT_TOKEN anew.")
    if code == "ratelimited":
        return RateLimited(float(error.response.headers.get("Retry-After", 1)), "Slack")
    if code == "missing_scope":
        needed = error.response.get("needed")
        return SurfaceError(f"The app lacks the scope {needed}. Add it to the app and install it again.")
    if code in _PLACE_GONE:
        return PlaceGone(_PLACE_WORDS.get(code, f"Slack says {code}."))
    return SurfaceError(f"Slack says {code}.")


_PLACE_WORDS: Final = {
    "not_in_channel": "I am not in this channel. Invite me first: /invite @Threadwork",
    "channel_not_found": "I am not in this channel. Invite me first: /invite @Threadwork",
    "is_archived": "This channel is archived.",
    "thread_not_found": "The thread is gone.",
    "message_not_found": "The message is gone.",
}
