"""What every request goes through: the right name, our own pages, a session; and errors as words.

Three middlewares in this order, and one signal, which puts the headers on every answer, streams included. The pages
behind them ask `visitors.py` who is there. Next: `signing_in.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bots.web.cookies import name_of, seal, unseal
from bots.web.origins import is_our_name, is_ours
from bots.web.templating import render
from bots.web.visitors import put_session
from core.errors import (
    AlreadyDecided,
    BadInput,
    IllegalStep,
    NotAllowed,
    NotFound,
    ThreadworkError,
    Unavailable,
)
from core.ports import Session, Sessions

log = structlog.get_logger(__name__)
# For programs: without a session, from anywhere, under any name. `metrics.py` looks for itself who may ask.
CHECKS: Final = frozenset({"/healthz", "/readyz", "/metrics"})
_OPEN: Final = ("/sign-in", "/static/")
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_STATUS: Final[Mapping[type[ThreadworkError], int]] = {
    NotFound: 404,
    NotAllowed: 403,
    BadInput: 400,
    AlreadyDecided: 409,
    IllegalStep: 409,
    Unavailable: 503,
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where the page is. `public_url`: as people type it, where a proxy stands in front; `bound`: what we listen on."""

    bound: str
    public_url: str | None = None

    @property
    def is_secure(self) -> bool:
        """Whether browsers come by https."""
        return (self.public_url or "").startswith("https://")

    def origin(self, request: web.BaseRequest) -> str:
        """Our origin, as a browser names it."""
        return f"{'https' if self.is_secure else 'http'}://{request.host}"


def middlewares(address: Address, sessions: Sessions, secret: bytes) -> list[Middleware]:
    """The gate, outermost first."""
    return [_words_for_errors, _of_our_own(address), _with_session(address, sessions, secret)]


async def put_headers(request: web.Request, response: web.StreamResponse) -> None:
    """The signal that puts the headers on an answer."""
    if request.path.startswith("/static/"):
        # Kept, but asked for anew each time; mostly the answer is that nothing has changed.
        response.headers["Cache-Control"] = "no-cache"
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)


@web.middleware
async def _words_for_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as answer:
        if answer.status < 400:
            raise
        return _words(request, answer.status, answer.reason)
    except ThreadworkError as error:
        status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)
        log.info("refused", path=request.path, status=status, why=error.code)
        return _words(request, status, error.words)
    except ConnectionError:
        # Whoever asked has gone.
        raise
    except Exception:
        log.exception("page_failed", path=request.path)
        return _words(request, 500, "Something broke here. The log tells what; nothing was changed.")


def _words(request: web.Request, status: int, words: str) -> web.Response:
    if request.path.endswith("/events") or request.path in CHECKS:
        return web.Response(status=status, text=words)
    return render(request, "error.html", status=status, words=words, code=status)


def _of_our_own(address: Address) -> Middleware:
    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in CHECKS:
            if not is_our_name(request.host, address.public_url, address.bound):
                raise web.HTTPMisdirectedRequest(reason="This page is not served under that name.")
            if not is_ours(request.method, request.headers, address.origin(request)):
                raise NotAllowed("This was not sent from a page of ours, so nothing was done.")
        return await handler(request)

    return check


def _with_session(address: Address, sessions: Sessions, secret: bytes) -> Middleware:
    cookies = Cookies(address, secret)

    @web.middleware
    async def find(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in CHECKS or request.path.startswith(_OPEN):
            return await handler(request)
        carried = cookies.read(request)
        session = await sessions.find(*carried) if carried else None
        if carried is None or session is None:
            return _sign_in_first(request)
        put_session(request, session)
        key = await sessions.renew(*carried) if session.is_due else None
        try:
            response = await handler(request)
        except web.HTTPException as answer:
            if key is not None:
                cookies.put(answer, session, key)
            raise
        # A stream has sent its headers; the old key is good for a moment, and the next request renews again.
        if key is not None and not response.prepared:
            cookies.put(response, session, key)
        return response

    return find


def _sign_in_first(request: web.Request) -> web.StreamResponse:
    if request.method == "GET" and "text/html" in request.headers.get("Accept", "text/html"):
        raise web.HTTPSeeOther("/sign-in")
    raise web.HTTPUnauthorized(reason="Sign in first.")


class Cookies:
    """The session's cookie on requests and answers."""

    def __init__(self, address: Address, secret: bytes) -> None:
        self._secret = secret
        self._is_secure = address.is_secure
        self._name = name_of(is_secure=address.is_secure)

    def read(self, request: web.Request) -> tuple[UUID, str] | None:
        """The session's id and key that the request carries."""
        value = request.cookies.get(self._name)
        return unseal(self._secret, value) if value else None

    def put(self, response: web.StreamResponse, session: Session, key: str) -> None:
        """Let the browser carry this session from now on."""
        value = seal(self._secret, session.id, key)
        response.set_cookie(self._name, value, path="/", httponly=True, secure=self._is_secure, samesite="Lax")

    def drop(self, response: web.StreamResponse) -> None:
        """Let it carry none."""
        response.del_cookie(self._name, path="/", secure=self._is_secure, httponly=True, samesite="Lax")
