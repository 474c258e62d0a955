"""Messages: taken in once, changed only while queued, delivered by a run.

How one is taken in is in `accept.py`. Next: `turns.py`.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.domain.chat import Author, ChatId, ChatSettings, Place
from core.domain.message import FileIn, Message, MessageId
from core.domain.states import Actor, MessageState, sources
from core.domain.turn import TurnId
from core.errors import IllegalStep, NotFound
from core.ports import Accepted, Fence
from core.store.accept import Incoming, already, look, make, store
from core.store.engine import single, transaction
from core.store.fence import hold
from core.store.rows import message_of
from core.store.tables import IS_UNMARKED, UNFINISHED, any_of, messages, turns


class PostgresMessages:
    """`core.ports.Messages` on Postgres."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def accept(
        self,
        place: Place,
        author: Author,
        external_id: str,
        text: str,
        files: Sequence[FileIn] = (),
        *,
        settings: ChatSettings | None = None,
        title: str | None = None,
    ) -> Accepted:
        """Store a message, its chat, person and tenant, whichever are new; keep the person's name and role fresh.

        `settings` and `title` are for a new chat; without a title it is the text's first line.
        """
        incoming = Incoming(place, author, external_id, text, files, settings or ChatSettings(), title)
        async with single(self._engine) as connection:
            known = await look(connection, incoming)
            if known.has_message:
                return await already(connection, incoming)
            if known.chat is not None and known.person_id is not None:
                stored = await store(connection, incoming, known.chat, known.person_id)
                return stored or await already(connection, incoming)
        async with transaction(self._engine) as connection:
            accepted = await make(connection, incoming, known)
            if accepted is None:
                await connection.rollback()
        if accepted is not None:
            return accepted
        async with single(self._engine) as connection:
            return await already(connection, incoming)

    async def queued(self, chat_id: ChatId) -> Sequence[Message]:
        """What waits to be delivered, in the order it was accepted."""
        return await self._many(messages.c.chat_id == chat_id, any_of(messages.c.state, [MessageState.QUEUED]))

    async def of_turn(self, turn_id: TurnId) -> Sequence[Message]:
        """What was delivered to the turn, in the order it was accepted."""
        return await self._many(messages.c.turn_id == turn_id)

    async def recent(self, chat_id: ChatId, limit: int = 50) -> Sequence[Message]:
        """The chat's last messages, newest first."""
        query = select(messages).where(messages.c.chat_id == chat_id).order_by(messages.c.position.desc()).limit(limit)
        async with single(self._engine) as connection:
            return [message_of(row) for row in await connection.execute(query)]

    async def edit(self, key: str, text: str) -> bool:
        """Change the text of a queued message; False when there is none of that key, or it is too late."""
        is_queued = any_of(messages.c.state, [MessageState.QUEUED])
        changed = update(messages).where(messages.c.key == key, is_queued).values(text=text, edited_at=func.now())
        async with single(self._engine) as connection:
            return bool((await connection.execute(changed)).rowcount)

    async def drop(self, key: str) -> bool:
        """Set a queued message aside for good; False when there is none of that key, or it is too late."""
        may_drop = messages.c.state.in_(sources(MessageState.DROPPED, Actor.PERSON))
        dropped = update(messages).where(messages.c.key == key, may_drop).values(state=MessageState.DROPPED.value)
        async with single(self._engine) as connection:
            return bool((await connection.execute(dropped)).rowcount)

    async def deliver(self, fence: Fence, turn_id: TurnId, ids: Sequence[MessageId]) -> None:
        """Hand queued messages to the unfinished turn, all or none.

        Raises `IllegalStep` when the turn is over, or one of them is no longer queued: read `queued` again.
        """
        async with transaction(self._engine) as connection:
            await hold(connection, fence)
            is_open = any_of(turns.c.state, UNFINISHED)
            query = select(turns.c.id).where(turns.c.id == turn_id, turns.c.chat_id == fence.chat_id, is_open)
            if (await connection.execute(query)).one_or_none() is None:
                raise IllegalStep(f"Turn {turn_id} takes no more messages.")
            await deliver_all(connection, fence.chat_id, turn_id, ids)

    async def unmarked(self, chat_id: ChatId) -> Sequence[Message]:
        """Messages whose receipt does not show their state: a final one, or that they are being worked on."""
        is_untold = any_of(messages.c.state, [MessageState.DELIVERED]) & (
            messages.c.receipt.is_(None) | messages.c.receipt.not_in(["working", "steered"])
        )
        return await self._many(messages.c.chat_id == chat_id, IS_UNMARKED | is_untold)

    async def marked(self, fence: Fence, message_id: MessageId, receipt: str) -> None:
        """Remember which receipt is on a message."""
        marked = update(messages).where(messages.c.id == message_id, messages.c.chat_id == fence.chat_id)
        async with transaction(self._engine) as connection:
            await hold(connection, fence)
            if not (await connection.execute(marked.values(receipt=receipt))).rowcount:
                raise NotFound(f"There is no message {message_id} in this chat.")

    async def _many(self, *where: ColumnElement[bool]) -> Sequence[Message]:
        query = select(messages).where(*where).order_by(messages.c.position)
        async with single(self._engine) as connection:
            return [message_of(row) for row in await connection.execute(query)]


async def deliver_all(connection: AsyncConnection, chat_id: ChatId, turn_id: TurnId, ids: Sequence[MessageId]) -> None:
    """Move `ids` from the queue into the turn, or raise `IllegalStep`; the caller holds the chat."""
    wanted = set(ids)
    delivered = (
        update(messages)
        .where(
            messages.c.id.in_(wanted),
            messages.c.chat_id == chat_id,
            messages.c.state.in_(sources(MessageState.DELIVERED, Actor.RUN)),
        )
        .values(state=MessageState.DELIVERED.value, turn_id=turn_id)
    )
    if (await connection.execute(delivered)).rowcount != len(wanted):
        raise IllegalStep("A message was edited away or delivered before: read the queue again.")


async def settle_all(
    connection: AsyncConnection, turn_id: TurnId, to: MessageState, answered: Sequence[MessageId] | None
) -> None:
    """End the turn's delivered messages as `to`; those not in `answered`, if that is given, are queued again."""
    is_delivered = messages.c.state.in_(sources(to, Actor.RUN) & sources(MessageState.QUEUED, Actor.RUN))
    of_turn = update(messages).where(messages.c.turn_id == turn_id, is_delivered)
    if answered is None:
        await connection.execute(of_turn.values(state=to.value))
        return
    if answered:
        await connection.execute(of_turn.where(messages.c.id.in_(answered)).values(state=to.value))
    await connection.execute(of_turn.values(state=MessageState.QUEUED.value, turn_id=None))
