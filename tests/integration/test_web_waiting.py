import asyncio

from core.domain.access import Access, Rights
from core.domain.states import ApprovalState
from tests.integration.test_web_chats import EVIL
from tests.integration.test_web_doing import read_events
from tests.integration.web_page import Page


async def test_open_questions_of_all_chats_are_there_and_answered_here(page: Page) -> None:
    first = await page.asks(await page.runs("clean up", thread="1.1"))
    second = await page.asks(await page.runs("tidy", thread="2.1"), input={"command": "rm -rf dist"})
    async with page.visitor() as root:
        shown = await root.get("/waiting")
        assert shown.words.index("rm -rf build") < shown.words.index("rm -rf dist")
        answered = await root.post(f"/approvals/{first.id}", {"verdict": "allow", "back": "/waiting"})
        assert answered.headers["Location"] == "/waiting"
        left = await root.get("/waiting", **{"HX-Request": "true"})
        assert f"/approvals/{first.id}" not in left.text
        assert f"/approvals/{second.id}" in left.text
        assert "<header" not in left.text
    assert (await page.stores.approvals.get(first.id)).state is ApprovalState.ALLOWED
    assert (await page.audit())[-1] == ("Root", "allowed")


async def test_only_questions_in_scope_are_there_and_a_viewer_gets_no_buttons(page: Page) -> None:
    mine = await page.runs("mine", tenant="T1", thread="1.1")
    await page.asks(mine)
    await page.asks(await page.runs("theirs", tenant="T2", thread="2.1"), input={"command": "cat secret"})
    async with page.visitor(Rights(tenants={mine.chat.tenant_id: Access.VIEWER})) as ann:
        shown = await ann.get("/waiting")
    assert "rm -rf build" in shown.words
    assert "cat secret" not in shown.words
    assert "theirs" not in shown.words
    assert "/approvals/" not in shown.text
    async with page.stranger() as nobody:
        assert (await nobody.get("/waiting")).headers["Location"] == "/sign-in"
        assert (await nobody.get("/waiting/events", Accept="text/event-stream")).status == 401


async def test_nothing_in_a_question_is_markup(page: Page) -> None:
    scene = await page.runs(EVIL, name=EVIL)
    await page.asks(scene, line=EVIL, why=EVIL, input={"command": EVIL})
    async with page.visitor() as root:
        shown = await root.get("/waiting")
    assert "<script>alert" not in shown.text
    assert "<img" not in shown.text
    assert "alert(1)" in shown.words


async def test_the_stream_speaks_when_other_questions_are_open_and_of_ones_own_only(page: Page) -> None:
    mine = await page.runs("mine", tenant="T1", thread="1.1")
    other = await page.runs("theirs", tenant="T2", thread="2.1")
    async with page.visitor(Rights(tenants={mine.chat.tenant_id: Access.ADMIN})) as ann:
        first = (await read_events(ann, "/waiting/events", 2))[1]
        assert first["event"] == "waiting_changed"
        await page.asks(other)
        reading = asyncio.create_task(read_events(ann, "/waiting/events", 2, **{"Last-Event-ID": first["id"]}))
        assert not (await ann.get("/waiting")).text.count("/approvals/")
        await page.asks(mine)
        told = (await reading)[1]
        assert told["event"] == "waiting_changed"
        assert told["id"] in (await ann.get("/waiting")).text
