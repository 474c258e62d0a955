"""Questions and decisions: asked once a tool call, settled once, whoever clicks when.

A decision needs no fence: it is a person's, and the guarded UPDATE lets one through. Next: `posts.py`.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Row, Select, func, literal, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.domain.approval import Approval, ApprovalId, Decision, Rule, decided_words
from core.domain.chat import ChatId
from core.domain.events import ApprovalAsked
from core.domain.states import Actor, ApprovalState, sources
from core.domain.turn import TurnId
from core.errors import AlreadyDecided, IllegalStep, NotFound
from core.ports import Asked, Fence
from core.store.audit import note
from core.store.engine import single, transaction
from core.store.events import append
from core.store.fence import hold
from core.store.rows import approval_of, rule_of
from core.store.tables import UNFINISHED, any_of, approvals, rules, turns


class PostgresApprovals:
    """`core.ports.Approvals` on Postgres."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def ask(self, fence: Fence, asked: Asked, seq: int) -> tuple[Approval, bool]:
        """Store a question and its event, number `seq`; or find the one asked before for the same tool call.

        Raises `IllegalStep` when the turn is over, `Fenced` when the number is taken.
        """
        async with transaction(self._engine) as connection:
            await hold(connection, fence)
            row = await _made(connection, fence, asked)
            if row is not None:
                event = ApprovalAsked(str(row.id), asked.kind, asked.line, asked.tool)
                await append(connection, fence, asked.turn_id, seq, [event])
                return approval_of(row), True
            found = (await connection.execute(_by_tool_use(fence.chat_id, asked.tool_use_id))).one_or_none()
            if found is None:
                raise IllegalStep(f"Turn {asked.turn_id} is over: nothing can be asked in it.")
            return approval_of(found), False

    async def get(self, approval_id: ApprovalId) -> Approval:
        """The question, or `NotFound`."""
        async with single(self._engine) as connection:
            return await _get(connection, approvals.c.id == approval_id)

    async def by_tool_use(self, chat_id: ChatId, tool_use_id: str) -> Approval | None:
        """The question asked for that tool call, if one was."""
        async with single(self._engine) as connection:
            row = (await connection.execute(_by_tool_use(chat_id, tool_use_id))).one_or_none()
        return None if row is None else approval_of(row)

    async def of_turn(self, turn_id: TurnId) -> Sequence[Approval]:
        """Every question of the turn, in the order asked."""
        return await self._many(approvals.c.turn_id == turn_id)

    async def pending(self, chat_id: ChatId | None = None) -> Sequence[Approval]:
        """The open questions of the chat, or of all chats, in the order asked."""
        is_pending = any_of(approvals.c.state, [ApprovalState.PENDING])
        return await self._many(is_pending, *(() if chat_id is None else (approvals.c.chat_id == chat_id,)))

    async def decide(self, approval_id: ApprovalId, decision: Decision, by: str) -> Approval:
        """Settle the question; `by` is the name people know the person by.

        Raises `AlreadyDecided`, with words for the person, when it is settled or withdrawn already.
        """
        to = ApprovalState.ALLOWED if decision.verdict.is_yes else ApprovalState.DENIED
        decided = (
            update(approvals)
            .where(approvals.c.id == approval_id, approvals.c.state.in_(sources(to, Actor.PERSON)))
            .values(state=to.value, decision=asdict(decision), decided_by=by, decided_at=func.clock_timestamp())
            .returning(approvals)
        )
        async with transaction(self._engine) as connection:
            row = (await connection.execute(decided)).one_or_none()
            if row is None:
                raise AlreadyDecided(decided_words(await _get(connection, approvals.c.id == approval_id)))
            chat_id, what = ChatId(row.chat_id), {"approval": str(row.id), "verdict": decision.verdict.value}
            await note(connection, chat_id, by, to.value, tool=row.tool, line=row.line, **what)
        return approval_of(row)

    async def withdraw(self, fence: Fence, approval_id: ApprovalId) -> Approval:
        """Take an open question back. Returns it as it now stands: one that was just decided stays decided."""
        withdrawn = update(approvals).where(
            approvals.c.id == approval_id,
            approvals.c.chat_id == fence.chat_id,
            approvals.c.state.in_(sources(ApprovalState.WITHDRAWN, Actor.RUN)),
        )
        async with transaction(self._engine) as connection:
            await hold(connection, fence)
            await connection.execute(
                withdrawn.values(state=ApprovalState.WITHDRAWN.value, decided_at=func.clock_timestamp())
            )
            return await _get(connection, approvals.c.id == approval_id, approvals.c.chat_id == fence.chat_id)

    async def rekey(self, fence: Fence, approval_id: ApprovalId, tool_use_id: str) -> Approval:
        """Give the question, settled or not, the id of the call that asks it again.

        Raises `IllegalStep` when another question of the chat has that id.
        """
        rekeyed = update(approvals).where(approvals.c.id == approval_id, approvals.c.chat_id == fence.chat_id)
        async with transaction(self._engine) as connection:
            await hold(connection, fence)
            try:
                await connection.execute(rekeyed.values(tool_use_id=tool_use_id))
            except IntegrityError as error:
                raise IllegalStep(f"Another question of this chat has the id {tool_use_id}.") from error
            return await _get(connection, approvals.c.id == approval_id, approvals.c.chat_id == fence.chat_id)

    async def add_rule(self, chat_id: ChatId, rule: Rule, by: str) -> None:
        """Remember a lasting permission; one that is there already stays as it is."""
        added = (
            insert(rules)
            .values(id=uuid4(), chat_id=chat_id, tool=rule.tool, pattern=rule.pattern, added_by=by)
            .on_conflict_do_nothing()
        )
        async with transaction(self._engine) as connection:
            if (await connection.execute(added)).rowcount:
                await note(connection, chat_id, by, "added a rule", rule=str(rule))

    async def rules(self, chat_id: ChatId) -> Sequence[Rule]:
        """The chat's lasting permissions, oldest first."""
        query = select(rules).where(rules.c.chat_id == chat_id).order_by(rules.c.added_at, rules.c.id)
        async with single(self._engine) as connection:
            return [rule_of(row) for row in await connection.execute(query)]

    async def _many(self, *where: ColumnElement[bool]) -> Sequence[Approval]:
        query = select(approvals).where(*where).order_by(approvals.c.asked_at, approvals.c.id)
        async with single(self._engine) as connection:
            return [approval_of(row) for row in await connection.execute(query)]


