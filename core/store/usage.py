"""What turns cost, summed in the database and always within somebody's scope.

A turn counts whole on the day (UTC) it ended, for whoever's message began it, by the model that it named last. Next:
`tables.py`, whose index on a turn's end keeps a month's sums from reading every turn.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, String, cast, func, select, true
from sqlalchemy.ext.asyncio import AsyncEngine

from core.domain.access import Scope
from core.domain.turn import Usage
from core.ports import Spent, SpentBy
from core.store.engine import single
from core.store.looks import within
from core.store.tables import chats, events, messages, people, tenants, turns

MOST_LINES: Final = 1000


class PostgresSpending:
    """`core.ports.Spending` on Postgres."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def by(self, scope: Scope, by: SpentBy, first: date, last: date) -> Sequence[Spent]:
        """Sums of the turns that ended on the days from `first` to `last`: days in order, others dearest first."""
        began = (
            select(messages.c.author_id)
            .where(messages.c.turn_id == turns.c.id)
            .order_by(messages.c.position)
            .limit(1)
            .lateral("began")
        )
        name, source = _names(by), turns.join(chats, chats.c.id == turns.c.chat_id)
        source = source.join(tenants, tenants.c.id == chats.c.tenant_id)
        if by is SpentBy.PERSON:
            source = source.outerjoin(began, true()).outerjoin(people, people.c.id == began.c.author_id)
        if by is SpentBy.MODEL:
            source = source.outerjoin(events, (events.c.turn_id == turns.c.id) & (events.c.type == "turn_finished"))
        tokens = (turns.c.input_tokens, turns.c.output_tokens, turns.c.cache_read_tokens, turns.c.cache_write_tokens)
        sums = [func.sum(column).label(column.name) for column in (*tokens, turns.c.cost_usd)]
        query = (
            select(*name, func.count().label("turns"), *sums)
            .select_from(source)
            .where(within(scope), turns.c.ended_at >= _start(first), turns.c.ended_at < _start(last, 1))
            .group_by(*name)
            .order_by(*(name if by is SpentBy.DAY else (func.sum(turns.c.cost_usd).desc(), *name)))
            .limit(MOST_LINES)
        )
        async with single(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        return [Spent(_name_of(row, len(name)), row.turns, _usage_of(row), row.cost_usd) for row in rows]


def _names(by: SpentBy) -> tuple[ColumnElement[Any], ...]:
    """What lines are told apart by; an id stands beside a name, for two people may have one."""
    match by:
        case SpentBy.DAY:
            return (cast(func.date(func.timezone("UTC", turns.c.ended_at)), String),)
        case SpentBy.TENANT:
            return (tenants.c.platform + ":" + tenants.c.external_id, tenants.c.name)
        case SpentBy.CHANNEL:
            return (tenants.c.platform + ":" + tenants.c.external_id, chats.c.place_channel)
        case SpentBy.PERSON:
            return (tenants.c.platform + ":" + tenants.c.external_id, people.c.platform_id, people.c.name)
        case SpentBy.MODEL:
            return (events.c.body["model"].astext,)


def _name_of(row: Any, count: int) -> str:
    return " ".join(str(part) for part in row[:count] if part) or "unknown"


def _usage_of(row: Any) -> Usage:
    # Sums of bigints are numerics.
    return Usage(int(row.input_tokens), int(row.output_tokens), int(row.cache_read_tokens), int(row.cache_write_tokens))


def _start(day: date, after: int = 0) -> datetime:
    return datetime.combine(day + timedelta(days=after), time(), UTC)
