"""The end of every sign-in: a new session in place of whatever the browser carried before."""

from aiohttp import web

from bots.web.gate import Cookies
from core.ports import Session, Sessions


async def enter(
    request: web.Request, sessions: Sessions, cookies: Cookies, begun: tuple[Session, str]
) -> web.StreamResponse:
    """Let the browser carry the session that has begun, end the one it carried, and show the chats."""
    carried = cookies.read(request)
    before = await sessions.find(*carried) if carried else None
    if before is not None:
        await sessions.end(before)
    response = web.Response(status=303, headers={"Location": "/"})
    cookies.put(response, *begun)
    return response
