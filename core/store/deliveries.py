"""What did not arrive: queued messages that nobody takes, ends that no thread shows, turns that failed.

Each part reads a partial index of what is unfinished, or a week by the index on a turn's end. Next: `chats.py`, whose
`unattended` says what the sweeper tries by itself.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import Text, cast, func, literal, null, or_, select, union_all
from sqlalchemy.ext.asyncio import AsyncEngine

from core.domain.access import Scope
from core.domain.states import MessageState, TurnState
from core.ports import Owed, OwedKind, PostState
from core.store.engine import single
from core.store.looks import within
from core.store.rows import chat_of
from core.store.tables import any_of, chats, messages, posts, turns

# What takes longer is late: a worker takes a message in milliseconds, and an end is shown within some seconds.
_LATE: Final = timedelta(minutes=1)
_FAILED_FOR: Final = timedelta(days=7)
_GONE_FOR: Final = timedelta(days=30)


class PostgresDeliveries:
    """`core.ports.Deliveries` on Postgres."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def owed(self, scope: Scope, limit: int = 200) -> Sequence[Owed]:
        """What did not arrive, the latest first."""
        reserved = select(func.count()).where(posts.c.turn_id == turns.c.id, posts.c.state == PostState.RESERVED.value)
        queued = (
            select(
                literal(OwedKind.MESSAGE.value, Text).label("kind"),
                messages.c.chat_id.label("owed_to"),
                func.min(messages.c.created_at).label("since"),
                cast(null(), Text).label("why"),
                literal(0).label("posts"),
            )
            .where(any_of(messages.c.state, [MessageState.QUEUED]), messages.c.created_at < func.now() - _LATE)
            # One that waits for the end of a turn is not late.
            .where(
                ~select(turns.c.id).where(turns.c.chat_id == messages.c.chat_id, turns.c.ended_at.is_(None)).exists()
            )
            .group_by(messages.c.chat_id)
        )
        unshown = select(
            literal(OwedKind.END.value, Text),
            turns.c.chat_id,
            turns.c.ended_at,
            func.coalesce(turns.c.unshown_why, turns.c.error),
            reserved.scalar_subquery(),
        ).where(
            turns.c.ended_at < func.now() - _LATE,
            ~turns.c.is_shown,
            # A thread that is gone for good is not complained of for ever.
            or_(turns.c.unshown_why.is_(None), turns.c.ended_at > func.now() - _GONE_FOR),
        )
        failed = select(
            literal(OwedKind.FAILURE.value, Text), turns.c.chat_id, turns.c.ended_at, turns.c.error, literal(0)
        ).where(turns.c.state == TurnState.FAILED.value, turns.c.ended_at > func.now() - _FAILED_FOR, turns.c.is_shown)
        found = union_all(queued, unshown, failed).subquery("found")
        query = (
            select(chats, found.c.kind, found.c.since, found.c.why, found.c.posts)
            .join(found, found.c.owed_to == chats.c.id)
            .where(within(scope))
            .order_by(found.c.since.desc(), chats.c.id)
            .limit(limit)
        )
        async with single(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        return [Owed(OwedKind(row.kind), chat_of(row), row.since, row.why or "", row.posts) for row in rows]
