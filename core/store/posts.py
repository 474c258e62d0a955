"""Our posts: reserved before they are sent, so that a successor edits what is there instead of posting again.

One post that is not gone a slot, kept by a partial unique index; a new one for a slot whose post was deleted has a
new mark. Next: `stores.py`.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import Update, bindparam, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.domain.turn import TurnId
from core.errors import IllegalStep, NotFound
from core.ports import Fence, Post, PostState
from core.store.engine import single, transaction
from core.store.fence import hold
from core.store.rows import post_of
from core.store.tables import IS_THERE, posts, turns

# Discord takes a nonce of at most 25 characters: https://discord.com/developers/docs/resources/message
MARK_CHARS: Final = 24


class PostgresPosts:
    """`core.ports.Posts` on Postgres."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def of_turn(self, turn_id: TurnId) -> Sequence[Post]:
        """Every post of the turn, those gone included, in the order reserved."""
        query = select(posts).where(posts.c.turn_id == turn_id).order_by(posts.c.reserved_at, posts.c.slot)
        async with single(self._engine) as connection:
            return [post_of(row) for row in await connection.execute(query)]

    async def reserve(self, fence: Fence, turn_id: TurnId, slot: str) -> Post:
        """The post of that slot, made with a fresh mark when there is none or the last one is gone."""
        post_id = uuid4()
        mark = uuid4().hex[:MARK_CHARS]
        async with transaction(self._engine) as connection:
            await hold(connection, fence)
            await _need_turn(connection, fence, turn_id)
            made = (
                insert(posts)
                .values(
                    id=post_id,
                    chat_id=fence.chat_id,
                    turn_id=turn_id,
                    slot=slot,
                    mark=mark,
                    state=PostState.RESERVED.value,
                )
                .on_conflict_do_nothing(index_elements=["turn_id", "slot"], index_where=IS_THERE)
            )
            await connection.execute(made)
            found = select(posts).where(posts.c.turn_id == turn_id, posts.c.slot == slot, IS_THERE)
            return post_of((await connection.execute(found)).one())

    async def trying(self, fence: Fence, post_id: UUID) -> None:
        """The post is about to be sent: from now on it may be on the platform."""
        await self._change(fence, post_id, (PostState.RESERVED,), is_tried=True)

    async def sent(self, fence: Fence, post_id: UUID, external_id: str, fingerprint: str) -> None:
        """The post is on the platform, showing the payload of that fingerprint."""
        await self._change(
            fence,
            post_id,
            (PostState.RESERVED, PostState.SENT),
            state=PostState.SENT.value,
            external_id=external_id,
            fingerprint=fingerprint,
            is_tried=True,
        )

    async def edited(self, fence: Fence, post_id: UUID, fingerprint: str) -> None:
        """The post shows the payload of that fingerprint now."""
        await self._change(fence, post_id, (PostState.SENT,), fingerprint=fingerprint)

    async def gone(self, fence: Fence, post_id: UUID) -> None:
        """The post is no longer on the platform, or never will be."""
        await self._change(fence, post_id, tuple(PostState), state=PostState.GONE.value)

    async def _change(self, fence: Fence, post_id: UUID, frm: tuple[PostState, ...], **values: Any) -> None:
        async with transaction(self._engine) as connection:
            await hold(connection, fence)
            of = {"of_post": post_id, "of_chat": fence.chat_id}
            if (await connection.execute(_change_from(frm), {**of, **values})).rowcount:
                return
            query = select(posts.c.state).where(posts.c.id == post_id, posts.c.chat_id == fence.chat_id)
            state = (await connection.execute(query)).scalar_one_or_none()
            if state is None:
                raise NotFound(f"There is no post {post_id} in this chat.")
            raise IllegalStep(f"A post that is {state} cannot change so.")


@cache
def _change_from(states: tuple[PostState, ...]) -> Update:
    """Built once, as every edit has one; what is changed comes with the parameters."""
    is_it = (posts.c.id == bindparam("of_post")) & (posts.c.chat_id == bindparam("of_chat"))
    return update(posts).where(is_it, posts.c.state.in_(states))


async def _need_turn(connection: AsyncConnection, fence: Fence, turn_id: TurnId) -> None:
    query = select(turns.c.id).where(turns.c.id == turn_id, turns.c.chat_id == fence.chat_id)
    if (await connection.execute(query)).one_or_none() is None:
        raise NotFound(f"There is no turn {turn_id} in this chat.")
