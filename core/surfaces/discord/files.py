"""Fetching what people attach to messages in Discord.

A file is behind a signed address that is good for a day, and needs no token; none is sent.
https://docs.discord.com/developers/reference#signed-attachment-cdn-urls. Next: `client.py`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Self
from urllib.parse import urlsplit

import aiohttp

from core.domain.chat import Place
from core.domain.message import FileIn
from core.errors import Ambiguous, SurfaceError, TooLarge

FETCH_S: Final = 60.0
_HOSTS: Final = frozenset({"cdn.discordapp.com", "media.discordapp.net"})


class DiscordFiles:
    """`core.ports.FileSource` for Discord."""

    def __init__(self, session: aiohttp.ClientSession, api_url: str | None) -> None:
        self._session = session
        self._own_host = urlsplit(api_url or "").netloc

    @classmethod
    @asynccontextmanager
    async def open(cls, api_url: str | None) -> AsyncIterator[Self]:
        """A source with connections of its own, closed at the end."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=FETCH_S)) as session:
            yield cls(session, api_url)

    async def fetch(self, place: Place, file: FileIn, limit: int) -> bytes:  # noqa: ARG002 - the same everywhere
        """The file's bytes."""
        if file.size > limit:
            raise TooLarge(f"it has {file.size:,} bytes, and {limit:,} are the most")
        if not self._is_discords(file.url):
            raise SurfaceError(f"it is kept outside Discord, at {urlsplit(file.url).hostname}")
        try:
            async with asyncio.timeout(FETCH_S), self._session.get(file.url, allow_redirects=False) as answer:
                if answer.status >= 500 or answer.status == 429:
                    raise Ambiguous(f"Discord answers {answer.status}")
                if answer.status != 200:
                    raise SurfaceError(f"Discord answers {answer.status}: it is deleted, or was sent over a day ago")
                return await _read(answer, limit)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Ambiguous(f"Discord did not send it: {error!r}") from error

    def _is_discords(self, url: str) -> bool:
        parts = urlsplit(url)
        is_known = parts.scheme == "https" and parts.hostname in _HOSTS
        return is_known or (bool(self._own_host) and parts.netloc == self._own_host)


async def _read(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    data = bytearray()
    async for piece in answer.content.iter_chunked(1 << 16):
        data += piece
        if len(data) > limit:
            raise TooLarge(f"it has more than {limit:,} bytes")
    return bytes(data)
