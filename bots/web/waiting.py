"""*Waiting*: the questions that are open anywhere in one's scope, answered here by the rules of their threads.

The page says by a digest which questions it shows; its stream speaks when there are others. A question is a row, and
rows are looked at, so nothing is missed while Redis is away. Next: `doing.py`, which takes the answers.
"""

import asyncio
import hashlib
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from aiohttp import web

from bots.web.chats import is_part
from bots.web.story import asked
from bots.web.streams import BEAT_S
from bots.web.templating import render
from bots.web.visitors import session_of
from core.domain.access import Scope
from core.domain.approval import ApprovalId
from core.errors import Unavailable
from core.ports import Looks

LOOK_S: Final = 1.0
# Each reader looks for itself, by an index of open questions only.
MOST: Final = 100


class Waiting:
    """The page, and its streams; they end when the process does."""

    def __init__(self, looks: Looks, look_s: float = LOOK_S, beat_s: float = BEAT_S) -> None:
        self._looks = looks
        self._look_s = look_s
        self._beat_s = beat_s
        self._readers = 0
        self._is_over = asyncio.Event()

    @property
    def routes(self) -> list[web.RouteDef]:
        """Where they are."""
        return [web.get("/waiting", self.all), web.get("/waiting/events", self.follow)]

    async def all(self, request: web.Request) -> web.Response:
        """The open questions, those that wait longest first."""
        rights = session_of(request).rights
        # Taken first: what is asked in between is told by the stream, not missed.
        digest = "" if is_part(request) else digest_of(await self._looks.waiting_ids(rights.scope))
        found = [
            (asked(approval), chat, rights.may_change(chat.tenant_id))
            for approval, chat in await self._looks.waiting(rights.scope)
        ]
        template = "waiting_list.html" if is_part(request) else "waiting.html"
        return render(request, template, found=found, digest=digest)

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """Say `waiting_changed` whenever other questions are open than those that the reader knows."""
        if self._readers >= MOST:
            raise Unavailable("the stream", "too many are read at once")
        known = request.headers.get("Last-Event-ID") or request.query.get("after", "")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        self._readers += 1
        try:
            await response.prepare(request)
            await response.write(b"retry: 1000\nevent: here\ndata: {}\n\n")
            with suppress(ConnectionError, Unavailable):
                # Cut off where the database is away; a browser comes again.
                await self._tell(response, session_of(request).rights.scope, known)
        finally:
            self._readers -= 1
        return response

    async def close(self, _site: web.Application) -> None:
        """End all streams; their readers come again, to whoever serves the page then."""
        self._is_over.set()

    async def _tell(self, response: web.StreamResponse, scope: Scope, known: str) -> None:
        told_at = time.monotonic()
        while not self._is_over.is_set():
            now = digest_of(await self._looks.waiting_ids(scope))
            if now != known:
                known, told_at = now, time.monotonic()
                await response.write(f"id: {now}\nevent: waiting_changed\ndata: {{}}\n\n".encode())
            elif time.monotonic() - told_at >= self._beat_s:
                told_at = time.monotonic()
                await response.write(b": still here\n\n")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_over.wait(), self._look_s)


def digest_of(ids: Iterable[ApprovalId]) -> str:
    """Which questions are open, in a few characters."""
    return hashlib.sha256(b"".join(sorted(one.bytes for one in ids))).hexdigest()[:16]
