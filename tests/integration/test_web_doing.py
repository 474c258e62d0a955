import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from core.bus.connection import open_redis
from core.bus.events import RedisEventBus
from core.domain.access import Access, Rights
from core.domain.approval import ApprovalKind
from core.domain.events import Noticed, TextStreamed, TextWritten
from core.domain.states import ApprovalState
from tests.integration.web_page import Browser, Page

VIEWER = Rights(everywhere=Access.VIEWER)


async def lines_of(answer: aiohttp.ClientResponse) -> AsyncIterator[dict[str, str]]:
    """Server-sent events, as a browser reads them."""
    event: dict[str, str] = {}
    async for raw in answer.content:
        name, _, value = raw.decode().rstrip("\n").partition(": ")
        if name:
            event[name] = value
        elif event:
            yield event
            event = {}


async def read_events(browser: Browser, path: str, count: int, **headers: str) -> list[dict[str, str]]:
    async with asyncio.timeout(60), browser.session.get(browser.url + path, headers=headers) as answer:
        assert answer.status == 200
        found = []
        async for event in lines_of(answer):
            found.append(event)
            if len(found) == count:
                break
        return found


async def test_an_admin_writes_stops_and_answers_and_the_audit_tells(page: Page) -> None:
    scene = await page.runs()
    asked = await page.asks(scene)
    async with page.visitor() as root:
        said = await root.post(f"/chats/{scene.chat.id}/messages", {"text": "faster, please"})
        assert said.headers["Location"] == f"/chats/{scene.chat.id}"
        assert [one.text for one in await page.stores.messages.queued(scene.chat.id)] == ["faster, please"]
        answered = await root.post(
            f"/approvals/{asked.id}", {"verdict": "deny", "reason": "no", "back": "https://evil.example/"}
        )
        assert answered.headers["Location"] == f"/chats/{scene.chat.id}"
        late = await root.post(f"/approvals/{asked.id}", {"verdict": "allow"})
        assert late.status == 409
        assert "Root denied this: no" in late.words
        assert (await root.post(f"/chats/{scene.chat.id}/stop")).status == 303
        assert await page.stores.turns.stop_asked(scene.turn.id) == "Root"
    assert (await page.audit())[-3:] == [("Root", "wrote"), ("Root", "denied"), ("Root", "stopped")]


async def test_a_question_is_answered_with_what_was_chosen(page: Page) -> None:
    scene = await page.runs()
    questions = [{"question": "Which?", "options": [{"label": "Left"}, {"label": "Right"}]}]
    more: dict[str, Any] = {"kind": ApprovalKind.QUESTION, "tool": "AskUserQuestion", "input": {"questions": questions}}
    asked = await page.asks(scene, **more)
    async with page.visitor() as root:
        assert (await root.post(f"/approvals/{asked.id}", {"verdict": "allow"})).status == 404
        await root.post(f"/approvals/{asked.id}", {"verdict": "allow", "choice-0": "1"})
    decision = (await page.stores.approvals.get(asked.id)).decision
    assert decision is not None
    assert decision.answers == {"Which?": "Right"}


@pytest.mark.parametrize("is_viewer", [True, False])
async def test_who_only_looks_or_is_of_elsewhere_changes_nothing(page: Page, is_viewer: bool) -> None:
    scene, other = await page.runs(), await page.runs("x", tenant="T2", thread="2.1")
    asked = await page.asks(scene)
    rights = VIEWER if is_viewer else Rights(tenants={other.chat.tenant_id: Access.ADMIN})
    async with page.visitor(rights) as ann:
        for path, form in (
            (f"/chats/{scene.chat.id}/messages", {"text": "hi"}),
            (f"/chats/{scene.chat.id}/stop", {}),
            (f"/approvals/{asked.id}", {"verdict": "allow"}),
        ):
            assert (await ann.post(path, form)).status == (403 if is_viewer else 404), path
        if not is_viewer:
            assert (await ann.get(f"/chats/{scene.chat.id}/events")).status == 404
    assert (await page.stores.approvals.get(asked.id)).state is ApprovalState.PENDING
    assert await page.stores.messages.queued(scene.chat.id) == []
    assert await page.stores.turns.stop_asked(scene.turn.id) is None


@pytest.mark.parametrize("form", [{}, {"verdict": "accept_edits"}, {"verdict": "<b>"}, {"verdict": "ALLOW"}])
async def test_an_answer_that_was_not_offered_is_none(page: Page, form: dict[str, str]) -> None:
    asked = await page.asks(await page.runs())
    async with page.visitor() as root:
        assert (await root.post(f"/approvals/{asked.id}", form)).status == 400
    assert (await page.stores.approvals.get(asked.id)).state is ApprovalState.PENDING


async def test_another_sites_form_and_a_huge_one_change_nothing(page: Page) -> None:
    scene = await page.runs()
    async with page.visitor() as root:
        path = f"/chats/{scene.chat.id}/messages"
        assert (await root.post(path, {"text": "hi"}, Origin="https://evil.example")).status == 403
        assert (await root.post(path, {"text": "x" * 400_000})).status == 413
        assert (await root.post(path, {"text": " "})).status == 400
    assert await page.stores.messages.queued(scene.chat.id) == []


async def test_a_reader_that_was_cut_off_goes_on_where_it_was(page: Page) -> None:
    scene = await page.runs()
    path = f"/chats/{scene.chat.id}/events"
    assert page.settings.redis_url is not None
    async with page.visitor() as root, open_redis(page.settings.redis_url) as redis:
        bus = RedisEventBus(redis)
        here = (await read_events(root, path, 1))[0]
        assert here["event"] == "here"
        await page.does(scene, 2, TextWritten("one\n\ndata: evil"), TextWritten("two"))
        await bus.publish(
            scene.chat.id,
            scene.turn.id,
            [(None, TextStreamed("o")), (2, TextWritten("one\n\ndata: evil")), (3, TextWritten("two"))],
        )
        first = await read_events(root, path, 3, **{"Last-Event-ID": here["id"]})
        assert [one["event"] for one in first] == ["here", "text_streamed", "text_written"]
        rest = await read_events(root, path, 2, **{"Last-Event-ID": first[-1]["id"]})
        assert rest[1]["event"] == "text_written"
        assert '"two"' in rest[1]["data"]


async def test_what_redis_forgot_is_told_as_missed_and_read_from_the_database(page: Page) -> None:
    scene = await page.runs()
    path = f"/chats/{scene.chat.id}/events"
    assert page.settings.redis_url is not None
    async with page.visitor() as root, open_redis(page.settings.redis_url) as redis:
        here = (await read_events(root, path, 1))[0]
        await page.does(scene, 2, TextWritten("one"), Noticed("two"))
        await RedisEventBus(redis).publish(scene.chat.id, scene.turn.id, [(2, TextWritten("one"))])
        await redis.flushdb()
        found = await read_events(root, path, 4, **{"Last-Event-ID": here["id"]})
    assert [one["event"] for one in found] == ["here", "missed", "text_written", "noticed"]


async def test_a_mark_that_is_none_of_ours_begins_with_the_present(page: Page) -> None:
    scene = await page.runs()
    async with page.visitor() as root:
        assert (await read_events(root, f"/chats/{scene.chat.id}/events", 1, **{"Last-Event-ID": "'; DROP"}))[0]["id"]
