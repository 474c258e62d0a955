"""Who a request is from, once the gate has found out."""

from typing import Final

from aiohttp import web

from core.ports import Session

_SESSION: Final = web.RequestKey("session", Session)


def put_session(request: web.Request, session: Session) -> None:
    """Remember whose request it is."""
    request[_SESSION] = session


def session_of(request: web.Request) -> Session:
    """Who is there. Every page behind the gate has somebody."""
    return request[_SESSION]


def visitor_of(request: web.Request) -> Session | None:
    """Who is there, if anybody signed in."""
    return request.get(_SESSION)
