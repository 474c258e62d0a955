"""Sign in with Discord: where a person says yes, and what Discord then says of them.

OAuth2's code flow with PKCE, https://docs.discord.com/developers/topics/oauth2. The token is used here and dropped.
Next: `bots/web/vouched.py`.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp

from core.domain.access import Access
from core.domain.chat import Platform
from core.errors import BadInput, Misconfigured, NotAllowed, Unavailable
from core.ports import Knock, Voucher
from core.surfaces.discord.rest import API_URL, USER_AGENT

WEB_URL: Final = "https://discord.com"
SCOPES: Final = "identify guilds"
CALL_S: Final = 10.0
# https://docs.discord.com/developers/topics/permissions: ADMINISTRATOR and MANAGE_GUILD.
_RUNS_IT: Final = 1 << 3 | 1 << 5
# Nobody is in more guilds than this, so one page is all of them.
_MOST_GUILDS: Final = 200


class DiscordVouches:
    """`core.ports.Vouches` by Discord. `client` is the app's id and secret."""

    def __init__(
        self,
        client: tuple[str, str],
        session: aiohttp.ClientSession,
        api_url: str = API_URL,
        web_url: str = WEB_URL,
    ) -> None:
        self._client = client
        self._session = session
        self._api_url = api_url.rstrip("/")
        self._web_url = web_url.rstrip("/")

    def page(self, knock: Knock, back: str) -> str:
        """Discord's page that asks the person."""
        asked = {
            "response_type": "code",
            "scope": SCOPES,
            "client_id": self._client[0],
            "state": knock.state,
            "redirect_uri": back,
            "prompt": "none",
            "code_challenge": challenge_of(knock.verifier),
            "code_challenge_method": "S256",
        }
        return f"{self._web_url}/oauth2/authorize?{urlencode(asked)}"

    async def vouch(self, knock: Knock, code: str, back: str) -> Voucher:
        """Who came back with this code."""
        client_id, secret = self._client
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": back,
            "client_id": client_id,
            "client_secret": secret,
            "code_verifier": knock.verifier,
        }
        got = await self._call("POST", "/oauth2/token", data=form)
        headers = {"Authorization": f"Bearer {got.get('access_token')}"}
        if set(SCOPES.split()) - set(str(got.get("scope")).split()):
            raise NotAllowed("Discord was not allowed to say which servers you are in. Sign in again, and allow it.")
        person = await self._call("GET", "/users/@me", headers=headers)
        guilds = await self._call("GET", f"/users/@me/guilds?limit={_MOST_GUILDS}", headers=headers)
        try:
            name = str(person.get("global_name") or person["username"])
            return Voucher(
                Platform.DISCORD, str(person["id"]), name, {str(one["id"]): _access_of(one) for one in guilds}
            )
        except (AttributeError, KeyError, TypeError, ValueError):
            raise _unclear() from None

    async def _call(self, method: str, path: str, **more: Any) -> Any:
        headers = {"User-Agent": USER_AGENT, **more.pop("headers", {})}
        limit = aiohttp.ClientTimeout(total=CALL_S)
        try:
            async with self._session.request(
                method, self._api_url + path, headers=headers, timeout=limit, allow_redirects=False, **more
            ) as answer:
                status, body = answer.status, _read(await answer.read())
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unavailable("Discord", "it did not answer. Try again in a moment") from error
        if status == 200 and body is not None:
            return body
        raise _refused(status, body)


def challenge_of(verifier: str) -> str:
    """What a code is asked for with, so that only the holder of `verifier` can use it (RFC 7636, S256)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _access_of(guild: Mapping[str, Any]) -> Access:
    # `permissions` leaves out what is implied, as by owning the guild.
    runs_it = guild.get("owner") is True or int(guild["permissions"]) & _RUNS_IT
    return Access.ADMIN if runs_it else Access.VIEWER


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _refused(status: int, body: Any) -> Exception:
    code = body.get("error") if isinstance(body, dict) else None
    description = str(body.get("error_description") or "") if isinstance(body, dict) else ""
    if code == "invalid_client":
        return Misconfigured(
            "Discord does not know the app. Whoever runs this checks DISCORD_CLIENT_ID and its SECRET."
        )
    if code == "invalid_request" and "redirect_uri" in description:
        return Misconfigured("Discord does not know this page's address. Whoever runs this adds it: see docs/admin.md.")
    if code == "invalid_grant" or status == 401:
        return BadInput("That sign-in was used before, or took too long. Begin anew.")
    return _unclear()


def _unclear() -> Unavailable:
    return Unavailable("Discord", "it did not answer as it should. Try again in a moment")
