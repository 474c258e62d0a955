"""Signing in by a link that `threadwork admin login` printed, and out.

Opening the link shows a button; pressing that uses the link up. So a chat program that looks at links, or a browser
that fetches ahead, signs nobody in. The session is always a new one, whatever the browser carried before.
"""

from aiohttp import web

from bots.web.entering import enter
from bots.web.gate import Cookies
from bots.web.templating import render
from bots.web.tries import Tries
from bots.web.visitors import session_of
from core.errors import NotAllowed
from core.ports import Sessions


class SigningIn:
    """The pages that need no session."""

    def __init__(self, sessions: Sessions, cookies: Cookies, tries: Tries) -> None:
        self._sessions = sessions
        self._cookies = cookies
        self._tries = tries

    @property
    def routes(self) -> list[web.RouteDef]:
        """Where they are."""
        return [
            web.get("/sign-in", self.how),
            web.get(r"/sign-in/{word:[\w-]{1,100}}", self.ask),
            web.post(r"/sign-in/{word:[\w-]{1,100}}", self.sign_in),
            web.post("/sign-out", self.sign_out),
        ]

    async def how(self, request: web.Request) -> web.Response:
        """How to sign in."""
        return render(request, "sign_in.html", word=None)

    async def ask(self, request: web.Request) -> web.Response:
        """The button of a link."""
        return render(request, "sign_in.html", word=request.match_info["word"])

    async def sign_in(self, request: web.Request) -> web.StreamResponse:
        """Use the link up, and begin a session."""
        if not self._tries.may(request.remote or ""):
            raise web.HTTPTooManyRequests(reason="Too many tries. Wait a minute.")
        try:
            begun = await self._sessions.begin(request.match_info["word"])
        except NotAllowed as error:
            return render(request, "sign_in.html", status=403, word=None, words=error.words)
        return await enter(request, self._sessions, self._cookies, begun)

    async def sign_out(self, request: web.Request) -> web.StreamResponse:
        """End the session."""
        await self._sessions.end(session_of(request))
        response = web.Response(status=303, headers={"Location": "/sign-in"})
        self._cookies.drop(response)
        return response
