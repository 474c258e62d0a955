import asyncio
from pathlib import Path

from aiohttp import web

from core.bus.connection import open_redis
from core.bus.counters import open_counters
from core.domain.access import Access, Rights
from core.domain.chat import Platform
from core.ports import Count
from tests.integration.test_web_chats import EVIL
from tests.integration.web_page import Page, open_page, settings_for


async def test_what_is_needed_the_queue_and_who_works_on_what_is_there(page: Page) -> None:
    scene = await page.runs("mend it")
    async with page.visitor() as root:
        await root.post(f"/chats/{scene.chat.id}/try-again")
        shown = await root.get("/health")
        part = await root.get("/health", **{"HX-Request": "true"})
    assert shown.text.count(">well<") == 2
    assert "not well" not in shown.words
    assert "1 chat is in the queue. Sandboxes: 0 running, 0 paused. 0 workers are alive." in shown.words
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


async def test_limits_that_were_hit_are_for_who_may_see_all_tenants(page: Page) -> None:
    mine = await page.runs()
    assert page.settings.redis_url is not None
    async with open_redis(page.settings.redis_url) as redis, open_counters(redis, "host:1") as counters:
        counters.add(Count.EDITS_SENT, Platform.SLACK, 1234)
        counters.add(Count.EDITS_SAVED, Platform.SLACK, 56)
        counters.add(Count.RATE_LIMITED, Platform.SLACK, 7)
    async with page.visitor() as root:
        shown = (await root.get("/health")).text
    numbers = "".join(f'<td class="number">{number}</td>' for number in ("1,234", "56", "7"))
    assert f"<td>slack</td>{numbers}" in shown
    assert "<td>discord</td>" not in shown
    assert "1 worker is alive." in shown
    async with page.visitor(Rights(tenants={mine.chat.tenant_id: Access.ADMIN})) as ann:
        assert "1,234" not in (await ann.get("/health")).text


async def test_the_sandbox_server_and_the_gateway_are_asked_without_a_key(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    asked: list[web.Request] = []
    status = {"/sandboxes": 401, "/": 200}

    async def answer(request: web.Request) -> web.Response:
        asked.append(request)
        return web.Response(status=status[request.path])

    server = web.AppRunner(site := web.Application())
    site.router.add_get("/{path:.*}", answer)
    await server.setup()
    try:
        await web.TCPSite(server, "127.0.0.1", 0).start()
        (tmp_path / "gateway").mkdir()
        await web.UnixSite(server, str(tmp_path / "gateway" / "gateway.sock")).start()
        url = f"http://127.0.0.1:{server.addresses[0][1]}"
        there = {"e2b_api_url": url, "e2b_sandbox_url": url, "e2b_api_key": "e2b_secret_of_ours"}
        async with open_page(settings_for(database_url, redis_url, tmp_path, **there)) as page, page.visitor() as root:
            shown = await root.get("/health")
            assert shown.text.count(">well<") == 4
            assert "<td>sandboxes</td>" in shown.text
            assert "<td>gateway</td>" in shown.text
            assert sorted(request.path for request in asked) == ["/", "/sandboxes"]
            assert not [one for one in asked if "e2b_secret" in str(one.headers)]
            # The page does its work without them.
            assert set((await root.get("/readyz")).words.split('"')) & {"sandboxes", "gateway"} == set()
            status["/sandboxes"] = 503
            async with asyncio.timeout(60):
                while (await root.get("/health")).text.count(">well<") != 3:
                    await asyncio.sleep(0.2)
    finally:
        await server.cleanup()
