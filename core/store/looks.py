"""What is seen from the admin page, always within somebody's scope.

Each query carries the scope in its WHERE, so no page can forget it. Next: `sessions.py`, whose scope it is.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, exists, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncEngine

from core.domain.access import Scope
from core.domain.approval import Approval, ApprovalId
from core.domain.chat import Chat, ChatId
from core.domain.states import ApprovalState, TurnState
from core.ports import ChatLine, Wanted
from core.store.columns import storable
from core.store.engine import single
from core.store.fence import no_chat
from core.store.rows import approval_of, chat_of
from core.store.tables import UNFINISHED, any_of, approvals, chats, people, turns


class PostgresLooks:
    """`core.ports.Looks` on Postgres."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def chats(self, scope: Scope, wanted: Wanted, limit: int = 100) -> Sequence[ChatLine]:
        """The chats that are wanted, those last active first."""
        query = _lines().where(within(scope), *_wanted(wanted)).order_by(chats.c.active_at.desc(), chats.c.id)
        async with single(self._engine) as connection:
            return [_line_of(row) for row in await connection.execute(query.limit(limit))]

    async def chat(self, scope: Scope, chat_id: ChatId) -> ChatLine:
        """One chat. Raises `NotFound`, also for one that is out of scope."""
        async with single(self._engine) as connection:
            query = _lines().where(within(scope), chats.c.id == chat_id)
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise no_chat(chat_id)
        return _line_of(row)

    async def waiting(self, scope: Scope, limit: int = 200) -> Sequence[tuple[Approval, Chat]]:
        """Open questions, those that wait longest first, each with its chat."""
        query = (
            select(approvals)
            .join(chats, chats.c.id == approvals.c.chat_id)
            .where(within(scope), any_of(approvals.c.state, [ApprovalState.PENDING]))
            .order_by(approvals.c.asked_at, approvals.c.id)
            .limit(limit)
        )
        async with single(self._engine) as connection:
            found = [approval_of(row) for row in await connection.execute(query)]
            of_them = select(chats).where(chats.c.id.in_({approval.chat_id for approval in found}))
            known = {row.id: chat_of(row) for row in await connection.execute(of_them)}
        return [(approval, known[approval.chat_id]) for approval in found]

    async def waiting_ids(self, scope: Scope, limit: int = 1000) -> Sequence[ApprovalId]:
        """Which questions are open, for whoever wants to know whether others are."""
        query = (
            select(approvals.c.id)
            .join(chats, chats.c.id == approvals.c.chat_id)
            .where(within(scope), any_of(approvals.c.state, [ApprovalState.PENDING]))
            .order_by(approvals.c.asked_at, approvals.c.id)
            .limit(limit)
        )
        async with single(self._engine) as connection:
            return [ApprovalId(found) for found in (await connection.execute(query)).scalars()]


def within(scope: Scope) -> ColumnElement[bool]:
    """That a chat is in the scope."""
    return true() if scope is None else chats.c.tenant_id.in_(scope)


def _lines() -> Select[Any]:
    is_pending = any_of(approvals.c.state, [ApprovalState.PENDING])
    state = select(turns.c.state).where(turns.c.chat_id == chats.c.id, any_of(turns.c.state, UNFINISHED))
    asks = select(func.count()).where(approvals.c.chat_id == chats.c.id, is_pending)
    return select(
        chats,
        people.c.name.label("starter"),
        state.scalar_subquery().label("turn_state"),
        asks.scalar_subquery().label("asks"),
    ).outerjoin(people, people.c.id == chats.c.starter_id)


def _wanted(wanted: Wanted) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if wanted.text:
        text = storable(wanted.text)
        columns = (chats.c.title, chats.c.key, people.c.name)
        where.append(or_(*(column.icontains(text, autoescape=True) for column in columns)))
    if wanted.platform is not None:
        where.append(chats.c.platform == wanted.platform.value)
    if wanted.is_busy:
        where.append(exists().where(turns.c.chat_id == chats.c.id, any_of(turns.c.state, UNFINISHED)))
    return where


def _line_of(row: Row[Any]) -> ChatLine:
    state = None if row.turn_state is None else TurnState(row.turn_state)
    return ChatLine(chat_of(row), row.starter or "", state, row.asks)
