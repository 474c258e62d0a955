"""Slack as a surface whose live posts are streams of Slack's own, for SLACK_STREAMING=native.

A stream is begun by `send`, grows by `edit`, and ends with the turn: it is stopped, and the post edited to the answer.
What a stream shows is known to the process that began it alone. Where that is not known for sure, after a takeover or
an answer that was lost, and where Slack refuses, the stream is stopped and the post goes on by edits: no text is ever
there twice. Slack ends a stream after five minutes (https://github.com/slackapi/python-slack-sdk/issues/1859) and at
12,000 characters: before that its post is taken away, and `PostGone` makes the ledger of posts begin another one, which
shows the end of the text. Slack counts these methods by themselves; the budget is asked for each. What a stream shows
is worked out in `cards.py`.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

import aiohttp
import structlog

from core.domain.chat import Place
from core.domain.view import View
from core.errors import Ambiguous, PlaceGone, PostGone, RateLimited, SurfaceError, TooLarge
from core.ports import Allowance, Call, EditBudget, Payload, Priority
from core.surfaces.slack.cards import Shown, begin, grow, streamed
from core.surfaces.slack.client import CALL_S, MARKED_BLOCK, SlackSurface, TokenOf

log = structlog.get_logger(__name__)
RecipientOf = Callable[[Place], Awaitable[str | None]]

STREAM: Final = "stream"
_LIFE_S: Final = 270.0
_REFUSED_S: Final = 600.0
_MOST_KNOWN: Final = 1_000
# Rate and burst together are Slack's tier: https://docs.slack.dev/apis/web-api/rate-limits.
_STARTS: Final = (14, 6)  # chat.startStream: tier 2, 20 a minute
_STOPS: Final = (14, 6)  # chat.stopStream: the same
_APPENDS: Final = (72, 28)  # chat.appendStream: tier 4, 100 a minute
_PACE_S: Final = 1.0


@dataclass(slots=True)
class _Stream:
    """A stream that this process writes."""

    ts: str
    mark: str
    shown: Shown
    began: float


async def nobody(_place: Place) -> str | None:
    """Knows no recipient: then only direct messages have streams."""
    return None


class SlackStreamingSurface(SlackSurface):
    """`core.ports.Surface` for Slack threads, with streams.

    `recipient_of` gives the Slack user that a stream in a thread is for, which Slack wants in channels; without one
    the post there is edited. Without a `budget` calls about streams are not counted. `clock` counts seconds.
    """

    def __init__(
        self,
        token_of: TokenOf,
        session: aiohttp.ClientSession,
        api_url: str | None = None,
        *,
        recipient_of: RecipientOf = nobody,
        budget: EditBudget | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(token_of, session, api_url)
        self._recipient_of = recipient_of
        self._budget = budget
        self._clock = clock
        # By thread, which has one live post at a time.
        self._streams: OrderedDict[str, _Stream] = OrderedDict()
        self._refused: dict[str, float] = {}

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        token_of: TokenOf,
        api_url: str | None = None,
        *,
        recipient_of: RecipientOf = nobody,
        budget: EditBudget | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> AsyncIterator[Self]:
        """A surface with connections of its own, closed at the end."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_S)) as session:
            yield cls(token_of, session, api_url, recipient_of=recipient_of, budget=budget, clock=clock)

    def render(self, view: View) -> Sequence[Payload]:
        """As without streams; that of a running turn has with it what a stream would show."""
        posts = super().render(view)
        return posts if view.is_over else [Payload({**post.body, STREAM: streamed(view)}) for post in posts]

    def allowance(self, place: Place, call: Call) -> Allowance:
        """As without streams; where one is written, an edit adds to it."""
        if call is Call.EDIT and place.key in self._streams:
            return Allowance(f"slack:{place.tenant}:append", *_APPENDS, pace_s=_PACE_S)
        return super().allowance(place, call)

    async def _post(self, place: Place, payload: Payload, mark: str) -> str:
        wanted = payload.body.get(STREAM)
        ts = await self._start(place, wanted, mark) if wanted is not None else None
        return ts if ts is not None else await super()._post(place, _plain(payload), mark)

    async def edit(self, place: Place, external_id: str, payload: Payload) -> None:
        """Change a post: add to its stream where that will do, else end the stream. Raises `PostGone`."""
        stream = self._streams.get(place.key)
        if stream is not None:
            is_its = stream.ts == external_id
            if is_its and await self._go_on(place, stream, payload.body.get(STREAM)):
                return
            # What was taken from the budget was for adding to the stream.
            await self._spend(super().allowance(place, Call.EDIT))
        await super().edit(place, external_id, _plain(payload))

    async def delete(self, place: Place, external_id: str) -> None:
        """Take a post away; one that is gone is no error."""
        stream = self._streams.get(place.key)
        if stream is not None and stream.ts == external_id:
            self._forget(place)
        await super().delete(place, external_id)

    async def _start(self, place: Place, wanted: Mapping[str, Any], mark: str) -> str | None:
        """Begin a stream; None where there can be none now, so that the post must be edited."""
        if self._refused.get(place.tenant, float("-inf")) > self._clock():
            return None
        recipient = await self._recipient_of(place)
        if recipient is None and not place.channel.startswith("D"):
            return None
        starts = Allowance(f"slack:{place.tenant}:start", *_STARTS)
        if self._budget is not None and await self._budget.try_spend(starts, Priority.PROGRESS) > 0:
            return None
        shown, chunks = begin(wanted, f"{MARKED_BLOCK}{mark}")
        for_whom = {"recipient_team_id": place.tenant, "recipient_user_id": recipient} if recipient else {}
        arguments = {"channel": place.channel, "thread_ts": place.thread, "task_display_mode": "plan", **for_whom}
        began = self._clock()
        try:
            answer = await self._call(place, "chat.startStream", {**arguments, "chunks": chunks})
        except (Ambiguous, PlaceGone):
            raise
        except SurfaceError as error:
            log.warning("stream_refused", chat=place.key, why=error.words[:300])
            if isinstance(error, RateLimited) and self._budget is not None:
                await self._budget.penalise(starts, error.retry_after_s)
            elif recipient and not isinstance(error, TooLarge):
                self._refused[place.tenant] = self._clock() + _REFUSED_S
            return None
        ts = str(answer["ts"])
        self._streams[place.key] = _Stream(ts, mark, shown, began)
        while len(self._streams) > _MOST_KNOWN:
            self._streams.popitem(last=False)
        return ts

    async def _go_on(self, place: Place, stream: _Stream, wanted: Mapping[str, Any] | None) -> bool:
        """Add what is new to a stream; whether that was all. If not, the stream has ended."""
        if wanted is None:
            await self._end(place, stream)
            return False
        grown = grow(stream.shown, wanted)
        if self._clock() - stream.began > _LIFE_S or (grown is not None and grown[0].is_full):
            await self._move(place, stream)
            return False
        if grown is None:
            await self._end(place, stream)
            return False
        shown, chunks = grown
        return not chunks or await self._append(place, stream, shown, chunks)

    async def _append(self, place: Place, stream: _Stream, shown: Shown, chunks: Sequence[Mapping[str, Any]]) -> bool:
        about = {"channel": place.channel, "ts": stream.ts, "chunks": chunks}
        try:
            await self._call(place, "chat.appendStream", about)
        except RateLimited:
            raise
        except (Ambiguous, PlaceGone, PostGone, asyncio.CancelledError):
            # It may be there, or not: from now on nobody knows what the stream shows.
            self._forget(place)
            raise
        except SurfaceError as error:
            log.info("stream_over", chat=place.key, why=error.words[:300])
            self._forget(place)
            return False
        stream.shown = shown
        return True

    async def _end(self, place: Place, stream: _Stream) -> None:
        """Stop a stream where it stands. Its post has its mark as metadata from then on."""
        self._forget(place)
        await self._spend(Allowance(f"slack:{place.tenant}:stop", *_STOPS))
        await self._stop_stream(place, stream.ts, stream.mark)

    async def _move(self, place: Place, stream: _Stream) -> None:
        """Take a stream's post away before Slack ends it, and raise `PostGone`; where it cannot be, it is edited."""
        await self._end(place, stream)
        try:
            about = {"channel": place.channel, "ts": stream.ts}
            await self._call(place, "chat.delete", about, fine=("message_not_found",))
        except (Ambiguous, PlaceGone, RateLimited):
            raise
        except SurfaceError as error:
            log.warning("stream_not_moved", chat=place.key, why=error.words[:300])
            return
        raise PostGone("The live post goes on in another one.")

    def _forget(self, place: Place) -> None:
        self._streams.pop(place.key, None)

    async def _spend(self, allowance: Allowance) -> None:
        if self._budget is not None:
            await self._budget.spend(allowance, Priority.FINAL)


def _plain(payload: Payload) -> Payload:
    """The payload as a post that is edited."""
    return Payload({name: part for name, part in payload.body.items() if name != STREAM}, payload.files)
