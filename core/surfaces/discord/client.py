"""Discord as a surface: REST alone, so that any worker can speak, by channel and message id, never by a click's token.

A post carries its mark twice. As its `nonce`, by which Discord itself makes one post of two for some minutes, but which
it does not keep (https://github.com/Rapptz/discord.py/issues/2451). And, hashed, as the id of its first component, by
which `find` knows it. Posts that Discord refuses are sent once more in simpler words: `plainly.py`. A thread in the
archive is opened to change a post in it. Requests are made in `rest.py`. Next: `worker/present.py`.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, Self, TypeVar

import structlog

from core.domain.approval import Approval
from core.domain.chat import Place, Platform
from core.domain.view import View
from core.errors import Ambiguous, PostGone, SurfaceError, TooLarge
from core.ports import Allowance, Call, FileLimit, Payload, Receipt
from core.surfaces.discord import sharing
from core.surfaces.discord.approvals import render_approval
from core.surfaces.discord.boosts import Boosts
from core.surfaces.discord.components import walk
from core.surfaces.discord.plainly import classic, plainly, unattached
from core.surfaces.discord.receipts import EMOJI
from core.surfaces.discord.render import render
from core.surfaces.discord.rest import Answer, Request, Rest, reaction
from core.surfaces.presses import Verb, decode

log = structlog.get_logger(__name__)
Value = TypeVar("Value")

# Discord throttles edits of posts that are an hour old.
ROTATE_AFTER: Final = timedelta(minutes=55)
_EPOCH_MS: Final = 1_420_070_400_000
_REMEMBERED: Final = 5_000
_PAGE: Final = 100
_PAGES: Final = 50
_OLD_S: Final = 4.0
_PACE_S: Final = 1.2
_ARCHIVED: Final = 50083
_MISSING_PERMISSIONS: Final = 50013
_NO_SUCH_REACTION: Final = 10014
# Five in five seconds a channel is what people see: three at once and 35 a minute never come to more than that.
_EDITS: Final = (35, 3)
_POSTS: Final = (35, 3)
# Each is a reaction put and one taken away, of which a channel takes one in a quarter of a second, whoever sends them.
_MARKS: Final = (80, 1)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class DiscordSurface:
    """`core.ports.Surface` for Discord threads and direct messages. A place's thread is the channel that is written in.

    `now` is the clock by which the age of a post is told.
    """

    platform = Platform.DISCORD

    def __init__(self, rest: Rest, now: Callable[[], datetime] = _utc_now) -> None:
        self._rest = rest
        self._now = now
        self._boosts = Boosts(rest)
        self._posted: OrderedDict[str, str] = OrderedDict()
        self._marks: OrderedDict[str, str] = OrderedDict()
        self._doubtful: OrderedDict[str, datetime] = OrderedDict()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, token: str, api_url: str | None = None, now: Callable[[], datetime] = _utc_now
    ) -> AsyncIterator[Self]:
        """A surface with connections of its own, closed at the end."""
        async with Rest.open(token, api_url) as rest:
            yield cls(rest, now)

    def render(self, view: View) -> Sequence[Payload]:
        """One post while it runs; the whole answer once it is over."""
        return render(view)

    def render_approval(self, approval: Approval) -> Sequence[Payload]:
        """All that is asked about, and buttons in the last post."""
        return render_approval(approval)

    async def file_limit(self, place: Place) -> FileLimit:
        """What the server takes by its boosts."""
        return await self._boosts.file_limit(place.tenant)

    def render_file(self, name: str, data: bytes) -> Payload:
        """One post: the file, its name and its size."""
        return sharing.render_file(name, data)

    def allowance(self, place: Place, call: Call) -> Allowance:
        """All is counted a channel, as Discord does; the limit on all of a bot's calls is kept by `gates.py`."""
        key = f"discord:{place.thread}:{call}"
        match call:
            case Call.SEND:
                return Allowance(key, *_POSTS)
            case Call.EDIT:
                return Allowance(key, *_EDITS, pace_s=_PACE_S)
            case Call.MARK:
                # The message that a thread begins with stands in the channel.
                return Allowance(f"discord:{place.channel or place.thread}:{call}", *_MARKS)

    async def send(self, place: Place, payload: Payload, mark: str) -> str:
        """Post into the thread; a mark this process has posted already is edited instead."""
        if (post := await self._known(place, mark)) is not None:
            if not payload.is_file:
                await self.edit(place, post, payload)
            return post
        began = self._now()
        request = Request("send", "POST", f"/channels/{place.thread}/messages", f"send {place.thread}")
        once = {"nonce": _nonce(mark), "enforce_nonce": True}
        try:
            forms = (payload,) if payload.is_file else (payload, classic(payload))
            answer = await self._put(place, request, forms, mark, once)
            post = _id_of(answer)
        except (Ambiguous, asyncio.CancelledError):
            # Whoever gave up waiting does not know, either.
            _remember(self._doubtful, mark, began)
            raise
        except TooLarge:
            if payload.is_file:
                self._boosts.forget(place.tenant)
            raise
        self._keep(mark, post)
        if _is_earlier(answer) and not payload.is_file:
            # The post was there: Discord gave it back, and what it shows may be old.
            await self.edit(place, post, payload)
        return post

    async def find(self, place: Place, mark: str, since: datetime) -> str | None:
        """The post with this mark, among the thread's messages that are younger than `since`."""
        wanted, after = _component_id(mark), max(0, (int(since.timestamp() * 1000) - _EPOCH_MS) << 22)
        request = Request("find", "GET", f"/channels/{place.thread}/messages", f"find {place.thread}")
        for _ in range(_PAGES):
            query = {"after": str(after), "limit": str(_PAGE)}
            answer = await self._rest.call(replace(request, query=query))
            messages = answer.body if isinstance(answer.body, list) else []
            for message in messages:
                if _mark_of(message) == wanted:
                    return str(message["id"])
            if len(messages) < _PAGE:
                return None
            after = max(int(message["id"]) for message in messages)
        raise Ambiguous("The thread is too long to look through for a post.")

    async def edit(self, place: Place, external_id: str, payload: Payload) -> None:
        """Change a post. Raises `PostGone`, also for a live post that has grown old: it is taken away for a new one."""
        if _is_live(payload) and self._now() - _made_at(external_id) > ROTATE_AFTER:
            await self.delete(place, external_id)
            raise PostGone("The post is nearly an hour old, after which Discord lets it be changed only now and then.")
        path = f"/channels/{place.thread}/messages/{external_id}"
        request = Request("edit", "PATCH", path, f"edit {place.thread}")
        forms = (payload, plainly(payload), classic(payload))
        await self._put(place, request, forms, self._marks.get(external_id), {"attachments": []})

    async def delete(self, place: Place, external_id: str) -> None:
        """Take a post away; one that is gone is no error."""
        path = f"/channels/{place.thread}/messages/{external_id}"
        request = Request("delete", "DELETE", path, f"delete {place.thread}")
        try:
            self._rest.good(request, await self._ask_opening(place, request))
        except PostGone:
            return

    def looks_alike(self, receipt: Receipt, before: Receipt | None) -> bool:
        """Whether two receipts have one emoji. The bot has put the first one, which no run knows of."""
        is_first = before is None and receipt is Receipt.QUEUED
        return EMOJI[receipt] == EMOJI[before or Receipt.QUEUED] and not is_first

    async def receipt(self, place: Place, message: str, receipt: Receipt, before: Receipt | None) -> None:
        """React to a person's message: the new emoji first, so that there is always one."""
        if self.looks_alike(receipt, before):
            return
        new, old = EMOJI[receipt], EMOJI[before or Receipt.QUEUED]
        channel = await self._react(place, message, new)
        if new != old:
            taken = reaction("DELETE", channel, message, old)
            answer = await self._rest.ask(taken)
            if answer.refusal != _NO_SUCH_REACTION:
                self._rest.good(taken, answer)

    async def _react(self, place: Place, message: str, emoji: str) -> str:
        """React, and say in which channel: a thread has its id from the message it began with, which stands outside."""
        if message == place.thread and place.channel not in ("", place.thread):
            try:
                await self._rest.call(reaction("PUT", place.channel, message, emoji))
                return place.channel
            except SurfaceError as error:
                # The first message of a forum's post is in the thread itself.
                if error.retryable:
                    raise
        await self._rest.call(reaction("PUT", place.thread, message, emoji))
        return place.thread

    async def _known(self, place: Place, mark: str) -> str | None:
        """The post with this mark, if this process has made it."""
        since = self._doubtful.get(mark)
        if since is not None:
            found = await self.find(place, mark, since - timedelta(minutes=5))
            del self._doubtful[mark]
            if found is not None:
                self._keep(mark, found)
        return self._posted.get(mark)

    def _keep(self, mark: str, post: str) -> None:
        _remember(self._posted, mark, post)
        _remember(self._marks, post, mark)

    async def _put(
        self, place: Place, request: Request, forms: Sequence[Payload], mark: str | None, more: Mapping[str, Any]
    ) -> Answer:
        """Send or edit a post, in the first of its forms that Discord takes."""
        *better, last = forms
        for payload in better:
            try:
                return await self._put_as(place, request, payload, mark, more)
            except TooLarge as error:
                log.warning("components_refused", what=request.what, why=str(error)[:500])
        return await self._put_as(place, request, last, mark, more)

    async def _put_as(
        self, place: Place, request: Request, payload: Payload, mark: str | None, more: Mapping[str, Any]
    ) -> Answer:
        made = _filled(request, payload, mark, more)
        answer = await self._ask_opening(place, made)
        if payload.files and not payload.is_file and answer.refusal == _MISSING_PERMISSIONS:
            made = _filled(request, unattached(payload), mark, more)
            answer = await self._rest.ask(made)
        return self._rest.good(made, answer)

    async def _ask_opening(self, place: Place, request: Request) -> Answer:
        """Ask, and once more after opening the thread if it is in the archive. Sending opens it by itself."""
        answer = await self._rest.ask(request)
        if answer.refusal != _ARCHIVED:
            return answer
        body = {"archived": False}
        await self._rest.call(Request("open", "PATCH", f"/channels/{place.thread}", f"open {place.thread}", body))
        return await self._rest.ask(request)


