from decimal import Decimal
from uuid import uuid4

import pytest

from core.domain.access import Access, Rights
from core.domain.approval import ApprovalKind, Decision, Verdict
from core.domain.chat import AgentSeat
from core.domain.events import Noticed, TextWritten, ThinkingDone, ToolFailed, ToolStarted, TurnFinished
from core.domain.states import TurnState
from core.domain.turn import Usage
from tests.integration.web_page import Page

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'>{{7*7}}\u202e\x07"


async def test_the_list_tells_what_each_chat_does(page: Page) -> None:
    running = await page.runs("mend the tests", thread="1.1", name="Ann")
    asking = await page.runs("clean up", thread="2.1", name="Bob")
    await page.asks(asking)
    async with page.visitor() as root:
        home = await root.get("/")
    assert "mend the tests" in home.text
    assert "clean up" in home.text
    assert f"/chats/{running.chat.id}" in home.text
    assert "asks" in home.text
    assert "Bob" in home.text


async def test_the_list_is_filtered_and_searched(page: Page) -> None:
    await page.runs("100% of the tests", thread="1.1")
    await page.runs("100 other things", thread="2.1", name="Bob")
    async with page.visitor() as root:
        found = (await root.get("/?q=100%25")).text
        assert "100% of the tests" in found
        assert "other things" not in found
        assert "other things" in (await root.get("/?q=bob&platform=slack&busy=1")).text
        assert "no such chat" in (await root.get("/?platform=discord")).text
        assert (await root.get("/?q=%00%F0&platform=%3Cscript%3E&busy=x")).status == 200


async def test_htmx_gets_the_middle_of_a_page_only(page: Page) -> None:
    scene = await page.runs()
    async with page.visitor() as root:
        for path in ("/", f"/chats/{scene.chat.id}"):
            part = await root.get(path, **{"HX-Request": "true"})
            assert part.status == 200
            assert "<html" not in part.text


async def test_a_chat_tells_what_was_said_and_done_and_who_decided(page: Page) -> None:
    scene = await page.runs("mend it")
    asked = await page.asks(scene)
    await page.stores.approvals.decide(asked.id, Decision(Verdict.DENY, reason="not today"), "Bob")
    await page.does(
        scene,
        3,
        ThinkingDone("hm, the tests"),
        ToolStarted("a", "Bash", "Runs `pytest`", {"command": "pytest -x --long"}),
        ToolFailed("a", "2 failed"),
        ToolStarted("b", "Edit", "Edits x.py", {"file_path": "x.py", "old_string": "one\n", "new_string": "two\n"}),
        TextWritten("I mended it."),
        Noticed("The sandbox was restarted."),
    )
    end = TurnFinished(TurnState.DONE, "All is well.", Usage(1000, 234), Decimal("0.5"), 2.0)
    await page.stores.turns.finish(scene.fence, scene.turn.id, 9, end, AgentSeat())
    async with page.visitor() as root:
        shown = (await root.get(f"/chats/{scene.chat.id}")).words
    for words in (
        "mend it",
        "hm, the tests",
        "pytest -x --long",
        "2 failed",
        "-one",
        "+two",
        "I mended it.",
        "The sandbox was restarted.",
        "All is well.",
        "Bob denied this: not today",
        "1,234 tokens",
        "$0.5000",
        "https://slack.com/app_redirect?channel=C1&team=T1",
    ):
        assert words in shown, words


async def test_whatever_people_and_agents_write_stays_text(page: Page) -> None:
    scene = await page.runs(EVIL, name=EVIL)
    await page.does(
        scene,
        2,
        TextWritten(EVIL),
        ThinkingDone(EVIL),
        ToolStarted("a", EVIL, EVIL, {EVIL: EVIL}),
        ToolFailed("a", EVIL),
        ToolStarted("b", "Write", EVIL, {"file_path": EVIL, "content": EVIL}),
        Noticed(EVIL),
    )
    await page.asks(scene, 8, line=EVIL, why=EVIL, tool=EVIL, input={"command": EVIL, EVIL: EVIL})
    questions = [{"question": EVIL, "header": EVIL, "options": [{"label": EVIL, "description": EVIL}]}]
    question = {"kind": ApprovalKind.QUESTION, "tool": "AskUserQuestion", "line": EVIL}
    await page.asks(scene, 9, input={"questions": questions}, **question)
    plan = {"kind": ApprovalKind.PLAN, "tool": "ExitPlanMode", "line": EVIL}
    await page.asks(scene, 10, input={"plan": EVIL}, **plan)
    async with page.visitor(name=EVIL) as root:
        for path in ("/", f"/chats/{scene.chat.id}", f"/?q={'<script>alert(1)</script>'}"):
            shown = await root.get(path)
            assert shown.status == 200
            assert "<script>alert" not in shown.text, path
            assert "<img" not in shown.text
            assert 'onerror=alert(2)>"' not in shown.text
            assert "\u202e" not in shown.text
            assert "\x07" not in shown.text


@pytest.mark.parametrize("access", list(Access))
async def test_another_tenants_chats_are_not_there(page: Page, access: Access) -> None:
    ours = await page.runs("our own work", tenant="T1", thread="1.1")
    theirs = await page.runs("their secret", tenant="T2", thread="2.1")
    rights = Rights(tenants={ours.chat.tenant_id: access})
    async with page.visitor(rights) as ann:
        home = (await ann.get("/")).text
        assert "our own work" in home
        assert "their secret" not in home
        assert "their secret" not in (await ann.get("/?q=secret")).text
        assert (await ann.get(f"/chats/{ours.chat.id}")).status == 200
        missing = await ann.get(f"/chats/{uuid4()}")
        not_theirs = await ann.get(f"/chats/{theirs.chat.id}")
        assert not_theirs.status == missing.status == 404
        assert not_theirs.text.replace(str(theirs.chat.id), "") == missing.text.replace(
            missing.text.partition("no chat ")[2][:36], ""
        )


async def test_who_may_see_nothing_sees_nothing(page: Page) -> None:
    scene = await page.runs("a secret")
    async with page.visitor(Rights()) as nobody:
        assert "a secret" not in (await nobody.get("/")).text
        assert (await nobody.get(f"/chats/{scene.chat.id}")).status == 404


@pytest.mark.parametrize("chat", ["-" * 36, "0" * 35, "x" * 36, "%00", "0" * 32])
async def test_what_is_no_chat_is_not_there(page: Page, chat: str) -> None:
    async with page.visitor() as root:
        assert (await root.get(f"/chats/{chat}")).status == 404


async def test_a_viewer_is_shown_no_forms(page: Page) -> None:
    scene = await page.runs()
    await page.asks(scene)
    async with page.visitor(Rights(everywhere=Access.VIEWER)) as viewer:
        shown = (await viewer.get(f"/chats/{scene.chat.id}")).text
    assert shown.count("<form") == 1  # to sign out
    assert "rm -rf build" in shown
