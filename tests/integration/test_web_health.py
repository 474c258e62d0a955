import asyncio
from decimal import Decimal
from pathlib import Path

from aiohttp import web

from core.bus.connection import open_redis
from core.bus.counters import open_counters
from core.domain.access import Access, Rights
from core.domain.chat import AgentSeat, Platform
from core.domain.events import TurnFinished
from core.domain.states import SandboxState, TurnState
from core.domain.turn import Usage
from core.ports import Count, Wish
from core.store.wishes import PostgresWishes
from tests.integration.test_web_chats import EVIL
from tests.integration.web_page import Page, Scene, open_page, settings_for


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


async def _rests(page: Page, said: str = "do it", **who: str) -> Scene:
    """A chat whose turn is over, and whose sandbox runs on."""
    scene = await page.runs(said, **who)
    seat = AgentSeat(sandbox_id="sb1", sandbox_state=SandboxState.RUNNING)
    await page.stores.chats.save_seat(scene.fence, seat)
    end = TurnFinished(TurnState.DONE, "", Usage(), Decimal(0), 1.0)
    await page.stores.turns.finish(scene.fence, scene.turn.id, 2, end, seat)
    await page.stores.chats.release(scene.fence)
    return scene


async def _noted(page: Page) -> list[tuple[str, str]]:
    return [(actor, action) for actor, action in await page.audit() if "sandbox" in action]


async def test_an_admin_has_a_sandbox_paused_or_ended_and_it_stands_in_the_audit(page: Page) -> None:
    scene = await _rests(page, EVIL)
    where = f"/chats/{scene.chat.id}/sandbox"
    async with page.visitor() as root:
        shown = await root.get("/health")
        assert f'action="{where}"' in shown.text
        assert "<script>alert" not in shown.text
        assert (await root.post(where, {"wish": "pause"})).headers["Location"] == "/health"
        assert "being paused" in (await root.get("/health")).words
        sure = await root.get(where)
        assert "End the sandbox of" in sure.words
        assert "<script>alert" not in sure.text
        assert (await root.post(where, {"wish": "end"})).status == 303
        assert "being ended" in (await root.get("/health")).words
        for form in ({"wish": "dance"}, {}, {"wish": ""}):
            assert (await root.post(where, form)).status == 400
    assert await _noted(page) == [("Root", "paused a sandbox"), ("Root", "ended a sandbox")]
    assert await PostgresWishes(page.engine).given() == [(scene.chat.id, Wish.END)]


async def test_a_chat_at_work_keeps_its_sandbox_and_the_admin_is_told(page: Page) -> None:
    scene = await page.runs()
    async with page.visitor() as root:
        assert "/sandbox" not in (await root.get("/health")).text
        for wish in Wish:
            refused = await root.post(f"/chats/{scene.chat.id}/sandbox", {"wish": wish.value})
            assert refused.status == 409
            assert "This chat is at work, so its sandbox is left alone." in refused.words
    assert await PostgresWishes(page.engine).given() == []
    assert await _noted(page) == []


async def test_nobody_else_touches_a_sandbox(page: Page) -> None:
    mine, theirs = await _rests(page, thread="1.1"), await _rests(page, "theirs", tenant="T2", thread="2.1")
    where = f"/chats/{theirs.chat.id}/sandbox"
    viewer = Rights(tenants={theirs.chat.tenant_id: Access.VIEWER})
    elsewhere = Rights(tenants={mine.chat.tenant_id: Access.ADMIN})
    for rights, status in ((viewer, 403), (elsewhere, 404)):
        async with page.visitor(rights) as ann:
            shown = await ann.get("/health")
            assert where not in shown.text
            assert ("theirs" in shown.words) is (status == 403)
            assert (await ann.get(where)).status == status
            assert (await ann.post(where, {"wish": "end"})).status == status
    async with page.visitor() as root:
        away = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
        assert (await root.post(where, {"wish": "end"}, **away)).status == 403
    async with page.stranger() as nobody:
        assert (await nobody.post(where, {"wish": "end"})).status in {303, 401}
    assert await PostgresWishes(page.engine).given() == []
    assert await _noted(page) == []
