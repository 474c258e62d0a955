"""The sandbox server and the gateway, asked from here whether they answer: for the page *Health*, not for `/readyz`.

The page does its work without them, so they are asked only while somebody looks, in the background, briefly, and at
most every few seconds however many look. No key is shown to either: any answer but an error of its own will do.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

import aiohttp

from bots.web.checks import Check, Checked, Checks
from core.errors import Unavailable
from core.settings import Settings

ASK_S: Final = 2.0
KEPT_S: Final = 5.0
# The E2B SDK's own choice where no other server is named: https://e2b.dev/docs.
E2B: Final = "https://api.e2b.app"


class Afar:
    """What is known of things elsewhere; made by `open_afar`."""

    def __init__(self, checks: Checks, kept_s: float = KEPT_S) -> None:
        self._checks = checks
        self._kept_s = kept_s
        self._known: Sequence[Checked] = ()
        self._known_at = float("-inf")
        self._is_known = asyncio.Event()
        self._is_looked_at = asyncio.Event()

    async def all(self) -> Sequence[Checked]:
        """What was found last; asked anew first, briefly, when nobody has looked for long."""
        if time.monotonic() - self._known_at > 3 * self._kept_s:
            self._is_known.clear()
        self._is_looked_at.set()
        await self._is_known.wait()
        return self._known

    async def ask_for_ever(self) -> None:
        """Ask while somebody looks; run by `open_afar`."""
        while True:
            await self._is_looked_at.wait()
            # Before it is asked, or who looks while it is would be forgotten, and wait for ever.
            self._is_looked_at.clear()
            self._known = await self._checks.all()
            self._known_at = time.monotonic()
            self._is_known.set()
            await asyncio.sleep(self._kept_s)


@asynccontextmanager
async def open_afar(settings: Settings, http: aiohttp.ClientSession, kept_s: float = KEPT_S) -> AsyncIterator[Afar]:
    """What the settings name of it, asked until the block ends."""
    async with AsyncExitStack() as stack:
        needs: dict[str, Check] = {}
        api_url = settings.e2b_api_url or (E2B if settings.e2b_api_key else None)
        if api_url is not None:
            needs["sandboxes"] = partial(_ask, http, f"{api_url.rstrip('/')}/sandboxes", "the sandbox server")
        needs |= await _gateway(settings, http, stack)
        afar = Afar(Checks(needs, ASK_S), kept_s)
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(afar.ask_for_ever())
            try:
                yield afar
            finally:
                asking.cancel()


async def _gateway(settings: Settings, http: aiohttp.ClientSession, stack: AsyncExitStack) -> Mapping[str, Check]:
    """The gateway by the way that sandboxes go, as far as this machine knows one."""
    if settings.threadwork_public_url is not None:
        return {"gateway": partial(_ask, http, f"{settings.threadwork_public_url.rstrip('/')}/", "the gateway")}
    if settings.threadwork_gateway_port is not None:
        url = f"http://{settings.threadwork_gateway_host}:{settings.threadwork_gateway_port}/"
        return {"gateway": partial(_ask, http, url, "the gateway")}
    socket = settings.threadwork_data_dir / "gateway" / "gateway.sock"
    if not socket.parent.is_dir():
        return {}
    local = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket)), cookie_jar=aiohttp.DummyCookieJar())
    await stack.enter_async_context(local)
    return {"gateway": partial(_ask, local, "http://gateway/", "the gateway")}


async def _ask(http: aiohttp.ClientSession, url: str, what: str) -> None:
    try:
        async with http.get(url, allow_redirects=False) as answer:
            if answer.status >= 500:
                raise Unavailable(what, f"it answers {answer.status}")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise Unavailable(what, type(error).__name__) from error
