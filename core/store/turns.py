"""Turns: begun, recorded, parked and ended by the run that holds the chat; stopped by anyone.

A turn's every write first makes sure of the fence (`fence.py`), so two runs never write into one turn. Its events are
in `events.py`. Next: `approvals.py`.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import ColumnElement, Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.domain.chat import AgentSeat, ChatId
from core.domain.events import FileKept, FileShared, RunEvent, TurnFinished, TurnStarted, from_json
from core.domain.message import MessageId
from core.domain.states import Actor, ApprovalState, MessageState, TurnState, is_final, sources
from core.domain.turn import Turn, TurnId
from core.errors import IllegalStep, NotFound
from core.ports import Fence, Recorded
from core.store.audit import note
from core.store.engine import single, transaction
from core.store.events import append
from core.store.fence import hold, hold_and_set
from core.store.messages import deliver_all, settle_all
from core.store.rows import turn_of
from core.store.seats import take_seat
from core.store.tables import UNFINISHED, any_of, approvals, chats, events, turns

_ABOUT_FILES: Final = ("file_shared", "file_kept")
_MESSAGES_END: Final = {
    TurnState.DONE: MessageState.ANSWERED,
    TurnState.FAILED: MessageState.FAILED,
    TurnState.STOPPED: MessageState.STOPPED,
}


class PostgresTurns:
    """`core.ports.Turns` on Postgres."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def begin(self, fence: Fence, ids: Sequence[MessageId]) -> Turn:
        """Start a turn with these queued messages, all or none; `Messages.of_turn` has their texts as delivered.

        Raises `IllegalStep` when a turn of the chat is unfinished, or one of the messages is no longer queued.
        """
        turn_id = TurnId(uuid4())
        async with transaction(self._engine) as connection:
            chat = await hold_and_set(connection, fence, turns=chats.c.turns + 1, active_at=func.now())
            row = await _made(connection, fence, turn_id, chat.turns)
            await deliver_all(connection, fence.chat_id, turn_id, ids)
            started = TurnStarted(chat.turns, tuple(str(message_id) for message_id in ids))
            await append(connection, fence, turn_id, 1, [started])
        return turn_of(row)

    async def unfinished(self, chat_id: ChatId) -> Turn | None:
        """The chat's running or waiting turn, if there is one."""
        row = await self._one(turns.c.chat_id == chat_id, any_of(turns.c.state, UNFINISHED))
        return None if row is None else turn_of(row)

    async def get(self, turn_id: TurnId) -> Turn:
        """The turn, or `NotFound`."""
        row = await self._one(turns.c.id == turn_id)
        if row is None:
            raise _no_turn(turn_id)
        return turn_of(row)

    async def recent(self, chat_id: ChatId, limit: int = 20) -> Sequence[Turn]:
        """The chat's last turns, newest first."""
        query = select(turns).where(turns.c.chat_id == chat_id).order_by(turns.c.number.desc()).limit(limit)
        async with single(self._engine) as connection:
            return [turn_of(row) for row in await connection.execute(query)]

    async def record(
        self, fence: Fence, turn_id: TurnId, first_seq: int, events: Sequence[RunEvent], seat: AgentSeat
    ) -> None:
        """Store events as numbers `first_seq` and on, with the seat they were read up to.

        Raises `Fenced` when one of the numbers is taken, `IllegalStep` when the turn is over.
        """
        async with transaction(self._engine) as connection:
            await take_seat(connection, fence, seat)
            await append(connection, fence, turn_id, first_seq, events)

    async def finish(
        self,
        fence: Fence,
        turn_id: TurnId,
        seq: int,
        end: TurnFinished,
        seat: AgentSeat,
        *,
        answered: Collection[MessageId] | None = None,
    ) -> None:
        """End the running turn with everything that hangs on it; a waiting one is to be unparked first."""
        if not is_final(end.state):
            raise IllegalStep(f"A turn does not end as {end.state}.")
        async with transaction(self._engine) as connection:
            await take_seat(connection, fence, seat, spent_usd=end.cost_usd)
            await _move(connection, fence, turn_id, end.state, **_end_columns(end))
            await append(connection, fence, turn_id, seq, [end], states=[end.state])
            await settle_all(
                connection, turn_id, _MESSAGES_END[end.state], None if answered is None else list(answered)
            )
            await connection.execute(
                update(approvals)
                .where(
                    approvals.c.turn_id == turn_id,
                    approvals.c.state.in_(sources(ApprovalState.WITHDRAWN, Actor.RUN)),
                )
                .values(state=ApprovalState.WITHDRAWN.value, decided_at=func.now())
            )

    async def park(self, fence: Fence, turn_id: TurnId) -> None:
        """The running turn waits for a person from now on."""
        await self._step(fence, turn_id, TurnState.WAITING)

    async def unpark(self, fence: Fence, turn_id: TurnId) -> None:
        """The waiting turn runs again."""
        await self._step(fence, turn_id, TurnState.RUNNING)

    async def restarted(self, fence: Fence, turn_id: TurnId) -> int:
        """Count a restart of the agent in this unfinished turn. Returns how many there were, this one included."""
        counted = (
            update(turns)
            .where(turns.c.id == turn_id, turns.c.chat_id == fence.chat_id, any_of(turns.c.state, UNFINISHED))
            .values(restarts=turns.c.restarts + 1)
            .returning(turns.c.restarts)
        )
        async with transaction(self._engine) as connection:
            await hold(connection, fence)
            count = (await connection.execute(counted)).scalar_one_or_none()
        if count is None:
            raise IllegalStep(f"Turn {turn_id} is over.")
        return int(count)

    async def ask_stop(self, chat_id: ChatId, by: str) -> TurnId | None:
        """Ask for the end of the chat's unfinished turn; None when there is none. The first who asks is remembered."""
        asked = (
            update(turns)
            .where(turns.c.chat_id == chat_id, any_of(turns.c.state, UNFINISHED))
            .values(
                stop_asked_by=func.coalesce(turns.c.stop_asked_by, by),
                stop_asked_at=func.coalesce(turns.c.stop_asked_at, func.now()),
            )
            .returning(turns.c.id)
        )
        async with transaction(self._engine) as connection:
            found = (await connection.execute(asked)).scalar_one_or_none()
            if found is None:
                return None
            await note(connection, chat_id, by, "stopped", turn=str(found))
        return TurnId(found)

    async def stop_asked(self, turn_id: TurnId) -> str | None:
        """Who asked first for the end of the turn, if anyone did."""
        async with single(self._engine) as connection:
            query = select(turns.c.stop_asked_by).where(turns.c.id == turn_id)
            by: str | None = (await connection.execute(query)).scalar_one_or_none()
        return by

    async def events(self, turn_id: TurnId, after: int = 0) -> Sequence[Recorded]:
        """The turn's stored events numbered above `after`, in order. Kinds that a newer program stored are left out."""
        query = select(events).where(events.c.turn_id == turn_id, events.c.seq > after).order_by(events.c.seq)
        async with single(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        return [recorded for row in rows if (recorded := _recorded(row)) is not None]

    async def unshown(self, chat_id: ChatId) -> Sequence[Turn]:
        """Ended turns whose end is not on the surface, oldest first."""
        query = select(turns).where(turns.c.chat_id == chat_id, turns.c.ended_at.is_not(None), ~turns.c.is_shown)
        async with single(self._engine) as connection:
            return [turn_of(row) for row in await connection.execute(query.order_by(turns.c.number))]

    async def shown(self, fence: Fence, turn_id: TurnId) -> None:
        """The end of the turn is on the surface. Raises `IllegalStep` for a turn that has not ended."""
        await self._note_end(fence, turn_id, is_shown=True, unshown_why=None)

    async def cannot_show(self, fence: Fence, turn_id: TurnId, why: str) -> None:
        """The place of the turn's end takes no post any more. Raises `IllegalStep` for a turn that has not ended."""
        await self._note_end(fence, turn_id, is_shown=False, unshown_why=why)

    async def handed_over(self, chat_id: ChatId) -> Mapping[str, FileShared | FileKept]:
        """What was last told of each file that the agent left for people in this chat, by its path."""
        query = (
            select(events.c.body)
            .select_from(events.join(turns, turns.c.id == events.c.turn_id))
            .where(turns.c.chat_id == chat_id, events.c.type.in_(_ABOUT_FILES))
            .order_by(turns.c.number, events.c.seq)
        )
        async with single(self._engine) as connection:
            bodies = (await connection.execute(query)).scalars().all()
        told = [from_json(body) for body in bodies]
        return {event.path: event for event in told if isinstance(event, FileShared | FileKept)}

    async def _note_end(self, fence: Fence, turn_id: TurnId, **values: Any) -> None:
        noted = update(turns).where(
            turns.c.id == turn_id, turns.c.chat_id == fence.chat_id, turns.c.ended_at.is_not(None)
        )
        async with transaction(self._engine) as connection:
            await hold(connection, fence)
            if not (await connection.execute(noted.values(values))).rowcount:
                raise IllegalStep(f"Turn {turn_id} has no end that could be shown.")

    async def _step(self, fence: Fence, turn_id: TurnId, to: TurnState) -> None:
        async with transaction(self._engine) as connection:
            await hold(connection, fence)
            await _move(connection, fence, turn_id, to)

    async def _one(self, *where: ColumnElement[bool]) -> Row[Any] | None:
        async with single(self._engine) as connection:
            return (await connection.execute(select(turns).where(*where))).one_or_none()


async def _made(connection: AsyncConnection, fence: Fence, turn_id: TurnId, number: int) -> Row[Any]:
    made = insert(turns).values(id=turn_id, chat_id=fence.chat_id, number=number, state=TurnState.RUNNING.value)
    try:
        row: Row[Any] = (await connection.execute(made.returning(turns))).one()
    except IntegrityError as error:
        if "uq_turns_unfinished" not in str(error.orig):
            raise
        raise IllegalStep("The chat's turn before this one is not finished.") from error
    return row


async def _move(connection: AsyncConnection, fence: Fence, turn_id: TurnId, to: TurnState, **values: Any) -> None:
    moved = update(turns).where(
        turns.c.id == turn_id, turns.c.chat_id == fence.chat_id, turns.c.state.in_(sources(to, Actor.RUN))
    )
    if (await connection.execute(moved.values(state=to.value, **values))).rowcount:
        return
    query = select(turns.c.state).where(turns.c.id == turn_id, turns.c.chat_id == fence.chat_id)
    state = (await connection.execute(query)).scalar_one_or_none()
    raise _no_turn(turn_id) if state is None else IllegalStep(f"TurnState cannot go from {state} to {to}")


def _end_columns(end: TurnFinished) -> dict[str, Any]:
    return {
        "ended_at": func.clock_timestamp(),
        "input_tokens": end.usage.input_tokens,
        "output_tokens": end.usage.output_tokens,
        "cache_read_tokens": end.usage.cache_read_tokens,
        "cache_write_tokens": end.usage.cache_write_tokens,
        "cost_usd": end.cost_usd,
        "text": end.text,
        "error": end.error,
    }


def _recorded(row: Row[Any]) -> Recorded | None:
    try:
        event = from_json(row.body)
    except KeyError:
        return None
    return Recorded(TurnId(row.turn_id), row.seq, event, row.at)


def _no_turn(turn_id: TurnId) -> NotFound:
    return NotFound(f"There is no turn {turn_id}.")
