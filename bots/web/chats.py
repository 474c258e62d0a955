"""The list of chats, and the page of one. Both are whole without JavaScript; with it, their middle is kept fresh.

A request by htmx gets the middle only. Next: `story.py`, how a turn is told.
"""

from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

from aiohttp import web

from bots.web.story import Story, tell
from bots.web.templating import render
from bots.web.visitors import session_of
from core.domain.chat import ChatId, Platform
from core.domain.turn import TurnId
from core.errors import NotFound
from core.ports import ChatLine, Looks, Stores, Wanted

ID: Final = "[0-9a-fA-F-]{32,36}"
_TURNS: Final = 20
_MOST_TEXT: Final = 200


class Chats:
    """Chats as pages."""

    def __init__(self, looks: Looks, stores: Stores, mark_now: Callable[[ChatId], Awaitable[str]]) -> None:
        self._looks = looks
        self._stores = stores
        self._mark_now = mark_now

    @property
    def routes(self) -> list[web.RouteDef]:
        """Where they are."""
        return [web.get("/", self.all), web.get(f"/chats/{{chat:{ID}}}", self.one)]

    async def all(self, request: web.Request) -> web.Response:
        """The chats, as far as they are looked for."""
        platform = request.query.get("platform", "")
        wanted = Wanted(
            request.query.get("q", "").strip()[:_MOST_TEXT],
            Platform(platform) if platform in set(Platform) else None,
            is_busy=request.query.get("busy") == "1",
        )
        lines = await self._looks.chats(session_of(request).rights.scope, wanted)
        template = "chats_list.html" if is_part(request) else "chats.html"
        return render(request, template, lines=lines, wanted=wanted, platforms=list(Platform))

    async def one(self, request: web.Request) -> web.Response:
        """A chat: its last turns, newest last."""
        line = await find_chat(request, self._looks)
        chat = line.chat
        # Taken before anything is read, so that the stream goes on where the page ends, or tells some of it again.
        mark = "" if is_part(request) else await self._mark_now(chat.id)
        stories = [await self._story(turn_id=turn.id) for turn in await self._stores.turns.recent(chat.id, _TURNS)]
        template = "chat_turns.html" if is_part(request) else "chat.html"
        return render(
            request,
            template,
            line=line,
            chat=chat,
            mark=mark,
            stories=stories[::-1],
            queued=await self._stores.messages.queued(chat.id),
            may_change=session_of(request).rights.may_change(chat.tenant_id),
            link=link_to(line),
        )

    async def _story(self, turn_id: TurnId) -> Story:
        turns = self._stores.turns
        return tell(
            await turns.get(turn_id),
            await self._stores.messages.of_turn(turn_id),
            await turns.events(turn_id),
            await self._stores.approvals.of_turn(turn_id),
        )


def is_part(request: web.Request) -> bool:
    """Whether htmx asks, for a part of a page it has."""
    return request.headers.get("HX-Request") == "true"


async def find_chat(request: web.Request, looks: Looks) -> ChatLine:
    """The chat that the address names, if whoever asks may see it. Raises `NotFound`."""
    return await looks.chat(session_of(request).rights.scope, ChatId(find_id(request, "chat")))


def find_id(request: web.Request, name: str) -> UUID:
    """An id in the address. Raises `NotFound` for what is none."""
    try:
        return UUID(request.match_info[name])
    except ValueError:
        raise NotFound("There is nothing here.") from None


def link_to(line: ChatLine) -> str | None:
    """The thread on its own platform: https://docs.slack.dev/interactivity/deep-linking, https://discord.com/channels/…"""
    place = line.chat.place
    match place.platform:
        case Platform.SLACK:
            return (
                f"https://slack.com/app_redirect?channel={place.channel}&team={place.tenant}&message_ts={place.thread}"
            )
        case Platform.DISCORD:
            return f"https://discord.com/channels/{place.tenant}/{place.thread}"
        case Platform.CONSOLE:
            return None