async def _made(connection: AsyncConnection, fence: Fence, asked: Asked) -> Row[Any] | None:
    values: dict[str, ColumnElement[Any]] = {
        "id": literal(uuid4(), approvals.c.id.type),
        "chat_id": turns.c.chat_id,
        "turn_id": turns.c.id,
        "tool_use_id": literal(asked.tool_use_id),
        "kind": literal(asked.kind.value),
        "tool": literal(asked.tool, approvals.c.tool.type),
        "input": literal(asked.input, JSONB),
        "line": literal(asked.line, approvals.c.line.type),
        "suggestions": literal(list(asked.suggestions), JSONB),
        "why": literal(asked.why, approvals.c.why.type),
        "state": literal(ApprovalState.PENDING.value),
    }
    of_turn = select(*values.values()).where(
        turns.c.id == asked.turn_id, turns.c.chat_id == fence.chat_id, any_of(turns.c.state, UNFINISHED)
    )
    made = (
        insert(approvals)
        .from_select(list(values), of_turn)
        .on_conflict_do_nothing(index_elements=["chat_id", "tool_use_id"])
        .returning(approvals)
    )
    row: Row[Any] | None = (await connection.execute(made)).one_or_none()
    return row


def _by_tool_use(chat_id: ChatId, tool_use_id: str) -> Select[Any]:
    return select(approvals).where(approvals.c.chat_id == chat_id, approvals.c.tool_use_id == tool_use_id)


async def _get(connection: AsyncConnection, *where: ColumnElement[bool]) -> Approval:
    row = (await connection.execute(select(approvals).where(*where))).one_or_none()
    if row is None:
        raise NotFound("There is no such question.")
    return approval_of(row)
