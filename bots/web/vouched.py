"""Signing in through Slack or Discord: there, with words that only this browser has, and back.

The code flow of OAuth2. The state is good once, for ten minutes, and in the browser that began only; each platform has
a way back of its own, so that what one said is never taken for the other's. Next: `knocks.py`.
"""

import hmac
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from bots.web import knocks
from bots.web.entering import enter
from bots.web.gate import Address, Cookies
from bots.web.templating import render
from bots.web.tries import Tries
from core.domain.access import Rights, rights_in
from core.domain.chat import Platform, TenantId
from core.errors import BadInput, NotAllowed, ThreadworkError
from core.ports import Knock, Sessions, Voucher, Vouches

log = structlog.get_logger(__name__)
WITH: Final = "/sign-in/with"
Known = Callable[[Platform, Collection[str]], Awaitable[Mapping[str, TenantId]]]


class Vouched:
    """The pages. `url` is the page's own address, `known` finds which of a platform's tenants are ours."""

    def __init__(
        self,
        platforms: Mapping[Platform, Vouches],
        sessions: Sessions,
        cookies: Cookies,
        tries: Tries,
        *,
        address: Address,
        url: str,
        secret: bytes,
        known: Known,
        viewers: bool,
    ) -> None:
        self._platforms = platforms
        self._sessions = sessions
        self._cookies = cookies
        self._tries = tries
        self._url = url.rstrip("/")
        self._secret = secret
        self._known = known
        self._viewers = viewers
        self._is_secure = address.is_secure
        self._cookie = knocks.name_of(is_secure=address.is_secure)

    @property
    def routes(self) -> list[web.RouteDef]:
        """Where they are."""
        return [web.get(WITH + "/{platform}", self.go), web.get(WITH + "/{platform}/back", self.back)]

    async def go(self, request: web.Request) -> web.StreamResponse:
        """Send the browser to the platform."""
        platform, vouches = self._platform_of(request)
        if request.host.lower() != urlsplit(self._url).netloc.lower():
            # The way back leads to one name of this page, and a cookie stays with its own.
            raise web.HTTPSeeOther(f"{self._url}{WITH}/{platform}")
        knock = Knock(*(secrets.token_urlsafe(32) for _ in range(3)))
        response = web.Response(status=303, headers={"Location": vouches.page(knock, self._back(platform))})
        response.set_cookie(
            self._cookie,
            knocks.seal(self._secret, platform, knock, time.time()),
            max_age=knocks.GOOD_S,
            path="/",
            httponly=True,
            secure=self._is_secure,
            samesite="Lax",
        )
        return response

    async def back(self, request: web.Request) -> web.StreamResponse:
        """Let in who comes back, or say why not."""
        platform, vouches = self._platform_of(request)
        if not self._tries.may(request.remote or ""):
            raise web.HTTPTooManyRequests(reason="Too many tries. Wait a minute.")
        try:
            knock = self._knock_of(request, platform)
            await self._sessions.spend(knock.state)
            voucher = await vouches.vouch(knock, _code_of(request, platform), self._back(platform))
            begun = await self._sessions.admit(voucher, await self._rights_of(voucher))
        except ThreadworkError as error:
            log.warning("sign_in_refused", platform=platform.value, why=error.code, words=error.words)
            status = 400 if isinstance(error, BadInput) else 403 if isinstance(error, NotAllowed) else 503
            response: web.StreamResponse = render(request, "sign_in.html", status=status, word=None, words=error.words)
        else:
            response = await enter(request, self._sessions, self._cookies, begun)
        response.del_cookie(self._cookie, path="/", secure=self._is_secure, httponly=True, samesite="Lax")
        return response

    def _platform_of(self, request: web.Request) -> tuple[Platform, Vouches]:
        for platform, vouches in self._platforms.items():
            if platform.value == request.match_info["platform"]:
                return platform, vouches
        raise web.HTTPNotFound(reason="One cannot sign in through that here.")

    def _back(self, platform: Platform) -> str:
        return f"{self._url}{WITH}/{platform}/back"

    def _knock_of(self, request: web.Request, platform: Platform) -> Knock:
        knock = knocks.unseal(self._secret, request.cookies.get(self._cookie, ""), platform, time.time())
        state = request.query.get("state", "")
        if knock is None or not hmac.compare_digest(knock.state.encode(), state.encode()):
            raise NotAllowed("That took too long, was used before, or began in another browser or tab. Begin anew.")
        return knock

    async def _rights_of(self, voucher: Voucher) -> Rights:
        ours = await self._known(voucher.platform, voucher.tenants)
        rights = rights_in({ours[name]: voucher.tenants[name] for name in ours}, viewers=self._viewers)
        if not ours:
            raise NotAllowed(
                "Threadwork has no chats where you are. Write to it there first, or sign in as somebody else."
            )
        if not rights.tenants:
            raise NotAllowed(
                "Only admins of the place may look in here. Ask one for a link, or whoever runs this to set "
                "THREADWORK_WEB_VIEWERS=1."
            )
        return rights


def _code_of(request: web.Request, platform: Platform) -> str:
    """The code that came back with the browser. What is said beside it is not shown: anybody may write that."""
    code = request.query.get("code", "")
    if not code or "error" in request.query:
        raise NotAllowed(f"{platform.value.title()} was not allowed to say who you are. Sign in again, and allow it.")
    return code
