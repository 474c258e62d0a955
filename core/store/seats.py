"""Storing where the agent of a chat sits: the fence and the sandbox's state in one guarded statement.

Next: `turns.py`, which stores a seat together with the events read up to it.
"""

from decimal import Decimal

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.chat import AgentSeat
from core.domain.states import Actor, sources
from core.errors import IllegalStep
from core.ports import Fence
from core.store.fence import why_not
from core.store.rows import seat_columns
from core.store.tables import chats


async def take_seat(
    connection: AsyncConnection, fence: Fence, seat: AgentSeat, spent_usd: Decimal | None = None
) -> None:
    """Store `seat`, keeping the chat for the rest of the transaction.

    With `spent_usd` a turn is ending: the chat's cost grows by it and the chat counts as active now.
    Raises `Fenced`, or `IllegalStep` when the sandbox cannot have come to that state.
    """
    values = seat_columns(seat)
    if spent_usd is not None:
        values |= {"cost_usd": chats.c.cost_usd + spent_usd, "active_at": func.now()}
    before = sources(seat.sandbox_state, Actor.RUN) | {seat.sandbox_state.value}
    guarded = update(chats).where(
        chats.c.id == fence.chat_id, chats.c.epoch == fence.epoch, chats.c.sandbox_state.in_(sorted(before))
    )
    if (await connection.execute(guarded.values(values))).rowcount:
        return
    raise await _why_no_seat(connection, fence, seat)


async def _why_no_seat(connection: AsyncConnection, fence: Fence, seat: AgentSeat) -> Exception:
    query = select(chats.c.epoch, chats.c.sandbox_state).where(chats.c.id == fence.chat_id)
    row = (await connection.execute(query)).one_or_none()
    if row is None or row.epoch != fence.epoch:
        return await why_not(connection, fence)
    return IllegalStep(f"SandboxState cannot go from {row.sandbox_state} to {seat.sandbox_state}")
