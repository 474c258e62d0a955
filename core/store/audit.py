"""Who did what, written in the transaction that does it. The table takes no change and no deletion.

Next: `migrations/versions`, whose trigger sees to that.
"""

from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.chat import ChatId
from core.store.tables import audit


async def note(connection: AsyncConnection, chat_id: ChatId | None, actor: str, action: str, **details: Any) -> None:
    """Add a line: `actor` is a person's name, `action` what they did in the past tense."""
    line = {"chat_id": chat_id, "actor": actor, "action": action, "details": details}
    await connection.execute(insert(audit).values(line))
