"""The gateway: sessions that remember every event, and connections that read them from where they left off.

A session's events go to its log, numbered; a connection is a cursor into that log. So a resume is a new cursor, and an
event sent while nobody was connected waits there. Close codes and opcodes:
https://docs.discord.com/developers/topics/opcodes-and-status-codes#gateway. `double.py` holds the knobs.
"""

import asyncio
import contextlib
import json
import secrets
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from tests.doubles.discord import payloads
from tests.doubles.discord.permissions import may
from tests.doubles.discord.record import Record
from tests.doubles.discord.world import DM, JSON, Channel, Message, World

GUILDS, MEMBERS, PRESENCES, GUILD_MESSAGES, GUILD_REACTIONS = 1 << 0, 1 << 1, 1 << 8, 1 << 9, 1 << 10
DIRECT_MESSAGES, DIRECT_REACTIONS, MESSAGE_CONTENT = 1 << 12, 1 << 13, 1 << 15
PRIVILEGED = MEMBERS | PRESENCES | MESSAGE_CONTENT
_MOST_SENDS, _SENDS_SECONDS = 120, 60.0
_HEARTBEAT_MS = 41_250


@dataclass(slots=True, eq=False)
class Session:
    """What IDENTIFY began: it outlives its connections until it is made invalid or said goodbye to."""

    id: str
    intents: int
    shard: tuple[int, int]
    log: list[str] = field(default_factory=list)
    connection: "Connection | None" = None
    alive: bool = True
    resumes: int = 0

    def append(self, event: str, data: Any) -> None:
        number = len(self.log) + 1
        self.log.append(json.dumps({"op": 0, "s": number, "t": event, "d": data}))
        if self.connection is not None:
            self.connection.more.set()


@dataclass(slots=True, eq=False)
class Connection:
    socket: web.WebSocketResponse
    request: web.Request
    more: asyncio.Event = field(default_factory=asyncio.Event)
    session: Session | None = None
    cursor: int = 0
    sends: deque[float] = field(default_factory=deque)


