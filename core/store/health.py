"""Which worker has which chat, and how many sandboxes there are, within somebody's scope. Next: `chats.py`."""

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import and_, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from core.domain.access import Scope
from core.domain.chat import Chat
from core.domain.states import SandboxState
from core.ports import Lease, Wish
from core.store.engine import single
from core.store.looks import within
from core.store.rows import chat_of
from core.store.tables import UNFINISHED, any_of, chats, sandbox_wishes, turns

_KEPT: Final = (SandboxState.RUNNING, SandboxState.PAUSED)
# Nobody has the chat, and no turn of it waits to go on.
IS_AT_REST: Final = and_(
    or_(chats.c.lease_until.is_(None), chats.c.lease_until <= func.clock_timestamp()),
    ~exists().where(turns.c.chat_id == chats.c.id, any_of(turns.c.state, UNFINISHED)),
)


class PostgresLeases:
    """`core.ports.Leases` on Postgres."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def live(self, scope: Scope, limit: int = 500) -> Sequence[Lease]:
        """The leases that hold, by worker."""
        query = select(chats).where(within(scope), chats.c.lease_until > func.clock_timestamp())
        query = query.order_by(chats.c.lease_worker, chats.c.id).limit(limit)
        async with single(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        return [Lease(row.lease_worker or "", chat_of(row), row.lease_until) for row in rows]

    async def sandboxes(self, scope: Scope) -> Mapping[SandboxState, int]:
        """How many sandboxes run and how many are paused."""
        query = select(chats.c.sandbox_state, func.count()).where(within(scope), any_of(chats.c.sandbox_state, _KEPT))
        async with single(self._engine) as connection:
            found = {row[0]: row[1] for row in await connection.execute(query.group_by(chats.c.sandbox_state))}
        return {state: found.get(state.value, 0) for state in _KEPT}

    async def resting(self, scope: Scope, limit: int = 200) -> Sequence[tuple[Chat, Wish | None]]:
        """Chats whose sandbox is kept for later, those active last first, each with what is wished of it."""
        query = (
            select(chats, sandbox_wishes.c.wish)
            .outerjoin(sandbox_wishes, sandbox_wishes.c.chat_id == chats.c.id)
            .where(within(scope), any_of(chats.c.sandbox_state, _KEPT), IS_AT_REST)
            .order_by(chats.c.active_at.desc(), chats.c.id)
            .limit(limit)
        )
        async with single(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        return [(chat_of(row), Wish(row.wish) if row.wish else None) for row in rows]
