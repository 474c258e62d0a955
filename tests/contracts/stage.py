"""A stage for the store's contracts: chats, messages and turns in few words, on a real database."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.domain.approval import Approval, ApprovalKind
from core.domain.chat import AgentSeat, Author, Place, Platform
from core.domain.events import TextWritten, TurnFinished
from core.domain.states import SandboxState, TurnState
from core.domain.turn import Turn, Usage
from core.ports import Accepted, Asked, Fence, Stores
from core.store.tables import metadata

ANN = Author("U1", "Ann")
BOB = Author("U2", "Bob")
SEAT = AgentSeat(
    sandbox_id="sb1",
    sandbox_state=SandboxState.RUNNING,
    pid=7,
    run_dir="/run/1",
    offset=10,
    session_id="s1",
    pending={"r1": '{"a": "\\u0000"}'},
    cost_seen_usd=Decimal("0.25"),
)
LONG_S = 300.0
OVER_S = -1.0


def place(thread: str = "100.1", tenant: str = "T1") -> Place:
    return Place(Platform.SLACK, tenant, "C1", thread)


def end(state: TurnState = TurnState.DONE, text: str = "All done.") -> TurnFinished:
    error = "It broke." if state is TurnState.FAILED else None
    return TurnFinished(state, text, Usage(1, 2, 3, 4), Decimal("0.01"), 2.5, error=error)


def wrote(*texts: str) -> Sequence[TextWritten]:
    return [TextWritten(words) for words in texts]


@dataclass(slots=True)
class Stage:
    """The store under test, and shortcuts to situations in it."""

    stores: Stores
    engine: AsyncEngine
    _ids: "count[int]" = field(default_factory=lambda: count(1))

    async def says(self, words: str, *, thread: str = "100.1", author: Author = ANN, **more: Any) -> Accepted:
        return await self.stores.messages.accept(place(thread), author, f"200.{next(self._ids)}", words, **more)

    async def taken(self, accepted: Accepted, worker: str = "w1", lease_s: float = LONG_S) -> Fence:
        took = await self.stores.chats.take(accepted.chat.id, worker, lease_s)
        assert took is not None
        return took[1]

    async def begun(self, *, thread: str = "100.1") -> tuple[Fence, Turn, Accepted]:
        """A chat with one message, in a running turn."""
        accepted = await self.says("do it", thread=thread)
        fence = await self.taken(accepted)
        return fence, await self.stores.turns.begin(fence, [accepted.message.id]), accepted

    async def asks(self, fence: Fence, turn: Turn, tool_use_id: str = "tu1", seq: int = 2) -> Approval:
        asked = Asked(turn.id, tool_use_id, ApprovalKind.TOOL, "Bash", {"command": "ls"}, "Run ls", ({"a": 1},), "why")
        return (await self.stores.approvals.ask(fence, asked, seq))[0]

    async def dump(self) -> dict[str, list[str]]:
        """Every row of every table, to see whether anything changed."""
        found = {}
        async with self.engine.connect() as connection:
            for table in metadata.tables.values():
                rows = await connection.execute(text(f"SELECT t::text FROM {table.name} t ORDER BY 1"))  # noqa: S608
                found[table.name] = list(rows.scalars())
        return found

    async def runs(self, sql: str, **values: Any) -> None:
        async with self.engine.connect() as connection:
            await connection.execute(text(sql), values)

    async def one(self, sql: str, **values: Any) -> Any:
        async with self.engine.connect() as connection:
            return (await connection.execute(text(sql), values)).scalar_one()

    @asynccontextmanager
    async def holding(self) -> AsyncIterator[AsyncConnection]:
        """A transaction beside those of the store."""
        async with self.engine.connect() as connection:
            await connection.execution_options(isolation_level="READ COMMITTED")
            yield connection

    async def someone_waits_for_a_lock(self) -> None:
        """Return once a statement of this database waits for a row that another transaction holds."""
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        async with asyncio.timeout(30):
            while not await self.one(waiting):
                await asyncio.sleep(0.01)
