"""Sign in with Slack: where a person says yes, and what Slack then says of them.

OpenID Connect, https://docs.slack.dev/authentication/sign-in-with-slack. The tokens are used here and dropped; what
somebody is in the workspace is asked with the app's own token. Next: `bots/web/vouched.py`.
"""

import asyncio
import base64
import binascii
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from core.domain.access import Access
from core.domain.chat import Platform
from core.errors import BadInput, Misconfigured, NotAllowed, Unavailable
from core.ports import Knock, Voucher
from core.surfaces.slack.client import API_URL

WEB_URL: Final = "https://slack.com"
SCOPES: Final = "openid profile"
CALL_S: Final = 10.0
# How far Slack's clock and ours may differ.
_SKEW_S: Final = 60
_TEAM: Final = "https://slack.com/team_id"
_USER: Final = "https://slack.com/user_id"
_LATE: Final = frozenset({"invalid_code", "code_already_used", "code_expired"})
TokenOf = Callable[[str], Awaitable[str | None]]


class SlackVouches:
    """`core.ports.Vouches` by Slack. `client` is the app's id and secret; `token_of` finds a workspace's bot token."""

    def __init__(
        self,
        client: tuple[str, str],
        token_of: TokenOf,
        session: aiohttp.ClientSession,
        api_url: str = API_URL,
        web_url: str = WEB_URL,
    ) -> None:
        self._client = client
        self._token_of = token_of
        self._web = AsyncWebClient(base_url=api_url, session=session, retry_handlers=[], timeout=int(CALL_S))
        self._web_url = web_url.rstrip("/")

    def page(self, knock: Knock, back: str) -> str:
        """Slack's page that asks the person."""
        asked = {
            "response_type": "code",
            "scope": SCOPES,
            "client_id": self._client[0],
            "state": knock.state,
            "nonce": knock.nonce,
            "redirect_uri": back,
        }
        return f"{self._web_url}/openid/connect/authorize?{urlencode(asked)}"

    async def vouch(self, knock: Knock, code: str, back: str) -> Voucher:
        """Who came back with this code."""
        client_id, secret = self._client
        got = await _asked(
            self._web.openid_connect_token(
                client_id, secret, code=code, redirect_uri=back, grant_type="authorization_code"
            )
        )
        claims = claims_of(str(got.get("id_token")), self._web_url, client_id, knock.nonce, time.time())
        told = await _asked(self._web.openid_connect_userInfo(token=str(got.get("access_token"))))
        # OpenID Connect Core, 5.3.2: an answer about somebody else must not be used.
        if not claims.get("sub") or told.get("sub") != claims["sub"]:
            raise NotAllowed("Slack spoke of two different people. Sign in again.")
        team, user = str(told.get(_TEAM) or ""), str(told.get(_USER) or "")
        access = await self._access_in(team, user)
        return Voucher(Platform.SLACK, user, str(told.get("name") or user), {team: access})

    async def _access_in(self, team: str, user: str) -> Access:
        token = await self._token_of(team)
        found: Mapping[str, Any] = {}
        if token is not None:
            try:
                found = (await _asked(self._web.users_info(user=user, token=token))).get("user") or {}
            except _Stranger:
                found = {}
        # With the token of one workspace, Slack may also tell of people of another that shares a channel with it.
        if not team or found.get("team_id") != team:
            raise NotAllowed(
                "Threadwork is not installed in the Slack workspace you signed in with. Take another workspace, "
                "or have an admin install it there."
            )
        if any(found.get(flag) for flag in ("deleted", "is_bot", "is_restricted", "is_ultra_restricted")):
            raise NotAllowed("Guests of the workspace may not look in here. Ask an admin for a link.")
        is_admin = any(found.get(flag) for flag in ("is_admin", "is_owner", "is_primary_owner"))
        return Access.ADMIN if is_admin else Access.VIEWER


class _Stranger(NotAllowed):
    """The workspace knows no such person."""


def claims_of(id_token: str, issuer: str, client_id: str, nonce: str, now: float) -> Mapping[str, Any]:
    """What an ID token says, checked. Raises `NotAllowed` for one that is not good.

    Its signature is not: the token came from Slack itself by TLS, which OpenID Connect Core 3.1.3.7 (6) takes instead.
    """
    try:
        payload = id_token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        until = float(claims["exp"])
        audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        is_good = claims["iss"] == issuer and audience == [client_id] and claims["nonce"] == nonce
    except (binascii.Error, IndexError, KeyError, TypeError, ValueError):
        raise NotAllowed("What Slack said of you cannot be read. Sign in again.") from None
    if not (is_good and now < until + _SKEW_S):
        raise NotAllowed("What Slack said of you was not meant for this sign-in. Sign in again.")
    return dict(claims)


async def _asked(call: Awaitable[Any]) -> Mapping[str, Any]:
    try:
        async with asyncio.timeout(CALL_S):
            answer = await call
    except SlackApiError as error:
        raise _refused(error) from error
    except (TimeoutError, aiohttp.ClientError, SlackClientError, OSError, AttributeError, ValueError) as error:
        # The client stumbles over a body that is no JSON, as something between us and Slack may send.
        raise Unavailable("Slack", "it did not answer. Try again in a moment") from error
    return answer.data if isinstance(answer.data, dict) else {}


def _refused(error: SlackApiError) -> Exception:
    data = getattr(error.response, "data", None)
    code = str(data.get("error") or "") if isinstance(data, dict) else ""
    if code in _LATE:
        return BadInput("That sign-in was used before, or took too long. Begin anew.")
    if code in {"user_not_found", "user_not_visible"}:
        return _Stranger("The workspace knows no such person.")
    if code in {"invalid_client_id", "bad_client_secret"}:
        return Misconfigured("Slack does not know the app. Whoever runs this checks SLACK_CLIENT_ID and its SECRET.")
    if code == "bad_redirect_uri":
        return Misconfigured("Slack does not know this page's address. Whoever runs this adds it: see docs/admin.md.")
    if code in {"invalid_auth", "token_revoked", "account_inactive", "token_expired", "missing_scope"}:
        return Misconfigured(f"Slack does not take the app's token ({code}). An admin must install the app again.")
    return Unavailable("Slack", "it did not answer as it should. Try again in a moment")
