from core.domain.access import Access, Rights
from tests.integration.test_web_chats import EVIL
from tests.integration.web_page import Page


async def test_what_is_needed_the_queue_and_who_works_on_what_is_there(page: Page) -> None:
    scene = await page.runs("mend it")
    async with page.visitor() as root:
        await root.post(f"/chats/{scene.chat.id}/try-again")
        shown = await root.get("/health")
        part = await root.get("/health", **{"HX-Request": "true"})
    assert shown.text.count(">well<") == 2
    assert "not well" not in shown.words
    assert "1 chat is in the queue. Sandboxes: 0 running, 0 paused." in shown.words
    assert "<td>w1</td>" in shown.text
    assert "mend it" in part.words
    assert "<header" not in part.text


async def test_only_ones_own_chats_are_there_and_nothing_is_markup(page: Page) -> None:
    mine = await page.runs(EVIL, tenant="T1", thread="1.1", name=EVIL)
    await page.runs("theirs", tenant="T2", thread="2.1")
    async with page.visitor(Rights(tenants={mine.chat.tenant_id: Access.VIEWER})) as ann:
        shown = await ann.get("/health")
    assert "theirs" not in shown.words
    assert "<script>alert" not in shown.text
    assert "alert(1)" in shown.words
    async with page.stranger() as nobody:
        assert (await nobody.get("/health")).headers["Location"] == "/sign-in"


async def test_a_lease_that_is_over_is_none(page: Page) -> None:
    scene = await page.runs()
    await page.stores.chats.release(scene.fence)
    async with page.visitor() as root:
        assert "No worker has a chat." in (await root.get("/health")).words
