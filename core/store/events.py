"""Events of a turn: each number stored once, and only while the turn goes on.

Next: `turns.py`.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Integer, Text, cast, column, func, insert, select, true
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.events import FLEETING, RunEvent, to_json
from core.domain.states import TurnState
from core.domain.turn import TurnId
from core.errors import Fenced, IllegalStep
from core.ports import Fence
from core.store.tables import UNFINISHED, events, turns

_ROW: Final = (column("seq", Integer), column("type", Text), column("body", JSONB))


async def append(
    connection: AsyncConnection,
    fence: Fence,
    turn_id: TurnId,
    first_seq: int,
    new: Sequence[RunEvent],
    *,
    states: Sequence[TurnState] = UNFINISHED,
) -> None:
    """Store `new` as numbers `first_seq` and on; the caller holds the chat.

    Raises `Fenced` when one of the numbers is taken, `IllegalStep` when the turn is in none of `states`. Both undo
    the transaction.
    """
    if not new:
        return
    rows = [_row(seq, event) for seq, event in enumerate(new, first_seq)]
    given = func.jsonb_to_recordset(cast(rows, JSONB)).table_valued(*_ROW, name="given").render_derived(with_types=True)
    of_turn = (
        select(turns.c.id, given.c.seq, given.c.type, given.c.body)
        .select_from(turns.join(given, true()))
        .where(turns.c.id == turn_id, turns.c.chat_id == fence.chat_id, turns.c.state.in_(states))
    )
    stored = insert(events).from_select(["turn_id", "seq", "type", "body"], of_turn)
    try:
        count = (await connection.execute(stored)).rowcount
    except IntegrityError as error:
        if "pk_events" not in str(error.orig):
            raise
        raise Fenced(f"event {first_seq} of turn {turn_id}, or one after it, is written already") from error
    if count != len(rows):
        raise IllegalStep(f"Turn {turn_id} of chat {fence.chat_id} takes no more events.")


def _row(seq: int, event: RunEvent) -> dict[str, Any]:
    if isinstance(event, FLEETING):
        raise IllegalStep(f"{type(event).__name__} is shown, not stored.")
    body = to_json(event)
    return {"seq": seq, "type": body["type"], "body": body}
