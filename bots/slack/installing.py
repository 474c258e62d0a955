"""Installing the app in a workspace: a page with a button, and the address Slack sends people back to.

The state that goes to Slack and comes back is signed and runs out; the browser that began holds its other half in a
cookie, so nobody ends an installation that another began. Any bot process may get what another began.
Next: `core/surfaces/slack/tokens.py`.
"""

import hashlib
import hmac
import html
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlencode

import structlog
from aiohttp import web

from bots.slack.manifest import SCOPES
from core.errors import ThreadworkError
from core.surfaces.slack.tokens import SlackTokens

log = structlog.get_logger(__name__)
INSTALL: Final = "/slack/install"
BACK: Final = "/slack/oauth_redirect"
AUTHORIZE: Final = "https://slack.com/oauth/v2/authorize"
STATE_S: Final = 600
_COOKIE: Final = "threadwork-install"
_PAGE: Final = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Threadwork</title>
<meta name="viewport" content="width=device-width"><style>
body{font:1.1rem/1.5 system-ui;max-width:34rem;margin:15vh auto;padding:0 1rem}
a.button{background:#4a154b;color:#fff;padding:.7em 1.2em;border-radius:.4em;text-decoration:none}
</style></head><body>%s</body></html>"""
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
Serve = Callable[[web.Request], Awaitable[web.Response]]


class Installing:
    """The two pages. `secret` signs; it is the program's own."""

    def __init__(self, tokens: SlackTokens, client_id: str, secret: bytes) -> None:
        self._tokens = tokens
        self._client_id = client_id
        self._key = hmac.digest(secret, b"slack-install", hashlib.sha256)

    @property
    def routes(self) -> tuple[web.RouteDef, ...]:
        """For an HTTP server."""
        return (web.get(INSTALL, self._begin), web.get(BACK, self._end))

    async def _begin(self, _request: web.Request) -> web.Response:
        nonce = secrets.token_urlsafe(24)
        state = self._state(nonce, int(time.time()) + STATE_S)
        asked = {"client_id": self._client_id, "scope": ",".join(SCOPES), "state": state}
        link = html.escape(f"{AUTHORIZE}?{urlencode(asked)}")
        button = f'<p><a class="button" href="{link}">Add to Slack</a></p>'
        answer = _page(f"<h1>Threadwork</h1><p>Coding agents in threads.</p>{button}")
        answer.set_cookie(_COOKIE, nonce, max_age=STATE_S, path="/slack/", secure=True, httponly=True, samesite="Lax")
        return answer

    async def _end(self, request: web.Request) -> web.Response:
        if not self._is_ours(request.query.get("state", ""), request.cookies.get(_COOKIE, "")):
            return _page(_failed("It took too long, or began in another browser."), 400)
        if "error" in request.query or not request.query.get("code"):
            return _page(_failed("Slack was not allowed to install it."), 400)
        try:
            installed = await self._tokens.install(request.query["code"])
        except ThreadworkError as error:
            log.warning("not_installed", why=str(error))
            return _page(_failed(error.words), 502 if error.retryable else 400)
        log.info("installed", team=installed.tenant)
        answer = _page("<h1>Installed</h1><p>Invite it to a channel (/invite @Threadwork), and mention it.</p>")
        answer.del_cookie(_COOKIE, path="/slack/")
        return answer

    def _state(self, nonce: str, until: int) -> str:
        signature = hmac.new(self._key, f"{until}.{nonce}".encode(), hashlib.sha256).hexdigest()
        return f"{until}.{signature}"

    def _is_ours(self, state: str, nonce: str) -> bool:
        until, _, _ = state.partition(".")
        if not (until.isascii() and until.isdigit()) or int(until) < time.time() or not nonce:
            return False
        return hmac.compare_digest(self._state(nonce, int(until)).encode(), state.encode())


def _page(words: str, status: int = 200) -> web.Response:
    return web.Response(text=_PAGE % words, content_type="text/html", status=status, headers=_HEADERS)


def _failed(why: str) -> str:
    return f'<h1>Not installed</h1><p>{html.escape(why)}</p><p><a href="{INSTALL}">Begin anew</a></p>'
