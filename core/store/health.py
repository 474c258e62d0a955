"""Which worker has which chat, and how many sandboxes there are, within somebody's scope. Next: `chats.py`."""

from collections.abc import Mapping, Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from core.domain.access import Scope
from core.domain.states import SandboxState
from core.ports import Lease
from core.store.engine import single
from core.store.looks import within
from core.store.rows import chat_of
from core.store.tables import any_of, chats


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
        kept = (SandboxState.RUNNING, SandboxState.PAUSED)
        query = select(chats.c.sandbox_state, func.count()).where(within(scope), any_of(chats.c.sandbox_state, kept))
        async with single(self._engine) as connection:
            found = {row[0]: row[1] for row in await connection.execute(query.group_by(chats.c.sandbox_state))}
        return {state: found.get(state.value, 0) for state in kept}
