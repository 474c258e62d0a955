"""Who did what, written in the transaction that does it. The table takes no change and no deletion.

Next: `migrations/versions`, whose trigger sees to that.
"""

from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.domain.chat import ChatId
from core.store.engine import transaction
from core.store.tables import audit


async def note(connection: AsyncConnection, chat_id: ChatId | None, actor: str, action: str, **details: Any) -> None:
    """Add a line: `actor` is a person's name, `action` what they did in the past tense."""
    line = {"chat_id": chat_id, "actor": actor, "action": action, "details": details}
    await connection.execute(insert(audit).values(line))


class PostgresAudit:
    """`core.ports.Audit` on Postgres."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def note(self, chat_id: ChatId | None, actor: str, action: str, **details: Any) -> None:
        """Add a line of its own, for what has no transaction that it could stand in."""
        async with transaction(self._engine) as connection:
            await note(connection, chat_id, actor, action, **details)
