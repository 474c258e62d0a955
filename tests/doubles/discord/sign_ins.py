"""Signing in with Discord by OAuth2: the page that sends a browser back at once, the codes, and people's tokens.

https://docs.discord.com/developers/topics/oauth2#authorization-code-grant. PKCE is held to where it was begun.
"""

import base64
import hashlib
import secrets
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from tests.doubles.discord.errors import ApiError
from tests.doubles.discord.record import Call, Record
from tests.doubles.discord.routes import Route
from tests.doubles.discord.world import JSON, User, World

CLIENT_SECRET = "made-up-client-secret"
# What a person's token opens, by the scope it needs.
_SCOPES = {"/users/@me": "identify", "/users/@me/guilds": "guilds"}
_CODE_SECONDS = 600


class OAuthError(ApiError):
    """A refusal in the shape of RFC 6749, 5.2."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(status, 0, error)
        self.description = description

    def body(self) -> dict[str, Any]:
        return {"error": self.message, "error_description": self.description}


class SignIns:
    """Sign-ins of one double. `redirect_uris` are those the app registered; `grants` narrows what people allow."""

    def __init__(self, world: World, record: Record) -> None:
        self.world = world
        self.record = record
        self.client_secret = CLIENT_SECRET
        self.redirect_uris: list[str] = []
        self.at_browser: User | None = None
        self.denies = False
        self.grants: str | None = None
        self._codes: dict[str, JSON] = {}
        self._tokens: dict[str, tuple[User, list[str]]] = {}

    def table(self) -> list[Route]:
        return [Route("POST", "/oauth2/token", self.token, by_token=True)]

    def person_of(self, template: str, credential: str) -> User | None:
        """Whose token it is, where it is good for that route."""
        user, scopes = self._tokens.get(credential.removeprefix("Bearer "), (None, []))
        return user if _SCOPES.get(template) in scopes else None

    def new_code(self, user: User, asked: JSON) -> str:
        """A code as the page gives it for somebody who said yes."""
        code = secrets.token_hex(15)
        self._codes[code] = {**asked, "user": user, "at": self.world.clock.now()}
        return code

    async def page(self, request: web.Request) -> web.Response:
        asked = dict(request.query)
        wrong = self._wrong(asked)
        if wrong:
            self.record.add("oauth2-authorize", wrong)
            return web.Response(status=400, text=wrong)
        if self.at_browser is None:
            return web.Response(text="Welcome back!")
        back = {"state": asked.get("state", "")}
        if self.denies:
            back |= {"error": "access_denied", "error_description": "The resource owner denied the request"}
        else:
            back["code"] = self.new_code(self.at_browser, asked)
        return web.Response(status=302, headers={"Location": f"{asked['redirect_uri']}?{urlencode(back)}"})

    def _wrong(self, asked: JSON) -> str:
        if asked.get("client_id") != self.world.app_id:
            return "Unknown Application"
        if asked.get("redirect_uri") not in self.redirect_uris:
            return "Invalid OAuth2 redirect_uri"
        if asked.get("response_type") != "code" or not set(asked.get("scope", "").split()) <= set(_SCOPES.values()):
            return "Invalid response_type or scope"
        if not asked.get("state"):
            return "no state"
        return "" if asked.get("code_challenge_method", "S256") == "S256" else "Invalid code_challenge_method"

    def token(self, call: Call) -> JSON:
        form = call.body if isinstance(call.body, dict) else {}
        if form.get("client_id") != self.world.app_id or form.get("client_secret") != self.client_secret:
            raise OAuthError("invalid_client", "", 401)
        if form.get("grant_type") != "authorization_code":
            raise OAuthError("unsupported_grant_type", "")
        code = self._codes.get(str(form.get("code")))
        if code is None or self.world.clock.now() - code["at"] > _CODE_SECONDS:
            raise OAuthError("invalid_grant", 'Invalid "code" in request.')
        if form.get("redirect_uri") != code["redirect_uri"]:
            raise OAuthError("invalid_request", 'Invalid "redirect_uri" in request.')
        if "code_challenge" in code and _challenge(str(form.get("code_verifier"))) != code["code_challenge"]:
            raise OAuthError("invalid_grant", 'Invalid "code_verifier" in request.')
        del self._codes[str(form["code"])]
        value, scope = secrets.token_urlsafe(22), self.grants or code["scope"]
        self._tokens[value] = code["user"], scope.split()
        return {
            "token_type": "Bearer",
            "access_token": value,
            "expires_in": 604_800,
            "refresh_token": secrets.token_urlsafe(22),
            "scope": scope,
        }


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
