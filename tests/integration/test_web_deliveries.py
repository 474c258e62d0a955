from decimal import Decimal

import pytest
from sqlalchemy import text

from core.bus.connection import open_redis
from core.domain.access import Access, Rights
from core.domain.chat import AgentSeat, Author
from core.domain.events import TurnFinished
from core.domain.states import TurnState
from core.domain.turn import Usage
from core.queue import QUEUE, job_id
from tests.integration.test_web_chats import EVIL
from tests.integration.web_page import Page, Scene


async def _unshown(page: Page, error: str = "The platform refused.", **who: str) -> Scene:
    """A turn that ended an hour ago, whose end the thread does not show; one post of it may be there."""
    scene = await page.runs(**who)
    await page.stores.posts.reserve(scene.fence, scene.turn.id, "turn:0")
    end = TurnFinished(TurnState.FAILED, "", Usage(), Decimal(0), 1.0, error=error)
    await page.stores.turns.finish(scene.fence, scene.turn.id, 2, end, AgentSeat())
    await _later(page)
    return scene


async def _later(page: Page) -> None:
    async with page.engine.begin() as connection:
        await connection.execute(text("UPDATE turns SET ended_at = ended_at - interval '1 hour'"))
        await connection.execute(text("UPDATE messages SET created_at = created_at - interval '1 hour'"))


async def _jobs(page: Page) -> set[str]:
    assert page.settings.redis_url is not None
    async with open_redis(page.settings.redis_url) as redis:
        return {one.decode() if isinstance(one, bytes) else one for one in await redis.zrange(QUEUE, 0, -1)}


async def test_an_end_that_no_thread_shows_is_there_and_tried_again(page: Page) -> None:
    scene = await _unshown(page)
    async with page.visitor() as root:
        shown = (await root.get("/deliveries")).words
        assert "not shown in the thread. 1 post is not surely sent." in shown
        assert "The platform refused." in shown
        answer = await root.post(f"/chats/{scene.chat.id}/try-again")
        assert answer.headers["Location"] == "/deliveries"
    assert job_id(scene.chat.id) in await _jobs(page)
    assert (await page.audit())[-1] == ("Root", "tried again")


async def test_an_end_whose_thread_is_gone_is_there_with_the_reason_and_tried_again(page: Page) -> None:
    scene = await _unshown(page)
    await page.stores.turns.cannot_show(scene.fence, scene.turn.id, "This thread is locked. A moderator can unlock it.")
    assert scene.chat.id not in await page.stores.chats.unattended()
    async with page.visitor() as root:
        shown = (await root.get("/deliveries")).words
        assert "This thread is locked. A moderator can unlock it." in shown
        assert (await root.post(f"/chats/{scene.chat.id}/try-again")).status == 303
        assert job_id(scene.chat.id) in await _jobs(page)
        await page.stores.turns.shown(scene.fence, scene.turn.id)
        shown = (await root.get("/deliveries")).words
    assert "locked" not in shown
    assert "The platform refused." in shown  # of the failure itself


async def test_a_message_that_nobody_takes_is_there_and_one_that_waits_for_a_turn_is_not(page: Page) -> None:
    running = await page.runs("busy", thread="1.1")
    await page.stores.messages.accept(running.chat.place, Author("U1", "Ann"), "1.19", "later")
    async with page.visitor() as root:
        await _later(page)
        assert "Everything has arrived." in (await root.get("/deliveries")).words
        idle = await page.runs("idle", thread="2.1")
        async with page.engine.begin() as connection:
            ended = text("UPDATE turns SET state = 'done', ended_at = now(), is_shown = true WHERE id = :id")
            await connection.execute(ended, {"id": idle.turn.id})
        await page.stores.messages.accept(idle.chat.place, Author("U1", "Ann"), "2.19", "hello?")
        assert "Everything has arrived." in (await root.get("/deliveries")).words
        await _later(page)
        part = await root.get("/deliveries", **{"HX-Request": "true"})
    assert part.words.count("No worker has taken a message.") == 1
    assert "<header" not in part.text


async def test_a_failure_that_is_shown_is_told_and_not_tried_again(page: Page) -> None:
    scene = await _unshown(page)
    await page.stores.turns.shown(scene.fence, scene.turn.id)
    async with page.visitor() as root:
        shown = await root.get("/deliveries")
    assert "A turn failed." in shown.words
    assert "try-again" not in shown.text


async def test_nothing_of_what_did_not_arrive_is_markup(page: Page) -> None:
    await _unshown(page, EVIL, said=EVIL, name=EVIL)
    async with page.visitor() as root:
        shown = await root.get("/deliveries")
    assert "<script>alert" not in shown.text
    assert "alert(1)" in shown.words


@pytest.mark.parametrize("is_viewer", [True, False])
async def test_who_only_looks_or_is_of_elsewhere_tries_nothing_again(page: Page, is_viewer: bool) -> None:
    scene, other = await _unshown(page, thread="1.1"), await page.runs(tenant="T2", thread="2.1")
    rights = Rights(
        tenants={(scene if is_viewer else other).chat.tenant_id: Access.VIEWER if is_viewer else Access.ADMIN}
    )
    async with page.visitor(rights) as ann:
        shown = await ann.get("/deliveries")
        assert ("The platform refused." in shown.words) is is_viewer
        assert "try-again" not in shown.text
        assert (await ann.post(f"/chats/{scene.chat.id}/try-again")).status == (403 if is_viewer else 404)
    async with page.visitor() as root:
        away = await root.post(f"/chats/{scene.chat.id}/try-again", Origin="https://evil.example")
        assert away.status == 403
    assert job_id(scene.chat.id) not in await _jobs(page)
    assert "tried again" not in [action for _, action in await page.audit()]
