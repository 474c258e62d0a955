"""A Discord on loopback that the real discord.py client runs against, and that fails the test which breaks its rules.

    async with DiscordDouble() as double:
        ann = double.guild("G1").person("ann")
        with double.redirected():
            ...start a client with double.token...
            await double.ready()
        message = await ann.mentions_bot("general", "fix the build")
        thread = await double.until(lambda: message.thread)

Leaving the block raises if a request broke a rule that was not announced with `double.allow(code)`. People are in
`people.py`, records in `world.py`, the wire in `server.py` and `gateway.py`, failures to order in `faults.py`.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

import yarl

from tests.doubles.discord.app_routes import AppRoutes
from tests.doubles.discord.channel_routes import ChannelRoutes
from tests.doubles.discord.clock import Clock
from tests.doubles.discord.faults import Faults
from tests.doubles.discord.gateway import MEMBERS, MESSAGE_CONTENT, Gateway
from tests.doubles.discord.interactions import Interactions
from tests.doubles.discord.people import Guild
from tests.doubles.discord.permissions import BOT_DEFAULT
from tests.doubles.discord.posting import Posting
from tests.doubles.discord.rate_limits import RateLimits
from tests.doubles.discord.record import Call, Record, Violation
from tests.doubles.discord.server import API, Server
from tests.doubles.discord.threads import Threads
from tests.doubles.discord.world import JSON, Channel, Message, World

T = TypeVar("T")
TOKEN = "MTk4NjIyNDgzNDcxOTI1MjQ4.double.made-up-token"


class DiscordDouble:
    """One made-up Discord with one bot in it.

    `message_content` and `members` are the privileged intents granted to the bot; `house_rules` also demands a nonce
    on every send and allowed_mentions on every text that could ping. `port` 0 picks a free one.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        token: str = TOKEN,
        bot_name: str = "threadwork",
        message_content: bool = True,
        members: bool = False,
        house_rules: bool = True,
    ) -> None:
        granted = (MESSAGE_CONTENT if message_content else 0) | (MEMBERS if members else 0)
        self.token = token
        self.clock = Clock()
        self.world = World(self.clock, bot_name=bot_name)
        self.record = Record(house_rules)
        self.limits = RateLimits(self.clock.now)
        self.faults = Faults()
        self.gateway = Gateway(self.world, self.record, token=token, granted=granted)
        self.posting = Posting(self.world, self.gateway, self.limits)
        self.threads = Threads(self.posting)
        self.interactions = Interactions(self.posting)
        self.app = AppRoutes(self.world, self.gateway)
        self.channels = ChannelRoutes(self.threads)
        self.server = Server(self.world, self.gateway, self.limits, self.faults, self.record, token=token)
        self.api_url = self.gateway_url = ""
        self._port = port
        self._guilds: dict[str, Guild] = {}

    async def __aenter__(self) -> Self:
        routes = [*self.app.table(), *self.channels.table(), *self.interactions.table()]
        port = await self.server.start(routes, self._port)
        self.posting.origin = f"http://127.0.0.1:{port}"
        self.api_url = f"{self.posting.origin}{API}"
        self.gateway_url = self.gateway.url = f"ws://127.0.0.1:{port}/"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.gateway.cut(1001, abrupt=True)
        await self.server.stop()
        if kind is None and self.record.unexpected:
            raise AssertionError("Discord's rules were broken:\n" + "\n".join(map(str, self.record.unexpected)))

    @property
    def env(self) -> dict[str, str]:
        """The environment that points the program here."""
        return {
            "DISCORD_TOKEN": self.token,
            "DISCORD_API_URL": self.api_url,
            "DISCORD_GATEWAY_URL": self.gateway_url,
        }

    @contextlib.contextmanager
    def redirected(self) -> Iterator[None]:
        """Point discord.py in this process here, and back afterwards."""
        from discord.gateway import DiscordWebSocket
        from discord.http import Route

        before = Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY
        Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY = self.api_url, yarl.URL(self.gateway_url)
        try:
            yield
        finally:
            Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY = before

    # -- the made-up world -------------------------------------------------------------------------------------

    def guild(self, name: str = "G1", *, bot_permissions: int = BOT_DEFAULT) -> Guild:
        """The server of this name; the first call makes it, and the bot is in it."""
        if name not in self._guilds:
            self._guilds[name] = Guild(self, name, bot_permissions=bot_permissions)
        return self._guilds[name]

    @property
    def guilds(self) -> list[Guild]:
        return list(self._guilds.values())

    @property
    def mention(self) -> str:
        """How a text mentions the bot."""
        return f"<@{self.world.bot.id}>"

    def channel(self, number: str | int) -> Channel:
        return self.world.channels[str(number)]

    def thread(self, number: str | int) -> Channel:
        """A thread: `messages` now, `posts` ever, each message with its `history`."""
        found = self.channel(number)
        assert found.is_thread, f"{found.name} is no thread"
        return found

    def message(self, number: str | int) -> Message:
        for channel in self.world.channels.values():
            if str(number) in channel.posts:
                return channel.posts[str(number)]
        raise KeyError(number)

    async def advance(self, seconds: float) -> None:
        """Let time pass: messages age, tokens expire, idle threads go to the archive."""
        self.clock.advance(seconds)
        self.threads.archive_idle()

    # -- what the program did ----------------------------------------------------------------------------------

    @property
    def requests(self) -> list[Call]:
        return self.record.calls

    def calls(self, route: str) -> list[Call]:
        """Requests on one route, as "POST /channels/{channel}/messages"."""
        return [call for call in self.record.calls if call.route == route]

    @property
    def violations(self) -> list[Violation]:
        return self.record.violations

    def allow(self, *codes: str) -> None:
        """Expect violations: "50035", "40060", "10062", "429", "30046", "no-nonce", "no-allowed-mentions", …"""
        self.record.allow(*codes)

    @property
    def pings(self) -> list[tuple[Message, str]]:
        """Whom the bot's messages pinged: ("user:<id>", "role:<id>", "reply:<id>", "@everyone", "@here")."""
        return self.posting.pings

    @property
    def commands(self) -> dict[str | None, list[JSON]]:
        """Registered commands by guild id; None holds the global ones."""
        return self.app.commands

    # -- the gateway -------------------------------------------------------------------------------------------

    async def ready(self, sessions: int = 1, *, within: float = 30.0) -> None:
        """Wait until that many sessions are connected."""
        await self.until(lambda: len(self.gateway.live) >= sessions, within=within)

    async def cut_gateway(self, code: int = 4000, *, abrupt: bool = False) -> None:
        """Close every connection; a client that resumes misses nothing."""
        await self.gateway.cut(code, abrupt=abrupt)

    async def ask_to_reconnect(self) -> None:
        await self.gateway.ask_to_reconnect()

    async def invalidate_sessions(self, *, silently: bool = False) -> None:
        """End every session: what happens before the next IDENTIFY is lost to the client.

        Silently: the client only learns it when it tries to resume (cut the connection afterwards).
        """
        if silently:
            self.gateway.forget()
        else:
            await self.gateway.invalidate()

    def refuse_connections(self, times: int = 1) -> None:
        """Answer the next gateway handshakes with 503."""
        self.gateway.refusals = times

    def send_event(self, event: str, data: Any) -> None:
        """Send any event to every session, malformed ones too."""
        for session in self.gateway.sessions.values():
            if session.alive:
                session.append(event, data)

    def malform(self, event: str = "MESSAGE_CREATE") -> None:
        """Send an event without any of the fields it must have."""
        self.send_event(event, {"id": self.world.ids.new()})

    def repeat(self, event: str = "MESSAGE_CREATE") -> None:
        """Deliver the latest event of a kind once more."""
        self.gateway.repeat(event)

    # -- waiting -----------------------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], T], *, within: float = 30.0) -> T:
        """Wait until `condition` is true and return its value; say what the program did if it never is."""
        try:
            async with asyncio.timeout(within):
                while not (value := condition()):
                    await asyncio.sleep(0.01)
                return value
        except TimeoutError:
            recent = "\n".join(
                f"  {call.method} {call.path} -> {call.status} {call.code or ''}" for call in self.requests[-15:]
            )
            raise AssertionError(f"not so within {within} s; the last requests were:\n{recent}") from None
