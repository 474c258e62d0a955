"""`/metrics`: how it does, as Prometheus reads it. For programs: no session, no names of people, no text.

Asked with THREADWORK_METRICS_TOKEN as a bearer token; without one from this machine only, under its own name, and only
where no proxy brings strangers to that door. What rows tell comes from the database, what only processes know from
the counters; where one of them is away, `threadwork_source_up` says so and the other's numbers are there. Answers are
kept for some seconds, so that asking often costs nothing. Next: `exposition.py`, the format.
"""

import asyncio
import hmac
import ipaddress
import time
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from bots.web import exposition
from bots.web.exposition import counter, gauge, histogram
from bots.web.gate import Address
from bots.web.origins import is_our_name, is_ours
from core.errors import Unavailable
from core.ports import Count, Counters, Leases, Overview, Span

KEPT_S: Final = 2.0
ASK_S: Final = 8.0
# What a proxy adds: then the request is somebody else's, whatever machine it seems to come from.
_FORWARDED: Final = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")


class Metrics:
    """The page for programs. `token` None: this machine may ask, if people come without a proxy, and nobody else."""

    def __init__(
        self,
        overview: Overview,
        leases: Leases,
        counters: Counters,
        queue_length: Callable[[], Awaitable[int]],
        *,
        address: Address,
        token: str | None,
    ) -> None:
        self._overview = overview
        self._leases = leases
        self._counters = counters
        self._queue_length = queue_length
        self._address = address
        self._token = token
        self._asking = asyncio.Lock()
        self._kept = ""
        self._kept_until = float("-inf")

    @property
    def routes(self) -> list[web.RouteDef]:
        """Where it is."""
        return [web.get("/metrics", self.page)]

    async def page(self, request: web.Request) -> web.Response:
        """All of it, for who may have it."""
        if not self._is_from_here(request):
            if self._token is None:
                raise web.HTTPNotFound
            if not _carries(request, self._token):
                return web.Response(status=401, text="Not yours.\n", headers={"WWW-Authenticate": "Bearer"})
        async with self._asking:
            if time.monotonic() >= self._kept_until:
                self._kept = await self._told()
                self._kept_until = time.monotonic() + KEPT_S
        return web.Response(body=self._kept.encode(), headers={"Content-Type": exposition.CONTENT_TYPE})

    def _is_from_here(self, request: web.Request) -> bool:
        """Whether this machine asks by itself, neither for a stranger nor for a page of another site."""
        return (
            self._address.public_url is None
            and _is_loopback(request.remote)
            and not any(name in request.headers for name in _FORWARDED)
            and is_our_name(request.host, None, self._address.bound)
            and is_ours(request.method, request.headers, self._address.origin(request))
        )

    async def _told(self) -> str:
        of_rows, of_counts = await asyncio.gather(_or_nothing(self._of_rows), _or_nothing(self._of_counts))
        up = [({"source": "database"}, int(bool(of_rows))), ({"source": "redis"}, int(bool(of_counts)))]
        return gauge("threadwork_source_up", "Whether what the numbers come from answers.", up) + of_rows + of_counts

    async def _of_rows(self) -> str:
        now = await self._overview.figures()
        usage, day = now.usage, "today (UTC)"
        tokens = {
            "input": usage.input_tokens,
            "output": usage.output_tokens,
            "cache_read": usage.cache_read_tokens,
            "cache_write": usage.cache_write_tokens,
        }
        sandboxes = await self._leases.sandboxes(None)
        return "".join(
            [
                gauge(
                    "threadwork_turns", "Turns under way.", [({"state": s.value}, n) for s, n in now.unfinished.items()]
                ),
                counter(
                    "threadwork_turns_ended_total",
                    f"Turns that ended {day}.",
                    [({"state": state.value}, count) for state, count in now.ended.items()],
                ),
                counter(
                    "threadwork_tokens_total",
                    f"Tokens of turns that ended {day}.",
                    [({"kind": kind}, count) for kind, count in tokens.items()],
                ),
                counter("threadwork_cost_usd_total", f"Cost of turns that ended {day}.", [({}, now.cost_usd)]),
                gauge("threadwork_approvals_waiting", "Open questions.", [({}, now.approvals_waiting)]),
                histogram("threadwork_decision_seconds", f"Time until people decided, {day}.", [({}, now.decisions)]),
                gauge("threadwork_sandboxes", "Sandboxes.", [({"state": s.value}, n) for s, n in sandboxes.items()]),
            ]
        )

    async def _of_counts(self) -> str:
        counted, queued = await self._counters.read(), await self._queue_length()
        told = [
            gauge("threadwork_workers", "Workers alive.", [({}, counted.workers)]),
            gauge("threadwork_queue_length", "Chats in the queue, those being worked included.", [({}, queued)]),
        ]
        for count, words in _COUNTS.items():
            samples = [
                ({"platform": one.value}, number) for (what, one), number in counted.counts.items() if what is count
            ]
            told.append(counter(f"threadwork_{count}_total", words, samples))
        for span, words in _SPANS.items():
            spreads = [
                ({"platform": one.value}, spread) for (what, one), spread in counted.spans.items() if what is span
            ]
            told.append(histogram(f"threadwork_{span}_seconds", words, spreads))
        return "".join(told)


_COUNTS: Final = {
    Count.POSTS_SENT: "Posts sent by workers.",
    Count.EDITS_SENT: "Edits of posts sent by workers.",
    Count.EDITS_SAVED: "Changes that needed no edit of their own, since a later one showed them.",
    Count.RATE_LIMITED: "Calls of workers that a platform refused for being too many.",
}
_SPANS: Final = {
    Span.START: "From a message's acceptance to its turn's begin.",
    Span.FIRST_TEXT: "From a turn's begin to its first text.",
}


async def _or_nothing(tell: Callable[[], Awaitable[str]]) -> str:
    try:
        async with asyncio.timeout(ASK_S):
            return await tell()
    except (Unavailable, TimeoutError):
        return ""


def _carries(request: web.Request, token: str) -> bool:
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    # As bytes: what is not ASCII cannot be compared otherwise. The comparison takes as long whatever it finds.
    is_same = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode())
    return is_same and kind.lower() == "bearer"


def _is_loopback(remote: str | None) -> bool:
    try:
        return ipaddress.ip_address(remote or "").is_loopback
    except ValueError:
        return False
