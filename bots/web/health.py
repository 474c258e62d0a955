"""*Health*: whether what is needed answers, the queue, the workers and their chats, the sandboxes, and limits hit.

Next: `checks.py` and `afar.py`, which ask what is needed, and `core/store/health.py`.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

from bots.web.afar import Afar
from bots.web.chats import is_part
from bots.web.checks import Checks
from bots.web.templating import render
from bots.web.visitors import session_of
from core.domain.chat import Platform
from core.errors import Unavailable
from core.ports import Count, Counted, Counters, Leases


class HealthPage:
    """The page. `queue_length` raises `Unavailable` while the queue is away."""

    def __init__(
        self,
        checks: Checks,
        afar: Afar,
        leases: Leases,
        counters: Counters,
        queue_length: Callable[[], Awaitable[int]],
    ) -> None:
        self._checks = checks
        self._afar = afar
        self._leases = leases
        self._counters = counters
        self._queue_length = queue_length

    @property
    def routes(self) -> list[web.RouteDef]:
        """Where it is."""
        return [web.get("/health", self.page)]

    async def page(self, request: web.Request) -> web.Response:
        """How everything does just now."""
        rights = session_of(request).rights
        scope = rights.scope
        queued: int | None = None
        counted: Counted | None = None
        try:
            queued = await self._queue_length()
            counted = await self._counters.read()
        except Unavailable:
            pass
        return render(
            request,
            "health_list.html" if is_part(request) else "health.html",
            needs=[*await self._checks.all(), *await self._afar.all()],
            queued=queued,
            workers=counted.workers if counted else None,
            # Sums over all tenants are for who may see all of them.
            limits=limits_of(counted) if counted and scope is None else None,
            leases=await self._leases.live(scope),
            sandboxes=await self._leases.sandboxes(scope),
            resting=[
                (chat, wish, rights.may_change(chat.tenant_id)) for chat, wish in await self._leases.resting(scope)
            ],
        )


def limits_of(counted: Counted) -> list[tuple[Platform, int, int, int]]:
    """Of each platform that was written to: posts and edits sent, edits saved, and calls refused for being too many."""
    lines = []
    for platform in Platform:
        sent = counted.counts[Count.POSTS_SENT, platform] + counted.counts[Count.EDITS_SENT, platform]
        saved, refused = counted.counts[Count.EDITS_SAVED, platform], counted.counts[Count.RATE_LIMITED, platform]
        if sent or saved or refused:
            lines.append((platform, sent, saved, refused))
    return lines
