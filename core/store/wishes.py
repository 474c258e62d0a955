"""What admins want done to sandboxes: stored by the page, taken up by the worker that sweeps.

The page has no way to a sandbox, and a chat at work must not lose its own under it: so a wish is a row, made only while
nobody has the chat, and done under a lease like everything else (`worker/sweep.py`).
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import Text, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.domain.chat import ChatId
from core.domain.states import SandboxState
from core.errors import IllegalStep, NotFound
from core.ports import Wish
from core.store.audit import note
from core.store.engine import single, transaction
from core.store.fence import no_chat
from core.store.health import IS_AT_REST
from core.store.tables import any_of, chats, sandbox_wishes

# The state from which each leads somewhere, and what the audit calls it.
_FROM: Final = {
    Wish.PAUSE: (SandboxState.RUNNING,),
    Wish.END: (SandboxState.RUNNING, SandboxState.PAUSED),
}
_SAYS: Final = {Wish.PAUSE: "paused a sandbox", Wish.END: "ended a sandbox"}
# Without a worker nothing is done; when one comes after long, it does not do what nobody thinks of any more.
_FORGOTTEN_AFTER: Final = timedelta(minutes=5)


class PostgresWishes:
    """`core.ports.Wishes` on Postgres."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def wish(self, chat_id: ChatId, wish: Wish, by: str) -> None:
        """Have a chat's sandbox paused or ended, unless the chat is at work: then `IllegalStep` says so."""
        may = select(chats.c.id, bindparam("wish", wish.value, Text), func.clock_timestamp()).where(
            chats.c.id == chat_id, any_of(chats.c.sandbox_state, _FROM[wish]), IS_AT_REST
        )
        made = insert(sandbox_wishes).from_select(["chat_id", "wish", "wished_at"], may)
        made = made.on_conflict_do_update(
            index_elements=[sandbox_wishes.c.chat_id],
            set_={"wish": made.excluded.wish, "wished_at": made.excluded.wished_at},
        )
        async with transaction(self._engine) as connection:
            if not (await connection.execute(made)).rowcount:
                raise await _why_not(connection, chat_id)
            await note(connection, chat_id, by, _SAYS[wish])

    async def given(self) -> Sequence[tuple[ChatId, Wish]]:
        """All wishes, now the caller's to do: nobody is given them again."""
        taken = delete(sandbox_wishes).returning(
            sandbox_wishes.c.chat_id,
            sandbox_wishes.c.wish,
            (sandbox_wishes.c.wished_at > func.clock_timestamp() - _FORGOTTEN_AFTER).label("is_due"),
        )
        async with single(self._engine) as connection:
            rows = (await connection.execute(taken)).all()
        return [(ChatId(row.chat_id), Wish(row.wish)) for row in rows if row.is_due]


async def _why_not(connection: AsyncConnection, chat_id: ChatId) -> IllegalStep | NotFound:
    query = select(chats.c.sandbox_state, IS_AT_REST.label("is_at_rest")).where(chats.c.id == chat_id)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return no_chat(chat_id)
    if not row.is_at_rest:
        return IllegalStep("This chat is at work, so its sandbox is left alone. Stop its turn, or wait until it rests.")
    return IllegalStep(f"The sandbox of this chat is {row.sandbox_state} already; nothing was done.")
