"""The console bot, composed: the same use cases as the other platforms, for a person at a terminal.

`open_console` yields a `ConsoleChat`, with which `play.py` plays prompts given on the command line, and `terminal.py`
talks. What is shown comes from the event bus, and from the database where the bus has forgotten.
"""

import getpass
import os
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

from bots.intake import Intake
from core.bus.connection import open_redis
from core.bus.control import open_control
from core.bus.events import RedisEventBus
from core.domain.approval import Approval, ApprovalId, Decision
from core.domain.chat import Author, Chat, ChatSettings, Place, Platform, Role
from core.domain.events import RunEvent, TurnFinished
from core.domain.message import Message
from core.domain.turn import TurnId
from core.ports import Cursor, EventBus, Missed, Recorded, Stores, Traces
from core.queue import ArqWorkQueue
from core.store.stores import open_stores

# A cursor from which everything is seen, for a chat that has just begun.
BEGINNING = Cursor("")


@dataclass(frozen=True, slots=True)
class Seen:
    """An event as the console sees it."""

    turn_id: TurnId
    event: RunEvent


class ConsoleChat:
    """One console chat: say, decide, stop, and watch."""

    def __init__(self, place: Place, author: Author, stores: Stores, bus: EventBus, intake: Intake) -> None:
        self.place = place
        self.author = author
        self.stores = stores
        self.intake = intake
        self._bus = bus

    async def find(self) -> Chat | None:
        """The chat, if anything was ever said in it."""
        return await self.stores.chats.by_key(self.place.key)

    async def say(self, text: str, settings: ChatSettings) -> tuple[Chat, Message]:
        """Say something; a new chat begins with `settings`, an old one takes their mode and model.

        Raises `BadInput`, and `Unavailable` when it was not kept.
        """
        accepted = await self.intake.accept(self.place, self.author, uuid4().hex, text, settings=settings)
        return accepted.chat, accepted.message

    async def decide(self, approval_id: str, decision: Decision) -> Approval:
        """Answer a question."""
        return await self.intake.decide(ApprovalId(UUID(approval_id)), decision, self.author)

    async def stop(self) -> bool:
        """Stop what runs; whether anything did."""
        chat = await self.find()
        return chat is not None and await self.intake.stop(chat.id, self.author)

    async def cursor(self, chat: Chat) -> Cursor:
        """Where the bus stands now, to watch from."""
        return await self._bus.cursor(chat.id)

    async def watch(self, chat: Chat, after: Cursor) -> AsyncGenerator[Seen, None]:
        """Every event after the cursor, in order. What the bus has lost is read from the database; deltas are not
        kept there.
        """
        turn_id: TurnId | None = None
        seq = 0
        async for item in self._bus.subscribe(chat.id, after):
            if isinstance(item, Missed):
                missed: Sequence[Recorded] = await self._missed(chat, turn_id, seq)
            elif item.seq is None:
                yield Seen(item.turn_id, item.event)
                continue
            else:
                at = seq if item.turn_id == turn_id else 0
                if item.seq <= at:
                    continue
                is_next = item.seq == at + 1
                missed = [] if is_next else await self.stores.turns.events(item.turn_id, after=at)
                if is_next:
                    turn_id, seq = item.turn_id, item.seq
                    yield Seen(item.turn_id, item.event)
            for recorded in missed:
                turn_id, seq = recorded.turn_id, recorded.seq
                yield Seen(recorded.turn_id, recorded.event)

    async def _missed(self, chat: Chat, turn_id: TurnId | None, seq: int) -> list[Recorded]:
        """What the database has of the turn we know and of those after it."""
        found: list[Recorded] = []
        for turn in await self.stores.turns.recent(chat.id, limit=5):
            is_known = turn.id == turn_id
            if turn_id is None and turn.ended_at is not None:
                break
            found[:0] = await self.stores.turns.events(turn.id, after=seq if is_known else 0)
            if is_known:
                break
        return found


def is_end(event: RunEvent) -> bool:
    """Whether a turn is over with this event."""
    return isinstance(event, TurnFinished)


@asynccontextmanager
async def open_console(
    database_url: str, redis_url: str, name: str, traces: Traces | None = None
) -> AsyncIterator[ConsoleChat]:
    """Connect, and be in the console chat `name` as the person who runs this program."""
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(open_stores(database_url, pool_size=3))
        redis = await stack.enter_async_context(open_redis(redis_url))
        control = await stack.enter_async_context(open_control(redis))
        queue = await stack.enter_async_context(ArqWorkQueue.open(redis_url))
        place = Place(Platform.CONSOLE, "local", "", name)
        author = Author(str(os.getuid()), _user_name(), Role.ADMIN)
        yield ConsoleChat(place, author, stores, RedisEventBus(redis), Intake(stores, control, queue, traces))


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A uid without an entry in the password file, as in a container.
        return f"uid {os.getuid()}"
