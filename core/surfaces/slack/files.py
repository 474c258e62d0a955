"""Fetching what people attach to messages in Slack.

A file needs the bot's token; without the scope, Slack answers 200 with its login page, which is no file. The token goes
to Slack's hosts only. https://docs.slack.dev/reference/objects/file-object. Next: `client.py`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, Self
from urllib.parse import urlsplit

import aiohttp

from core.domain.chat import Place
from core.domain.message import FileIn
from core.errors import Ambiguous, SurfaceError, TooLarge

FETCH_S: Final = 60.0
_HOSTS: Final = (".slack.com", ".slack-files.com", ".slack-edge.com")
_HTML: Final = "text/html"


class SlackFiles:
    """`core.ports.FileSource` for Slack."""

    def __init__(
        self, token_of: Callable[[str], Awaitable[str]], session: aiohttp.ClientSession, api_url: str | None
    ) -> None:
        self._token_of = token_of
        self._session = session
        self._own_host = urlsplit(api_url or "").netloc

    @classmethod
    @asynccontextmanager
    async def open(cls, token_of: Callable[[str], Awaitable[str]], api_url: str | None) -> AsyncIterator[Self]:
        """A source with connections of its own, closed at the end."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=FETCH_S)) as session:
            yield cls(token_of, session, api_url)

    async def fetch(self, place: Place, file: FileIn, limit: int) -> bytes:
        """The file's bytes."""
        if file.size > limit:
            raise TooLarge(f"it has {file.size:,} bytes, and {limit:,} are the most")
        if not self._is_slacks(file.url):
            raise SurfaceError(f"it is kept outside Slack, at {urlsplit(file.url).hostname}")
        token = await self._token_of(place.tenant)
        try:
            async with (
                asyncio.timeout(FETCH_S),
                self._session.get(file.url, headers={"Authorization": f"Bearer {token}"}) as answer,
            ):
                if answer.status >= 500 or answer.status == 429:
                    raise Ambiguous(f"Slack answers {answer.status}")
                if answer.status >= 400:
                    raise SurfaceError(f"Slack answers {answer.status}: it may be deleted")
                data = await _read(answer, limit)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Ambiguous(f"Slack did not send it: {error!r}") from error
        if answer.content_type == _HTML and (file.media_type != _HTML or len(data) != file.size):
            raise SurfaceError("Slack sent its login page in its place: the app lacks the scope files:read")
        return data

    def _is_slacks(self, url: str) -> bool:
        parts = urlsplit(url)
        is_known = parts.scheme == "https" and f".{parts.hostname}".endswith(_HOSTS)
        return is_known or (bool(self._own_host) and parts.netloc == self._own_host)


async def _read(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    data = bytearray()
    async for piece in answer.content.iter_chunked(1 << 16):
        data += piece
        if len(data) > limit:
            raise TooLarge(f"it has more than {limit:,} bytes")
    return bytes(data)
