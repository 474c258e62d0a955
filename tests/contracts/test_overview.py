"""The promises of `core.ports.Overview`."""

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event, text

from core.domain.approval import Decision, Verdict
from core.domain.states import TurnState
from core.domain.turn import Usage
from core.ports import Figures
from core.store.overview import BOUNDS, PostgresOverview
from tests.contracts.stage import SEAT, Stage, end


async def figures(stage: Stage) -> Figures:
    return await PostgresOverview(stage.engine).figures()


async def test_every_state_has_its_number_also_when_that_is_nothing(stage: Stage) -> None:
    found = await figures(stage)
    assert found.unfinished == {TurnState.RUNNING: 0, TurnState.WAITING: 0}
    assert found.ended == {TurnState.DONE: 0, TurnState.FAILED: 0, TurnState.STOPPED: 0}
    assert (found.usage, found.cost_usd, found.approvals_waiting) == (Usage(), Decimal(0), 0)
    assert found.decisions.counts == (0,) * (len(BOUNDS) + 1)


async def test_what_runs_what_ended_and_what_it_cost_is_summed_over_everybody(stage: Stage) -> None:
    for thread, state in (("1.1", TurnState.DONE), ("2.1", TurnState.DONE), ("3.1", TurnState.FAILED)):
        fence, turn, _ = await stage.begun(thread=thread)
        await stage.stores.turns.finish(fence, turn.id, 2, end(state), SEAT)
    await stage.begun(thread="4.1")
    fence, turn, _ = await stage.begun(thread="5.1")
    await stage.asks(fence, turn)
    await stage.stores.turns.park(fence, turn.id)
    found = await figures(stage)
    assert found.unfinished == {TurnState.RUNNING: 1, TurnState.WAITING: 1}
    assert found.ended == {TurnState.DONE: 2, TurnState.FAILED: 1, TurnState.STOPPED: 0}
    assert (found.usage, found.cost_usd) == (Usage(3, 6, 9, 12), Decimal("0.03"))
    assert found.approvals_waiting == 1


async def test_the_day_before_is_another_days(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    approval = await stage.asks(fence, turn)
    await stage.stores.approvals.decide(approval.id, Decision(Verdict.ALLOW), "Ann")
    await stage.stores.turns.finish(fence, turn.id, 3, end(), SEAT)
    midnight = "date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'"
    for before, count in (("1 microsecond", 0), ("0 seconds", 1)):
        await stage.runs(f"UPDATE turns SET ended_at = {midnight} - interval '{before}'")  # noqa: S608
        await stage.runs(f"UPDATE approvals SET decided_at = {midnight} - interval '{before}'")  # noqa: S608
        found = await figures(stage)
        assert (found.ended[TurnState.DONE], sum(found.decisions.counts)) == (count, count)


async def test_decisions_of_people_are_told_by_how_long_they_took(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    for number, seconds in enumerate((1, 2, 3, 400_000)):
        approval = await stage.asks(fence, turn, f"tu{number}", seq=2 + 2 * number)
        verdict = Verdict.DENY if number else Verdict.ALLOW
        await stage.stores.approvals.decide(approval.id, Decision(verdict), "Ann")
        await stage.runs(
            "UPDATE approvals SET asked_at = decided_at - make_interval(secs => :s) WHERE id = :id",
            s=float(seconds),
            id=approval.id,
        )
    withdrawn = await stage.asks(fence, turn, "tu9", seq=20)
    await stage.stores.approvals.withdraw(fence, withdrawn.id)
    decisions = (await figures(stage)).decisions
    assert (decisions.counts[0], decisions.counts[1], decisions.counts[-1]) == (2, 1, 1)
    assert sum(decisions.counts) == 4
    assert decisions.total_s == pytest.approx(400_006)


async def test_no_query_reads_a_whole_table(stage: Stage) -> None:
    """With sequential scans made dear an index serves each; what no index fits would be scanned all the same."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        asked.append((statement, parameters))

    event.listen(stage.engine.sync_engine, "before_cursor_execute", note)
    await figures(stage)
    event.remove(stage.engine.sync_engine, "before_cursor_execute", note)
    async with stage.engine.connect() as connection:
        await connection.execute(text("SET enable_seqscan = off"))
        explained = [await connection.exec_driver_sql(f"EXPLAIN {query}", given) for query, given in asked]
        plans = ["\n".join(rows.scalars()) for rows in explained]
        await connection.execute(text("RESET enable_seqscan"))
    assert len(plans) == 4
    assert not [plan for plan in plans if "Seq Scan" in plan]
