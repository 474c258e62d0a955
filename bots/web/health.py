"""*Health*: whether what is needed answers, how long the queue is, which worker has which chat, and the sandboxes.

Next: `checks.py`, which asks what is needed, and `core/store/health.py`.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

from bots.web.chats import is_part
from bots.web.checks import Checks
from bots.web.templating import render
from bots.web.visitors import session_of
from core.errors import Unavailable
from core.ports import Leases


class HealthPage:
    """The page. `queue_length` raises `Unavailable` while the queue is away."""

    def __init__(self, checks: Checks, leases: Leases, queue_length: Callable[[], Awaitable[int]]) -> None:
        self._checks = checks
        self._leases = leases
        self._queue_length = queue_length

    @property
    def routes(self) -> list[web.RouteDef]:
        """Where it is."""
        return [web.get("/health", self.page)]

    async def page(self, request: web.Request) -> web.Response:
        """How everything does just now."""
        scope = session_of(request).rights.scope
        try:
            queued = await self._queue_length()
        except Unavailable:
            queued = None
        return render(
            request,
            "health_list.html" if is_part(request) else "health.html",
            needs=await self._checks.all(),
            queued=queued,
            leases=await self._leases.live(scope),
            sandboxes=await self._leases.sandboxes(scope),
        )
