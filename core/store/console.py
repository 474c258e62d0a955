"""Console threads in Postgres: the platform behind the console's surface.

Other platforms keep our posts on their servers; the console has none, so they are kept here, and survive like them.
Next: `core/surfaces/console/client.py`, which speaks to it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql.dml import ReturningUpdate

from core.ports import ConsolePost
from core.store.engine import single
from core.store.tables import console_posts, console_receipts

# Built once, as every edit has one; what is changed comes with the parameters.
_CHANGE: Final = (
    update(console_posts)
    .where(console_posts.c.id == bindparam("of_post"), console_posts.c.is_deleted.is_(False))
    .returning(console_posts.c.id)
)
_REPLACE: Final = _CHANGE.values(edits=console_posts.c.edits + 1)


class PostgresConsoleThreads:
    """`core.ports.ConsoleThreads` on Postgres."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def put(self, key: str, mark: str, body: dict[str, Any]) -> str:
        """Make a post; the one that is there when the mark was used before."""
        made = (
            insert(console_posts)
            .values(id=uuid4(), chat_key=key, mark=mark, body=body)
            .on_conflict_do_update(index_elements=["mark"], set_={"chat_key": key})
            .returning(console_posts.c.id)
        )
        async with single(self._engine) as connection:
            return str((await connection.execute(made)).scalar_one())

    async def replace(self, post_id: str, body: dict[str, Any]) -> bool:
        """Change a post's body; False when there is no such post any more."""
        return await self._change(_REPLACE, post_id, body=body)

    async def remove(self, post_id: str) -> bool:
        """Take a post away; False when it is gone already."""
        return await self._change(_CHANGE, post_id, is_deleted=True)

    async def _change(self, change: ReturningUpdate[Any], post_id: str, **values: Any) -> bool:
        async with single(self._engine) as connection:
            found = await connection.execute(change, {"of_post": UUID(post_id), **values})
            return found.one_or_none() is not None

    async def by_mark(self, key: str, mark: str) -> str | None:
        """The id of the post with this mark in this thread."""
        query = select(console_posts.c.id).where(console_posts.c.chat_key == key, console_posts.c.mark == mark)
        async with single(self._engine) as connection:
            found = (await connection.execute(query)).scalar_one_or_none()
        return None if found is None else str(found)

    async def posts(self, key: str) -> Sequence[ConsolePost]:
        """The thread's posts, oldest first."""
        query = (
            select(console_posts)
            .where(console_posts.c.chat_key == key, console_posts.c.is_deleted.is_(False))
            .order_by(console_posts.c.position)
        )
        async with single(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        return [ConsolePost(str(row.id), row.mark, row.body, row.edits) for row in rows]

    async def put_receipt(self, key: str, message: str, receipt: str) -> None:
        """Show a receipt on a message, in place of the one before."""
        made = insert(console_receipts).values(chat_key=key, message=message, receipt=receipt)
        changed = made.on_conflict_do_update(
            index_elements=["chat_key", "message"],
            set_={"receipt": receipt, "changes": console_receipts.c.changes + 1},
        )
        async with single(self._engine) as connection:
            await connection.execute(changed)

    async def receipts(self, key: str) -> Mapping[str, str]:
        """Message id → the receipt it shows."""
        query = select(console_receipts.c.message, console_receipts.c.receipt).where(console_receipts.c.chat_key == key)
        async with single(self._engine) as connection:
            return {row.message: row.receipt for row in await connection.execute(query)}
