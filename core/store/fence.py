"""The rule that makes a lost run harmless: a write with an old epoch changes nothing.

Every write of a run locks its chat's row first and compares the epoch there with its own. Taking the chat raises the
epoch on the same row, so the two can only come one after the other. The lock (`FOR NO KEY UPDATE`) is the weakest that
does it: rows that refer to the chat can be written meanwhile. Next: `chats.py`.
"""

from typing import Any, Final

from sqlalchemy import Row, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.chat import ChatId
from core.errors import Fenced, NotFound
from core.ports import Fence
from core.store.tables import chats

# Built once: every write of a run begins with it.
_EPOCH: Final = select(chats.c.epoch).where(chats.c.id == bindparam("held_id")).with_for_update(key_share=True)


async def hold(connection: AsyncConnection, fence: Fence) -> None:
    """Keep the chat for the rest of the transaction, or raise `Fenced`."""
    compare(fence, (await connection.execute(_EPOCH, {"held_id": fence.chat_id})).scalar_one_or_none())


async def hold_and_set(connection: AsyncConnection, fence: Fence, **values: Any) -> Row[Any]:
    """As `hold`, with a change to the chat's row in the same statement. Returns the row as it is then."""
    changed = (
        update(chats).where(chats.c.id == fence.chat_id, chats.c.epoch == fence.epoch).values(values).returning(chats)
    )
    row: Row[Any] | None = (await connection.execute(changed)).one_or_none()
    if row is None:
        raise await why_not(connection, fence)
    return row


async def why_not(connection: AsyncConnection, fence: Fence) -> Fenced | NotFound:
    """The error for a guarded change of the chat's row that found no row."""
    epoch = (await connection.execute(select(chats.c.epoch).where(chats.c.id == fence.chat_id))).scalar_one_or_none()
    return no_chat(fence.chat_id) if epoch is None else fenced(fence)


def compare(fence: Fence, epoch: int | None) -> None:
    """Raise `Fenced` when the chat's `epoch` is not the fence's, `NotFound` when there is no chat."""
    if epoch is None:
        raise no_chat(fence.chat_id)
    if epoch != fence.epoch:
        raise fenced(fence)


def fenced(fence: Fence) -> Fenced:
    """The error of a run whose time is over."""
    return Fenced(f"run {fence.epoch} of chat {fence.chat_id} is over")


def no_chat(chat_id: ChatId) -> NotFound:
    """The error for a chat that is not there."""
    return NotFound(f"There is no chat {chat_id}.")
