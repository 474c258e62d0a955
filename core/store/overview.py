"""Sums over everybody's rows for whoever watches: no name, no text, one cheap query each.

What runs, waits and is asked is found by partial indexes of just that. What ended and what was decided is summed over
the day (UTC), by the indexes on those times: exact whatever Redis forgets, and never a look at all that ever was. To
Prometheus midnight is a counter's reset, as a restart would be. Next: `bots/web/metrics.py`.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.domain.states import ApprovalState, TurnState, is_final
from core.domain.turn import Usage
from core.ports import Figures, Spread
from core.store.engine import single
from core.store.tables import UNFINISHED, any_of, approvals, turns

# Of decisions by people: from a click at once to one after a weekend.
BOUNDS: Final[tuple[float, ...]] = (2, 5, 10, 30, 60, 300, 900, 3600, 14_400, 86_400, 259_200)
_TODAY: Final = func.timezone("UTC", func.date_trunc("day", func.timezone("UTC", func.now())))
_DECIDED: Final = (ApprovalState.ALLOWED, ApprovalState.DENIED)
_NOTHING: Final = Decimal(0)
_TOKENS: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")


class PostgresOverview:
    """`core.ports.Overview` on Postgres."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def figures(self) -> Figures:
        """How much there is of everything."""
        async with single(self._engine) as connection:
            sums = [func.sum(turns.c[name]).label(name) for name in (*_TOKENS, "cost_usd")]
            ended = select(turns.c.state, func.count().label("turns"), *sums).where(turns.c.ended_at >= _TODAY)
            rows = (await connection.execute(ended.group_by(turns.c.state))).all()
            waiting = select(func.count()).where(any_of(approvals.c.state, [ApprovalState.PENDING]))
            return Figures(
                unfinished=await _unfinished(connection),
                ended={state: 0 for state in TurnState if is_final(state)}
                | {TurnState(row.state): row.turns for row in rows},
                # Sums of bigints are numerics.
                usage=Usage(*(int(sum(getattr(row, name) for row in rows)) for name in _TOKENS)),
                cost_usd=sum((row.cost_usd for row in rows), start=_NOTHING),
                approvals_waiting=(await connection.execute(waiting)).scalar_one(),
                decisions=await _decisions(connection),
            )


async def _unfinished(connection: AsyncConnection) -> Mapping[TurnState, int]:
    query = select(turns.c.state, func.count()).where(any_of(turns.c.state, UNFINISHED)).group_by(turns.c.state)
    found = {TurnState(row[0]): row[1] for row in await connection.execute(query)}
    return {state: found.get(state, 0) for state in TurnState if not is_final(state)}


async def _decisions(connection: AsyncConnection) -> Spread:
    took = func.extract("epoch", approvals.c.decided_at - approvals.c.asked_at)
    up_to = [func.count().filter(took <= bound) for bound in BOUNDS]
    query = select(func.count(), func.coalesce(func.sum(took), 0), *up_to).where(
        approvals.c.decided_at >= _TODAY, any_of(approvals.c.state, _DECIDED)
    )
    every, total_s, *below = (await connection.execute(query)).one()
    counts = tuple(upper - lower for lower, upper in zip((0, *below), (*below, every), strict=True))
    return Spread(BOUNDS, counts, float(total_s))
