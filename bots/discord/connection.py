"""The connection to Discord's gateway: discord.py's client, kept up, and everything it receives handed on.

The library ends for good when its first connection fails (https://github.com/Rapptz/discord.py/issues/10520) or when
it stumbles over an event, and after an outage it may wait for a quarter of an hour. So each event is guarded, and a
client that ends is followed by a new one. Within a connection the library resumes by itself. Next: `listener.py`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final

import discord
import structlog
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from bots.discord.servers import Servers
from bots.discord.web import REFUSED
from core.errors import Misconfigured

log = structlog.get_logger(__name__)
Hear = Callable[[str, Mapping[str, Any]], None]
FIRST_DELAY_S: Final = 1.0
LONGEST_DELAY_S: Final = 30.0
# Discord resets the token of a bot that identifies itself a thousand times a day.
LONGEST_DELAY_IDENTIFIED_S: Final = 120.0
STEADY_S: Final = 60.0
CLOSE_S: Final = 3.0
_BAD_TOKEN: Final = 4004
_INTENTS: Final = frozenset({4013, 4014})


class Connection:
    """Keeps one client connected. `servers` learns which it is, `hear` gets every event by its name."""

    def __init__(self, token: str, servers: Servers, hear: Hear) -> None:
        self._token = token
        self._servers = servers
        self._hear = hear
        self._is_ready = asyncio.Event()

    async def ready(self) -> None:
        """Wait until Discord has said who we are."""
        await self._is_ready.wait()

    async def keep(self) -> None:
        """Connect, and again whenever that ends. Raises `Misconfigured` for what trying again will not mend."""
        clock = asyncio.get_running_loop().time
        delay = FIRST_DELAY_S
        while True:
            began = clock()
            was_ready = False
            try:
                was_ready = await self._once()
                why = "it was closed"
            except Misconfigured:
                raise
            except discord.LoginFailure as error:
                raise Misconfigured(REFUSED) from error
            except discord.ConnectionClosed as error:
                why = f"Discord closed it with {error.code}"
                if error.code == _BAD_TOKEN:
                    raise Misconfigured(REFUSED) from error
                if error.code in _INTENTS and self._servers.reads_everything:
                    log.warning("message_content_not_allowed", mend=_UNREADABLE)
                    self._servers.reads_everything = False
                    continue
            except Exception as error:  # noqa: BLE001 - whatever ends the client, another one is to follow
                why = repr(error)
            longest = LONGEST_DELAY_IDENTIFIED_S if was_ready else LONGEST_DELAY_S
            delay = FIRST_DELAY_S if clock() - began > STEADY_S else min(delay * 2, longest)
            log.warning("gateway_lost", why=why, again_in_s=delay)
            await asyncio.sleep(delay)

    async def _once(self) -> bool:
        client = _client(await self._servers.web.shards(), reads_everything=self._servers.reads_everything)
        was_ready = False

        def hear(event: str, data: Mapping[str, Any]) -> None:
            nonlocal was_ready
            if event == "READY":
                was_ready = True
                self._servers.client = client
                self._is_ready.set()
                log.info("gateway_ready", reads_everything=self._servers.reads_everything)
            self._hear(event, data)

        _tap(client, hear)
        try:
            await client.start(self._token, reconnect=False)
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await client.close()
        return was_ready


_UNREADABLE: Final = (
    "Discord does not show the bot messages that do not mention it. People must mention it in each, until you switch "
    "on Message Content Intent on the Bot page at https://discord.com/developers/applications and start it again."
)


def _client(shards: int, *, reads_everything: bool) -> discord.Client:
    """A client that keeps servers, channels and threads, and neither people nor messages."""
    options: dict[str, Any] = {
        "intents": discord.Intents(
            guilds=True, guild_messages=True, dm_messages=True, message_content=reads_everything
        ),
        "member_cache_flags": discord.MemberCacheFlags.none(),
        "chunk_guilds_at_startup": False,
        "max_messages": None,
        "allowed_mentions": discord.AllowedMentions.none(),
    }
    # Nobody wants to be told that voices cannot be heard.
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
    return discord.AutoShardedClient(**options) if shards > 1 else discord.Client(**options)


def _tap(client: discord.Client, hear: Hear) -> None:
    """Hand every event on, and let none that cannot be read end the client."""
    parsers: dict[str, Callable[[Any], Any]] = client._connection.parsers  # noqa: SLF001 - there is no other way in
    for event, parse in list(parsers.items()):
        parsers[event] = _guarded(event, parse, hear)


def _guarded(event: str, parse: Callable[[Any], Any], hear: Hear) -> Callable[[Any], None]:
    def both(data: Any) -> None:
        for work in (lambda: hear(event, data), lambda: parse(data)):
            try:
                work()
            except Exception:
                log.exception("event_not_understood", gateway_event=event)

    return both


@contextmanager
def redirected(api_url: str | None, gateway_url: str | None) -> Iterator[None]:
    """Lead discord.py elsewhere than to Discord, for this process."""
    before = Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY
    if api_url is not None:
        Route.BASE = api_url.rstrip("/")
    if gateway_url is not None:
        DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway_url)
    try:
        yield
    finally:
        Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY = before


@asynccontextmanager
async def connected(token: str, servers: Servers, hear: Hear) -> AsyncIterator[None]:
    """Connected until the block ends; it begins once Discord has said who we are."""
    connection = Connection(token, servers, hear)
    async with asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(connection.keep(), name="keep the gateway connected")
        await connection.ready()
        try:
            yield
        finally:
            keeping.cancel()
