"""Slack as a surface: the only importer of Slack's web client in `core`.

Each call is bounded, made once, and its refusal is one of our errors: `refusals.py`. Posts carry their mark as message
metadata, by which `find` knows them. Blocks that Slack refuses are sent once more without markup: `plainly.py`.
Slack has no key that makes a repeated post one, so the marks this process has posted are remembered here; whether a
post whose answer was lost is there is looked up before it is sent again. Next: `worker/present.py`.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self, TypeVar

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from core.domain.approval import Approval
from core.domain.chat import Place, Platform
from core.domain.view import View
from core.errors import Ambiguous, PostGone, TooLarge, Unavailable
from core.ports import Allowance, Call, FileLimit, Payload, Receipt
from core.surfaces.slack import sharing
from core.surfaces.slack.approvals import render_approval
from core.surfaces.slack.plainly import plainly
from core.surfaces.slack.receipts import EMOJI
from core.surfaces.slack.refusals import StillStreaming, error_of
from core.surfaces.slack.render import render

log = structlog.get_logger(__name__)
TokenOf = Callable[[str], Awaitable[str]]
Value = TypeVar("Value")

API_URL: Final = "https://slack.com/api/"
CALL_S: Final = 20.0
EVENT_TYPE: Final = "threadwork_post"
# What takes no metadata while it is written has its mark as the id of a block.
MARKED_BLOCK: Final = "threadwork_post_"
# What Slack answers where there is no stream to stop any more.
_STREAM_OVER: Final = ("message_not_in_streaming_state", "stopped_by_user")
_REMEMBERED: Final = 5_000
_PAGE: Final = 200
_PAGES: Final = 50
# Within any minute an allowance hands out its rate and its burst: together no more than Slack's tier, or, for posts,
# one a second and channel. See https://docs.slack.dev/apis/web-api/rate-limits.
_EDITS: Final = (36, 14)  # chat.update: tier 3, 50 a minute
# A person cannot read faster, and a short answer is done with three calls.
_PACE_S: Final = 1.5
_POSTS: Final = (55, 4)  # chat.postMessage: one a second, a short burst is let pass
_MARKS: Final = (14, 6)  # reactions.remove: tier 2, 20 a minute


class SlackSurface:
    """`core.ports.Surface` for Slack threads, in as many workspaces as `token_of` knows.

    `token_of` gives a workspace's bot token; what it raises passes through.
    """

    platform = Platform.SLACK

    def __init__(self, token_of: TokenOf, session: aiohttp.ClientSession, api_url: str | None = None) -> None:
        self._token_of = token_of
        self._session = session
        self._api_url = api_url or API_URL
        self._posted: OrderedDict[str, str] = OrderedDict()
        self._doubtful: OrderedDict[str, datetime] = OrderedDict()

    @classmethod
    @asynccontextmanager
    async def open(cls, token_of: TokenOf, api_url: str | None = None) -> AsyncIterator[Self]:
        """A surface with connections of its own, closed at the end."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_S)) as session:
            yield cls(token_of, session, api_url)

    def render(self, view: View) -> Sequence[Payload]:
        """One post while it runs; the whole answer once it is over."""
        return render(view)

    def render_approval(self, approval: Approval) -> Sequence[Payload]:
        """All that is asked about, and buttons in the last post."""
        return render_approval(approval)

    async def file_limit(self, place: Place) -> FileLimit:  # noqa: ARG002 - the same everywhere
        """Slack's limit on a file."""
        return FileLimit(sharing.MOST_BYTES)

    def render_file(self, name: str, data: bytes) -> Payload:
        """One post: the file, its name and its size."""
        return sharing.render_file(name, data)

    def allowance(self, place: Place, call: Call) -> Allowance:
        """Posts are counted a channel, edits and reactions a workspace, as Slack does."""
        match call:
            case Call.SEND:
                return Allowance(f"slack:{place.tenant}:{place.channel}:send", *_POSTS)
            case Call.EDIT:
                return Allowance(f"slack:{place.tenant}:edit", *_EDITS, pace_s=_PACE_S)
            case Call.MARK:
                return Allowance(f"slack:{place.tenant}:mark", *_MARKS)

    async def send(self, place: Place, payload: Payload, mark: str) -> str:
        """Post into the thread; a mark this process has posted already is edited instead. A file's post has its id."""
        if (ts := await self._known(place, mark)) is not None:
            if not payload.is_file:
                await self.edit(place, ts, payload)
            return ts
        began = datetime.now(UTC)
        put = self._share if payload.is_file else self._post
        try:
            made = await put(place, payload, mark)
        except (Ambiguous, asyncio.CancelledError):
            # Whoever gave up waiting does not know, either.
            _remember(self._doubtful, mark, began)
            raise
        _remember(self._posted, mark, made)
        return made

    async def _post(self, place: Place, payload: Payload, mark: str) -> str:
        arguments = {
            "channel": place.channel,
            "thread_ts": place.thread,
            "metadata": _metadata(mark),
            "unfurl_links": False,
            "unfurl_media": False,
        }
        answer = await self._put(place, "chat.postMessage", payload.body, arguments)
        return str(answer["ts"])

    async def _share(self, place: Place, payload: Payload, mark: str) -> str:
        ((name, data),) = payload.files.items()
        offered = await self._call(place, "files.getUploadURLExternal", {"filename": name, "length": len(data)})
        await sharing.put_bytes(self._session, str(offered["upload_url"]), data)
        file = str(offered["file_id"])
        arguments = {
            "files": json.dumps([{"id": file, "title": name}]),
            "channel_id": place.channel,
            "thread_ts": place.thread,
            "blocks": json.dumps(sharing.marked(payload, mark)),
        }
        await self._call(place, "files.completeUploadExternal", arguments)
        return file

    async def find(self, place: Place, mark: str, since: datetime) -> str | None:
        """The post with this mark, among the thread's replies that are younger than `since`."""
        cursor = ""
        for _ in range(_PAGES):
            answer = await self._call(
                place,
                "conversations.replies",
                {
                    "channel": place.channel,
                    "ts": place.thread,
                    "oldest": f"{since.timestamp():.6f}",
                    "limit": _PAGE,
                    "include_all_metadata": True,
                    **({"cursor": cursor} if cursor else {}),
                },
            )
            for message in answer.get("messages") or ():
                if _has_mark(message, mark):
                    return str(message["ts"])
                if (file := sharing.file_with(message, mark)) is not None:
                    return file
            cursor = str((answer.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                return None
        raise Ambiguous("The thread is too long to look through for a post.")

    async def edit(self, place: Place, external_id: str, payload: Payload) -> None:
        """Change a post. One that is still a stream is ended first. Raises `PostGone`."""
        about = {"channel": place.channel, "ts": external_id}
        try:
            await self._put(place, "chat.update", payload.body, about)
        except StillStreaming:
            # Whoever began it is gone, and with it the knowledge of how far it was written.
            await self._stop_stream(place, external_id)
            await self._put(place, "chat.update", payload.body, about)

    async def _stop_stream(self, place: Place, ts: str, mark: str | None = None) -> None:
        """End a stream where it stands; one that is over is no error."""
        about: dict[str, Any] = {"channel": place.channel, "ts": ts}
        if mark is not None:
            about["metadata"] = _metadata(mark)
        await self._call(place, "chat.stopStream", about, fine=_STREAM_OVER)

    async def delete(self, place: Place, external_id: str) -> None:
        """Take a post away; one that is gone is no error."""
        try:
            await self._call(place, "chat.delete", {"channel": place.channel, "ts": external_id})
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
        about = {"channel": place.channel, "timestamp": message}
        await self._call(place, "reactions.add", about | {"name": new}, fine=("already_reacted",))
        if new != old:
            await self._call(place, "reactions.remove", about | {"name": old}, fine=("no_reaction",))

    async def _known(self, place: Place, mark: str) -> str | None:
        """The post with this mark, if this process has made it."""
        since = self._doubtful.get(mark)
        if since is not None:
            found = await self.find(place, mark, since - timedelta(minutes=5))
            del self._doubtful[mark]
            if found is not None:
                _remember(self._posted, mark, found)
        return self._posted.get(mark)

    async def _put(
        self, place: Place, method: str, body: Mapping[str, Any], arguments: Mapping[str, Any]
    ) -> dict[str, Any]:
        try:
            return await self._call(place, method, {**arguments, **body})
        except TooLarge as error:
            log.warning("blocks_refused", method=method, why=str(error)[:500])
            return await self._call(place, method, {**arguments, **plainly(dict(body))})

    async def _call(
        self, place: Place, method: str, arguments: Mapping[str, Any], *, fine: Collection[str] = ()
    ) -> dict[str, Any]:
        """One call. A refusal with one of the codes `fine` is none."""
        client = AsyncWebClient(
            token=await self._token_of(place.tenant),
            base_url=self._api_url,
            session=self._session,
            # The client would send a post a second time when a connection breaks.
            retry_handlers=[],
        )
        try:
            answer = await client.api_call(method, **_passed(method, arguments))
        except SlackApiError as error:
            status, answered, headers = _refusal(error.response)
            if answered.get("error") in fine:
                return answered
            raise error_of(method, status, answered, headers) from error
        except aiohttp.ClientConnectorError as error:
            raise Unavailable("Slack", str(error)) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Ambiguous(f"Slack's answer to {method} never came.") from error
        except (AttributeError, ValueError) as error:
            # The client stumbles over a body that is no JSON, as something between us and Slack may send.
            raise Ambiguous(f"Slack's answer to {method} cannot be read.") from error
        return answer.data if isinstance(answer.data, dict) else {}


def _passed(method: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as the method reads them: what only reads, and what is about files, takes no JSON."""
    return {"params" if method.startswith(("conversations.", "files.")) else "json": dict(arguments)}


def _metadata(mark: str) -> dict[str, Any]:
    return {"event_type": EVENT_TYPE, "event_payload": {"mark": mark}}


def _has_mark(message: Mapping[str, Any], mark: str) -> bool:
    """Whether a message is the post with this mark: in its metadata, or as the id of a block."""
    metadata = message.get("metadata") or {}
    if metadata.get("event_type") == EVENT_TYPE and (metadata.get("event_payload") or {}).get("mark") == mark:
        return True
    return any(block.get("block_id") == f"{MARKED_BLOCK}{mark}" for block in message.get("blocks") or ())


def _refusal(response: Any) -> tuple[int, dict[str, Any], Mapping[str, str]]:
    """Status, body and headers of a refusal: the client's own response, or aiohttp's where the body was no JSON."""
    status: int = response.status_code if hasattr(response, "status_code") else response.status
    body = getattr(response, "data", None)
    return status, body if isinstance(body, dict) else {}, response.headers


def _remember(kept: OrderedDict[str, Value], key: str, value: Value) -> None:
    kept[key] = value
    while len(kept) > _REMEMBERED:
        kept.popitem(last=False)
