import csv
import io
from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import text

from core.domain.access import Access, Rights
from core.domain.chat import AgentSeat
from core.domain.events import TurnFinished
from core.domain.states import TurnState
from core.domain.turn import Usage
from core.ports import SpentBy
from core.store.usage import PostgresSpending
from tests.integration.test_web_chats import EVIL
from tests.integration.web_page import Page, Scene

DAYS = "from=2026-03-01&to=2026-03-03"


async def _ended(page: Page, at: str, cost: str, *, model: str | None = "opus", **who: str) -> Scene:
    scene = await page.runs(**who)
    end = TurnFinished(TurnState.DONE, "ok", Usage(10, 20, 30, 40), Decimal(cost), 1.0, model=model)
    await page.stores.turns.finish(scene.fence, scene.turn.id, 2, end, AgentSeat())
    async with page.engine.begin() as connection:
        moved = text("UPDATE turns SET ended_at = CAST(:at AS text)::timestamptz WHERE id = :id")
        await connection.execute(moved, {"at": at, "id": scene.turn.id})
    return scene


async def _spent(page: Page) -> Scene:
    first = await _ended(page, "2026-03-01T00:00:00Z", "0.10", tenant="T1", thread="1.1")
    await _ended(page, "2026-03-01T23:59:59.999Z", "0.25", tenant="T1", thread="2.1", model=None)
    await _ended(page, "2026-03-03T23:30:00Z", "1.5", tenant="T2", thread="3.1", name="Bob")
    await _ended(page, "2026-02-28T23:59:59Z", "9", tenant="T1", thread="4.1")
    await _ended(page, "2026-03-04T00:00:00Z", "9", tenant="T1", thread="5.1")
    await page.runs("still running", tenant="T1", thread="6.1")
    return first


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (SpentBy.DAY, [("2026-03-01", 2, "0.35"), ("2026-03-03", 1, "1.5")]),
        (SpentBy.TENANT, [("slack:T2", 1, "1.5"), ("slack:T1", 2, "0.35")]),
        (SpentBy.CHANNEL, [("slack:T2 C1", 1, "1.5"), ("slack:T1 C1", 2, "0.35")]),
        (SpentBy.PERSON, [("slack:T2 U1 Bob", 1, "1.5"), ("slack:T1 U1 Ann", 2, "0.35")]),
        (SpentBy.MODEL, [("opus", 2, "1.6"), ("unknown", 1, "0.25")]),
    ],
)
async def test_turns_are_summed_by(page: Page, by: SpentBy, expected: list[tuple[str, int, str]]) -> None:
    await _spent(page)
    found = await PostgresSpending(page.engine).by(None, by, date(2026, 3, 1), date(2026, 3, 3))
    assert [(one.name, one.turns, one.cost_usd) for one in found] == [(n, t, Decimal(c)) for n, t, c in expected]
    assert sum(one.usage.total for one in found) == 300


async def test_the_page_and_its_file_show_ones_own_tenants_only(page: Page) -> None:
    mine = await _spent(page)
    async with page.visitor(Rights(tenants={mine.chat.tenant_id: Access.VIEWER})) as ann:
        shown = await ann.get(f"/usage?by=tenant&{DAYS}")
        file = await ann.get(f"/usage.csv?by=tenant&{DAYS}")
    assert "slack:T1" in shown.words
    assert "2026-03-01: $0.3500" in shown.words
    assert "T2" not in shown.words
    assert "$1.5" not in shown.words
    assert file.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert file.headers["Content-Disposition"].startswith("attachment;")
    assert [row[0] for row in csv.reader(io.StringIO(file.text))] == ["tenant", "slack:T1"]
    async with page.stranger() as nobody:
        assert (await nobody.get("/usage.csv")).status == 303


async def test_names_are_text_on_the_page_and_in_a_spreadsheet(page: Page) -> None:
    await _ended(page, "2026-03-01T10:00:00Z", "1", name=EVIL, thread="1.1", model="=cmd|' /C calc'!A0")
    async with page.visitor() as root:
        shown = await root.get(f"/usage?by=person&{DAYS}")
        file = await root.get(f"/usage.csv?by=model&{DAYS}")
    assert "<script>alert" not in shown.text
    assert "alert(1)" in shown.words
    assert next(row[0] for row in csv.reader(io.StringIO(file.text)) if row[0] != "model").startswith("'=cmd")


@pytest.mark.parametrize(
    "query",
    ["by=person;DROP", "from=x", "from=2026-03-02&to=2026-03-01", "from=2000-01-01", "to=9999-12-31", "to=%00"],
)
async def test_what_cannot_be_summed_is_said(page: Page, query: str) -> None:
    async with page.visitor() as root:
        for path in ("/usage", "/usage.csv"):
            assert (await root.get(f"{path}?{query}")).status == 400
        assert (await root.get("/usage?to=0001-01-01")).status == 200