class Gateway:
    """All sessions of one bot token. `granted` are the privileged intents switched on in the developer portal."""

    def __init__(self, world: World, record: Record, *, token: str, granted: int) -> None:
        self.world = world
        self.record = record
        self.token = token
        self.granted = granted
        self.sessions: dict[str, Session] = {}
        self.identifies = 0
        self.refusals = 0  # handshakes still to be refused
        self.needs_shards = 1
        self.url = ""
        self._open: set[Connection] = set()

    @property
    def live(self) -> list[Session]:
        return [one for one in self.sessions.values() if one.alive and one.connection is not None]

    # -- what the world tells the sessions ---------------------------------------------------------------------

    def dispatch(self, event: str, data: JSON, *, channel: Channel | None = None, intent: int = 0) -> None:
        """Tell every session that asked for it and may see it."""
        guild = channel.guild if channel else None
        guild_id = guild.id if guild else data.get("guild_id")
        if channel is not None and guild is not None and not may(channel, self.world.bot, "VIEW_CHANNEL"):
            return
        for session in self.sessions.values():
            if session.alive and (not intent or session.intents & intent) and _on_shard(session, guild_id):
                session.append(event, data)

    def dispatch_message(self, event: str, message: Message) -> None:
        """MESSAGE_CREATE or MESSAGE_UPDATE, without its content for those not entitled to it."""
        channel = message.channel
        intent = DIRECT_MESSAGES if channel.kind == DM else GUILD_MESSAGES
        if channel.guild is not None and not may(channel, self.world.bot, "VIEW_CHANNEL"):
            return
        data = payloads.message(self.world, message, event=True)
        for session in self.sessions.values():
            if session.alive and session.intents & intent and _on_shard(session, data.get("guild_id")):
                readable = bool(session.intents & MESSAGE_CONTENT) or self.is_entitled(message)
                session.append(event, data if readable else hide_content(data))

    def is_entitled(self, message: Message) -> bool:
        """Content comes without the intent in direct messages, of one's own, and where the bot is mentioned."""
        bot = self.world.bot
        return message.channel.kind == DM or message.author is bot or bot in message.mentions

    # -- connections -------------------------------------------------------------------------------------------

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.refusals > 0:
            self.refusals -= 1
            return web.Response(status=503)
        socket = web.WebSocketResponse(timeout=1.0, max_msg_size=4096)
        await socket.prepare(request)
        connection = Connection(socket, request)
        self._open.add(connection)
        try:
            await self._serve(connection)
        finally:
            self._open.discard(connection)
            if connection.session is not None and connection.session.connection is connection:
                connection.session.connection = None
                if socket.close_code in {1000, 1001} and connection.session.id in self.sessions:
                    connection.session.alive = False
        return socket

    async def _serve(self, connection: Connection) -> None:
        await self._send(connection, 10, {"heartbeat_interval": _HEARTBEAT_MS, "_trace": ["double"]})
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(self._write(connection))
            try:
                async for frame in connection.socket:
                    if frame.type is WSMsgType.TEXT:
                        await self._read(connection, frame.data)
                        if connection.socket.closed:
                            return
            finally:
                writer.cancel()

    async def _write(self, connection: Connection) -> None:
        while True:
            await connection.more.wait()
            connection.more.clear()
            session = connection.session
            while session is not None and connection.cursor < len(session.log):
                line = session.log[connection.cursor]
                connection.cursor += 1
                try:
                    await connection.socket.send_str(line)
                except (ConnectionError, RuntimeError):
                    return

    async def _send(self, connection: Connection, op: int, data: Any) -> None:
        # A client that has just gone is no fault of the double's.
        with contextlib.suppress(ConnectionError):
            if not connection.socket.closed:
                await connection.socket.send_str(json.dumps({"op": op, "s": None, "t": None, "d": data}))

    async def _read(self, connection: Connection, text: str) -> None:
        now = asyncio.get_running_loop().time()
        connection.sends.append(now)
        while connection.sends[0] < now - _SENDS_SECONDS:
            connection.sends.popleft()
        if len(connection.sends) > _MOST_SENDS:
            await self._refuse(connection, 4008, "You are being rate limited.")
            return
        try:
            frame = json.loads(text)
            op, data = frame["op"], frame.get("d")
        except (ValueError, KeyError, TypeError):
            await self._refuse(connection, 4002, "Error while decoding payload.")
            return
        if op == 1:
            await self._send(connection, 11, None)
        elif op == 2:
            await self._identify(connection, data)
        elif op == 6:
            await self._resume(connection, data)
        elif op in {3, 4, 8, 31}:
            if connection.session is None:
                await self._refuse(connection, 4003, "Not authenticated.")
        else:
            await self._refuse(connection, 4001, "Unknown opcode.")

    async def _refuse(self, connection: Connection, code: int, words: str, *, violation: bool = True) -> None:
        if violation:
            self.record.add(str(code), f"gateway: {words}")
        await connection.socket.close(code=code, message=words.encode())

    async def _identify(self, connection: Connection, data: JSON) -> None:
        shard = tuple(data.get("shard") or (0, 1))
        intents = data.get("intents")
        if connection.session is not None:
            await self._refuse(connection, 4005, "Already authenticated.")
        elif data.get("token") != self.token:
            await self._refuse(connection, 4004, "Authentication failed.", violation=False)
        elif len(shard) != 2 or not 0 <= shard[0] < shard[1]:
            await self._refuse(connection, 4010, "Invalid shard.")
        elif shard[1] < self.needs_shards:
            await self._refuse(connection, 4011, "Sharding required.", violation=False)
        elif not isinstance(intents, int) or not 0 <= intents < 1 << 26:
            await self._refuse(connection, 4013, "Invalid intent(s).")
        elif intents & PRIVILEGED & ~self.granted:
            await self._refuse(connection, 4014, "Disallowed intent(s).", violation=False)
        else:
            self.identifies += 1
            self._begin(connection, Session(secrets.token_hex(16), intents, (shard[0], shard[1])))

    def _begin(self, connection: Connection, session: Session) -> None:
        self.sessions[session.id] = session
        connection.session, session.connection = session, connection
        guilds = [guild for guild in self.world.guilds.values() if _on_shard(session, guild.id)]
        session.append(
            "READY",
            {
                "v": 10,
                "user": payloads.user(self.world.bot) | {"verified": True, "mfa_enabled": False, "email": None},
                "guilds": [{"id": guild.id, "unavailable": True} for guild in guilds],
                "session_id": session.id,
                "resume_gateway_url": self.url,
                "shard": list(session.shard),
                "application": {"id": self.world.app_id, "flags": 0},
                "private_channels": [],
                "_trace": ["double"],
            },
        )
        if session.intents & GUILDS:
            for guild in guilds:
                session.append("GUILD_CREATE", payloads.guild(guild, bot=self.world.bot))

    async def _resume(self, connection: Connection, data: JSON) -> None:
        session = self.sessions.get(str(data.get("session_id")))
        if data.get("token") != self.token:
            await self._refuse(connection, 4004, "Authentication failed.", violation=False)
        elif session is None or not session.alive:
            await self._send(connection, 9, data=False)
        elif not isinstance(data.get("seq"), int) or not 0 <= data["seq"] <= len(session.log):
            await self._refuse(connection, 4007, "Invalid seq.")
        else:
            connection.session, session.connection, connection.cursor = session, connection, data["seq"]
            session.resumes += 1
            session.append("RESUMED", {"_trace": ["double"]})

    # -- knobs -------------------------------------------------------------------------------------------------

    async def cut(self, code: int = 4000, *, abrupt: bool = False) -> None:
        """Close every connection; the sessions live on. `abrupt` tears the socket without a word."""
        for connection in list(self._open):
            if connection.session is not None and connection.session.connection is connection:
                connection.session.connection = None
            if abrupt and connection.request.transport is not None:
                connection.request.transport.abort()
            else:
                await connection.socket.close(code=code)

    async def ask_to_reconnect(self) -> None:
        for connection in list(self._open):
            await self._send(connection, 7, None)

    def forget(self) -> None:
        """Make every session invalid without saying so: a resume will be told, and what happens till then is lost."""
        for session in self.sessions.values():
            session.alive = False

    async def invalidate(self) -> None:
        """Make every session invalid, and say so."""
        self.forget()
        for connection in list(self._open):
            await self._send(connection, 9, data=False)

    def repeat(self, event: str) -> None:
        """Send the latest event of this kind once more, under a new number."""
        for session in self.sessions.values():
            same = [row for row in map(json.loads, session.log) if row["t"] == event]
            if session.alive and same:
                session.append(event, same[-1]["d"])


def _on_shard(session: Session, guild_id: str | None) -> bool:
    index, count = session.shard
    return (int(guild_id) >> 22) % count == index if guild_id else index == 0


def hide_content(data: JSON) -> JSON:
    """A message as one sees it without the message content intent."""
    hidden = data | {"content": "", "embeds": [], "attachments": [], "components": []}
    if isinstance(hidden.get("referenced_message"), dict):
        hidden["referenced_message"] = hide_content(hidden["referenced_message"])
    return hidden
