"""Pausing and ending the sandbox of a chat that is not at work: forms of *Health*, for admins of the chat's tenant.

Nothing is done from here, which has no way to a sandbox: a worker takes up the wish within seconds, if the chat still
rests then. Next: `core/store/wishes.py`.
"""

from aiohttp import web

from bots.web.chats import ID, find_chat
from bots.web.doing import changing
from bots.web.templating import render
from bots.web.visitors import session_of
from core.errors import BadInput
from core.ports import Looks, Wish, Wishes


class SandboxForms:
    """The forms, and the question before an end."""

    def __init__(self, looks: Looks, wishes: Wishes) -> None:
        self._looks = looks
        self._wishes = wishes

    @property
    def routes(self) -> list[web.RouteDef]:
        """Where they are."""
        where = f"/chats/{{chat:{ID}}}/sandbox"
        return [web.get(where, self.sure), web.post(where, self.wish)]

    async def sure(self, request: web.Request) -> web.Response:
        """Ask once more before an end, which cannot be undone."""
        chat = (await find_chat(request, self._looks)).chat
        changing(session_of(request), chat)
        return render(request, "sandbox.html", chat=chat)

    async def wish(self, request: web.Request) -> web.Response:
        """Have it paused or ended."""
        chat = (await find_chat(request, self._looks)).chat
        author = changing(session_of(request), chat)
        try:
            wish = Wish(str((await request.post()).get("wish", "")))
        except ValueError:
            raise BadInput("Choose to pause or to end the sandbox.") from None
        await self._wishes.wish(chat.id, wish, author.name)
        return web.Response(status=303, headers={"Location": "/health"})
