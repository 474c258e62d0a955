"""*Deliveries*: what did not arrive and why, with "try again", which puts the chat to work.

A worker that takes the chat sends what is owed; nothing is sent from here. Next: `core/store/deliveries.py`.
"""

from typing import Final

from aiohttp import web

from bots.web.chats import ID, find_chat, is_part
from bots.web.doing import changing
from bots.web.templating import render
from bots.web.visitors import session_of
from core.ports import Audit, Deliveries, Looks, OwedKind, WorkQueue

WHAT: Final = {
    OwedKind.MESSAGE: "No worker has taken a message.",
    OwedKind.END: "The end of a turn is not shown in the thread.",
    OwedKind.FAILURE: "A turn failed.",
}


class DeliveriesPage:
    """The page and its form."""

    def __init__(self, looks: Looks, deliveries: Deliveries, queue: WorkQueue, audit: Audit) -> None:
        self._looks = looks
        self._deliveries = deliveries
        self._queue = queue
        self._audit = audit

    @property
    def routes(self) -> list[web.RouteDef]:
        """Where they are."""
        return [web.get("/deliveries", self.all), web.post(f"/chats/{{chat:{ID}}}/try-again", self.try_again)]

    async def all(self, request: web.Request) -> web.Response:
        """What did not arrive."""
        rights = session_of(request).rights
        found = [
            (owed, owed.kind is not OwedKind.FAILURE and rights.may_change(owed.chat.tenant_id))
            for owed in await self._deliveries.owed(rights.scope)
        ]
        template = "deliveries_list.html" if is_part(request) else "deliveries.html"
        return render(request, template, found=found, what=WHAT)

    async def try_again(self, request: web.Request) -> web.Response:
        """Put a chat to work."""
        chat = (await find_chat(request, self._looks)).chat
        author = changing(session_of(request), chat)
        await self._audit.note(chat.id, author.name, "tried again")
        await self._queue.put(chat.id)
        return web.Response(status=303, headers={"Location": "/deliveries"})
