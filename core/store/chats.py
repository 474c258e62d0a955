"""Chats: their leases, their seats, and which of them want attention.

The database's clock decides whether a lease is live (`clock_timestamp`, which moves on while a statement waits for a
lock). Next: `messages.py`.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Interval, Row, bindparam, exists, func, or_, select, union, update
from sqlalchemy.ext.asyncio import AsyncEngine

from core.domain.chat import AgentSeat, Chat, ChatId, ChatSettings, Platform
from core.domain.states import ApprovalState, MessageState, SandboxState, TurnState
from core.ports import Fence
from core.store.engine import single, transaction
from core.store.fence import compare, hold_and_set, no_chat, why_not
from core.store.rows import chat_of, settings_body
from core.store.seats import take_seat
from core.store.tables import IS_UNMARKED, UNFINISHED, any_of, approvals, chats, messages, turns

_CLOCK: Final = func.clock_timestamp()
_IS_FREE: Final = or_(chats.c.lease_until.is_(None), chats.c.lease_until <= _CLOCK)


def _from_now(seconds: float) -> ColumnElement[Any]:
    return _CLOCK + timedelta(seconds=seconds)


# Built once: of an idle chat's time in a worker, most went into putting this together.
_RENEWED: Final = (
    update(chats)
    .where(chats.c.id == bindparam("held_id"), chats.c.epoch == bindparam("held_epoch"))
    .values(lease_until=_CLOCK + bindparam("lease", type_=Interval))
)
_OWED_FOR: Final = timedelta(days=1)


class PostgresChats:
    """`core.ports.Chats` on Postgres."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def get(self, chat_id: ChatId) -> Chat:
        """The chat, or `NotFound`."""
        row = await self._one(chats.c.id == chat_id)
        if row is None:
            raise no_chat(chat_id)
        return chat_of(row)

    async def by_key(self, key: str) -> Chat | None:
        """The chat with that key of its platform, if there is one."""
        row = await self._one(chats.c.key == key)
        return None if row is None else chat_of(row)

    async def take(self, chat_id: ChatId, worker: str, lease_s: float) -> tuple[Chat, Fence] | None:
        """Lease the chat for `lease_s` seconds under a new epoch; None while another's lease is live."""
        taken = (
            update(chats)
            .where(chats.c.id == chat_id, _IS_FREE)
            .values(epoch=chats.c.epoch + 1, lease_until=_from_now(lease_s), lease_worker=worker)
            .returning(chats)
        )
        async with single(self._engine) as connection:
            row = (await connection.execute(taken)).one_or_none()
        if row is None:
            await self.get(chat_id)
            return None
        return chat_of(row), Fence(chat_id, row.epoch)

    async def renew(self, fence: Fence, lease_s: float) -> None:
        """Lease the chat for `lease_s` seconds from now on."""
        held = {"held_id": fence.chat_id, "held_epoch": fence.epoch, "lease": timedelta(seconds=lease_s)}
        async with single(self._engine) as connection:
            if not (await connection.execute(_RENEWED, held)).rowcount:
                raise await why_not(connection, fence)

    async def release(self, fence: Fence) -> None:
        """End the lease, so that anyone may take the chat."""
        async with single(self._engine) as connection:
            await hold_and_set(connection, fence, lease_until=None, lease_worker=None)

    async def check(self, fence: Fence) -> None:
        """Raise `Fenced` when another run has the chat. Locks nothing: for use before calls to the outside."""
        async with single(self._engine) as connection:
            query = select(chats.c.epoch).where(chats.c.id == fence.chat_id)
            compare(fence, (await connection.execute(query)).scalar_one_or_none())

    async def save_seat(self, fence: Fence, seat: AgentSeat) -> None:
        """Store where the agent sits. Raises `IllegalStep` for a sandbox state it cannot have come to."""
        async with transaction(self._engine) as connection:
            await take_seat(connection, fence, seat)

    async def change_settings(self, chat_id: ChatId, settings: ChatSettings) -> None:
        """Set all of the chat's settings; a run that has the chat reads them when it next looks."""
        changed = update(chats).where(chats.c.id == chat_id).values(settings=settings_body(settings))
        async with single(self._engine) as connection:
            if not (await connection.execute(changed)).rowcount:
                raise no_chat(chat_id)

    async def unattended(self, limit: int = 500) -> Sequence[ChatId]:
        """Chats with something to do and no live lease, those that wait longest first."""
        is_open = exists().where(approvals.c.turn_id == turns.c.id, any_of(approvals.c.state, [ApprovalState.PENDING]))
        wanting = union(
            select(messages.c.chat_id).where(any_of(messages.c.state, [MessageState.QUEUED])),
            select(turns.c.chat_id).where(
                any_of(turns.c.state, UNFINISHED),
                or_(turns.c.state == TurnState.RUNNING, turns.c.stop_asked_at.is_not(None), ~is_open),
            ),
            # A surface that refuses an end for a day, or for good, is not asked again, unless something else happens in
            # the chat.
            select(turns.c.chat_id).where(
                turns.c.ended_at > func.now() - _OWED_FOR, ~turns.c.is_shown, turns.c.unshown_why.is_(None)
            ),
            select(messages.c.chat_id).where(IS_UNMARKED),
        ).subquery()
        query = (
            select(chats.c.id)
            .join(wanting, wanting.c.chat_id == chats.c.id)
            .where(_IS_FREE)
            .order_by(chats.c.active_at, chats.c.id)
            .limit(limit)
        )
        async with single(self._engine) as connection:
            return [ChatId(chat_id) for chat_id in (await connection.execute(query)).scalars()]

    async def idle(self, idle_s: float, limit: int = 100) -> Sequence[Chat]:
        """Chats whose sandbox runs for nobody: no unfinished turn, no live lease, nothing for `idle_s` seconds."""
        return await self._many(
            any_of(chats.c.sandbox_state, [SandboxState.RUNNING]),
            chats.c.active_at < func.now() - timedelta(seconds=idle_s),
            ~exists().where(turns.c.chat_id == chats.c.id, any_of(turns.c.state, UNFINISHED)),
            _IS_FREE,
            order_by=(chats.c.active_at,),
            limit=limit,
        )

    async def untouched(self, days: float, limit: int = 100) -> Sequence[Chat]:
        """Chats that still have a sandbox, paused or not, though nothing happened in them for so many days.

        One that waits for an answer all that time is among them; one whose turn runs is not.
        """
        return await self._many(
            any_of(chats.c.sandbox_state, [SandboxState.RUNNING, SandboxState.PAUSED]),
            chats.c.active_at < func.now() - timedelta(days=days),
            ~exists().where(turns.c.chat_id == chats.c.id, turns.c.state == TurnState.RUNNING),
            _IS_FREE,
            order_by=(chats.c.active_at,),
            limit=limit,
        )

    async def recent(self, platform: Platform | None = None, limit: int = 50) -> Sequence[Chat]:
        """The chats last active, newest first."""
        where = () if platform is None else (chats.c.platform == platform,)
        return await self._many(*where, order_by=(chats.c.active_at.desc(), chats.c.id), limit=limit)

    async def _one(self, where: ColumnElement[bool]) -> Row[Any] | None:
        async with single(self._engine) as connection:
            return (await connection.execute(select(chats).where(where))).one_or_none()

    async def _many(
        self, *where: ColumnElement[bool], order_by: Sequence[ColumnElement[Any]], limit: int
    ) -> Sequence[Chat]:
        query = select(chats).where(*where).order_by(*order_by).limit(limit)
        async with single(self._engine) as connection:
            return [chat_of(row) for row in await connection.execute(query)]