def _filled(request: Request, payload: Payload, mark: str | None, more: Mapping[str, Any]) -> Request:
    """The request with a post in it."""
    body = {**payload.body, **more}
    if mark is not None and body.get("components"):
        first, *others = body["components"]
        body["components"] = [{**first, "id": _component_id(mark)}, *others]
    if payload.files:
        body["attachments"] = [{"id": number, "filename": name} for number, name in enumerate(payload.files)]
    return replace(request, body=body, files=payload.files)


def _id_of(answer: Answer) -> str:
    try:
        return str(answer.told["id"])
    except KeyError as error:
        raise Ambiguous("Discord's answer to a post cannot be read.") from error


def _nonce(mark: str) -> str:
    return mark if len(mark) <= 25 else hashlib.sha256(mark.encode()).hexdigest()[:24]


def _component_id(mark: str) -> int:
    """A mark as Discord keeps it with a post: 31 bits, out of reach of the numbers that it gives out itself."""
    return int.from_bytes(hashlib.sha256(mark.encode()).digest()[:4], "big") >> 2 | 1 << 30


def _mark_of(message: Mapping[str, Any]) -> int | None:
    components = message.get("components") or ()
    found = components[0].get("id") if components else None
    return found if isinstance(found, int) else None


def _made_at(external_id: str) -> datetime:
    return datetime.fromtimestamp(((int(external_id) >> 22) + _EPOCH_MS) / 1000, UTC)


def _is_live(payload: Payload) -> bool:
    """Whether this is the post of a running turn: it has a Stop button."""
    presses = (decode(part.get("custom_id") or "") for part in walk(payload.body["components"]))
    return any(press is not None and press.verb is Verb.STOP for press in presses)


def _is_earlier(answer: Answer) -> bool:
    """Whether the post was there before it was sent, both by Discord's clock."""
    try:
        made_at = datetime.fromisoformat(answer.told["timestamp"])
        answered_at = parsedate_to_datetime(answer.headers["Date"])
    except (KeyError, TypeError, ValueError):
        return False
    return (answered_at - made_at).total_seconds() > _OLD_S


def _remember(kept: OrderedDict[str, Value], key: str, value: Value) -> None:
    kept[key] = value
    while len(kept) > _REMEMBERED:
        kept.popitem(last=False)
