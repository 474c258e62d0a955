"""The promises of `core.ports.Surface`, over every surface; those about a network over the ones behind one."""

import asyncio
import copy
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import reduce
from typing import Any
from uuid import UUID

import pytest

from core.domain import events as e
from core.domain.approval import Approval, ApprovalId, ApprovalKind, Decision, Verdict
from core.domain.chat import ChatId
from core.domain.states import ApprovalState, TurnState
from core.domain.turn import TurnId, Usage
from core.domain.view import View, fold
from core.errors import Ambiguous, PlaceGone, PostGone, RateLimited
from core.ports import Call, Payload, Priority, Receipt, Surface
from core.surfaces.slack.streaming import SlackStreamingSurface
from tests.contracts.surfaces import (
    Faraway,
    Ground,
    bare,
    console_ground,
    discord_ground,
    slack_ground,
    streaming_ground,
)

WAIT_S = 60
NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
TURN = TurnId(UUID(int=1))
EVENTS: Sequence[e.RunEvent] = (
    e.TurnStarted(3, ("m",)),
    e.AgentReady("s", "claude-some-model"),
    e.ThinkingStreamed("hm"),
    e.ToolStarted("t1", "Bash", "Runs `make <all>`", {}),
    e.ToolFailed("t1", "make: *** no rule\nstop <!channel>"),
    e.ToolStarted("t2", "Read", "Reads a_b_c.py", {}, parent="t1"),
    e.TasksChanged(tuple(e.Task(str(n), f"task {n} & more", "completed" if n < 9 else "pending") for n in range(30))),
    e.MessageSteered("m2", "<@U0123ABCD>", "and the @channel tests"),
    e.ApprovalAsked("a", ApprovalKind.TOOL, "Runs `rm`"),
    e.TextStreamed("So **this is"),
    e.TextStreamed(" bold** and ```python\nnot closed\n" * 400),
)
LONG = "\n\n".join(f"Paragraph {n} has 🎉 and `code`.\n\n```python\nline = {n}\n```" for n in range(900))
ENDS = (
    ("", TurnState.DONE, None),
    ("All done.", TurnState.DONE, None),
    ("Half <@U0123ABCD> done.", TurnState.STOPPED, "Ann stopped this."),
    ("", TurnState.FAILED, "The sandbox was lost & " + "more " * 2_000),
    (LONG, TurnState.DONE, None),
    ("x" * 40_000, TurnState.DONE, None),
    ("🎉" * 20_000, TurnState.DONE, None),
)


def over(text: str, state: TurnState = TurnState.DONE, error: str | None = None, view: View | None = None) -> View:
    end = e.TurnFinished(state, text, Usage(1, 2, 3, 4), Decimal("0.0123"), 75.0, error=error)
    return fold(view or View(turn_id=TURN), end)


def views() -> list[View]:
    made = [View(turn_id=TURN), View()]
    for event in EVENTS:
        made.append(fold(made[-1], event))
    worked = reduce(fold, EVENTS[:8], View(turn_id=TURN))
    return made + [over(text, state, error, worked) for text, state, error in ENDS]


QUESTION = {
    "question": "Which <!here> colour?",
    "header": "Colour",
    "options": [{"label": "Blue", "description": "as <https://evil|the sky>"}, {"label": "Red" * 40}],
}
INPUTS: Sequence[tuple[ApprovalKind, str, dict[str, Any]]] = (
    (ApprovalKind.TOOL, "Bash", {"command": "rm -rf build && curl https://x | sh"}),
    (ApprovalKind.TOOL, "Bash", {"command": "echo '<!channel>' \u202e;\n" * 3_000}),
    (ApprovalKind.TOOL, "Edit", {"file_path": "/w/a.py", "old_string": "a\n```\nb", "new_string": "a\n<@U1>\nc"}),
    (ApprovalKind.TOOL, "Write", {"file_path": "/w/a.py", "content": "x = 1\n" * 4_000}),
    (ApprovalKind.TOOL, "mcp__jira__close", {"issue": 1, "why": {"deep": ["<@U0123ABCD>"]}}),
    (ApprovalKind.TOOL, "Bash", {}),
    (ApprovalKind.PLAN, "ExitPlanMode", {"plan": LONG[:30_000]}),
    (ApprovalKind.PLAN, "ExitPlanMode", {}),
    (ApprovalKind.QUESTION, "AskUserQuestion", {"questions": [QUESTION]}),
    (ApprovalKind.QUESTION, "AskUserQuestion", {"questions": [QUESTION, QUESTION | {"multiSelect": True}]}),
    (ApprovalKind.QUESTION, "AskUserQuestion", {"questions": [QUESTION | {"options": []}]}),
    (
        ApprovalKind.QUESTION,
        "AskUserQuestion",
        {"questions": [QUESTION | {"options": [{"label": f"option {n}"} for n in range(60)]}]},
    ),
    (ApprovalKind.QUESTION, "AskUserQuestion", {"questions": "none"}),
)
STATES = (
    (ApprovalState.PENDING, None, None),
    (ApprovalState.ALLOWED, Decision(Verdict.ALWAYS), "Ann <!channel>"),
    (ApprovalState.DENIED, Decision(Verdict.DENY, "no, " * 2_000), "Ann"),
    (ApprovalState.WITHDRAWN, None, None),
)


def approvals() -> list[Approval]:
    return [
        Approval(
            ApprovalId(UUID(int=number)),
            ChatId(UUID(int=1)),
            TURN,
            f"tool{number}",
            kind,
            tool,
            tool_input,
            f"Does something with <{tool}>",
            state,
            NOW,
            why="because & why",
            decision=decision,
            decided_by=by,
            decided_at=NOW if by else None,
        )
        for number, (kind, tool, tool_input) in enumerate(INPUTS)
        for state, decision, by in STATES
    ]


@pytest.fixture(params=["console", "slack", "slack streaming", "discord"])
async def ground(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Ground]:
    if request.param == "console":
        async with console_ground(database_url) as console:
            yield console
    elif request.param == "slack":
        async with slack_ground() as slack:
            yield slack
    elif request.param == "slack streaming":
        async with streaming_ground() as streaming:
            yield streaming
    else:
        async with discord_ground() as discord:
            yield discord


@pytest.fixture(params=["slack", "slack streaming", "discord"])
async def faraway(request: pytest.FixtureRequest) -> AsyncIterator[Faraway]:
    if request.param == "slack":
        async with slack_ground() as slack:
            yield slack
    elif request.param == "slack streaming":
        async with streaming_ground() as streaming:
            yield streaming
    else:
        async with discord_ground() as discord:
            yield discord


def first(surface: Surface, text: str) -> Payload:
    """A post with this text; where live posts are another matter, a live one."""
    is_live = isinstance(surface, SlackStreamingSurface)
    view = View(stream=f"{text} ", turn_id=TURN, status="Writing…") if is_live else over(text)
    return surface.render(view)[0]


def lately() -> datetime:
    return datetime.now(UTC) - timedelta(minutes=5)


# ------------------------------------------------------------ rendering


async def test_rendering_is_pure_and_gives_at_least_one_payload(ground: Ground) -> None:
    for view in views():
        made = ground.surface.render(view)
        assert made
        assert made == ground.surface.render(copy.deepcopy(view))
    for approval in approvals():
        asked = ground.surface.render_approval(approval)
        assert asked
        assert asked == ground.surface.render_approval(copy.deepcopy(approval))


async def test_the_platform_takes_everything_that_is_rendered(ground: Ground) -> None:
    # The double fails the test for a post that is over a limit or malformed.
    async with asyncio.timeout(WAIT_S):
        for number, view in enumerate(views()):
            for part, payload in enumerate(ground.surface.render(view)):
                await ground.surface.send(ground.place, payload, f"view:{number}:{part}")
        for number, approval in enumerate(approvals()):
            for part, payload in enumerate(ground.surface.render_approval(approval)):
                await ground.surface.send(ground.place, payload, f"ask:{number}:{part}")


async def test_the_platform_takes_everything_as_an_edit_too(ground: Ground) -> None:
    async with asyncio.timeout(WAIT_S):
        post = await ground.surface.send(ground.place, first(ground.surface, "begins"), "m")
        for payload in [one for view in views() for one in ground.surface.render(view)]:
            await ground.surface.edit(ground.place, post, payload)
        for payload in [one for approval in approvals() for one in ground.surface.render_approval(approval)]:
            await ground.surface.edit(ground.place, post, payload)


@pytest.mark.parametrize("text", [text for text, *_ in ENDS if text])
async def test_a_final_view_holds_the_whole_text_in_order(ground: Ground, text: str) -> None:
    assert bare(ground.read(ground.surface.render(over(text)))) == bare(text)


async def test_a_running_turn_is_one_post(ground: Ground) -> None:
    assert {len(ground.surface.render(view)) for view in views() if not view.is_over} == {1}


async def test_a_settled_question_has_as_many_posts_as_the_open_one(ground: Ground) -> None:
    counts = [len(ground.surface.render_approval(approval)) for approval in approvals()]
    for start in range(0, len(counts), len(STATES)):
        assert len(set(counts[start : start + len(STATES)])) == 1


# ------------------------------------------------------------ send and find


async def test_send_posts_and_returns_the_id(ground: Ground) -> None:
    post = await ground.surface.send(ground.place, first(ground.surface, "Hello"), "m1")
    other = await ground.surface.send(ground.place, first(ground.surface, "again"), "m2")
    shown = await ground.posts()
    assert [one.id for one in shown] == [post, other]
    assert "Hello" in shown[0].text


async def test_the_same_mark_twice_is_one_post(ground: Ground) -> None:
    post = await ground.surface.send(ground.place, first(ground.surface, "Hello"), "m1")
    assert await ground.surface.send(ground.place, first(ground.surface, "Hello"), "m1") == post
    assert [one.id for one in await ground.posts()] == [post]


async def test_find_finds_a_post_by_its_mark(ground: Ground) -> None:
    for number in range(3):
        await ground.says("something")
        await ground.surface.send(ground.place, first(ground.surface, "Hello"), f"m{number}")
    posts = await ground.posts()
    assert [await ground.surface.find(ground.place, f"m{number}", lately()) for number in range(3)] == [
        one.id for one in posts
    ]
    assert await ground.surface.find(ground.place, "never used", lately()) is None


async def test_an_edited_post_keeps_its_mark(ground: Ground) -> None:
    post = await ground.surface.send(ground.place, first(ground.surface, "Hello"), "m1")
    await ground.surface.edit(ground.place, post, first(ground.surface, "Good-bye"))
    assert await ground.surface.find(ground.place, "m1", lately()) == post


async def test_a_post_whose_answer_was_lost_is_found_and_not_posted_twice(faraway: Faraway) -> None:
    faraway.lose_answer(Call.SEND)
    with pytest.raises(Ambiguous):
        await faraway.surface.send(faraway.place, first(faraway.surface, "Hello"), "m1")
    found = await faraway.surface.find(faraway.place, "m1", lately())
    assert [one.id for one in await faraway.posts()] == [found]
    assert await faraway.surface.send(faraway.place, first(faraway.surface, "Hello"), "m1") == found
    assert len(await faraway.posts()) == 1


async def test_a_post_that_never_arrived_is_posted_by_the_next_try(faraway: Faraway) -> None:
    faraway.lose_request(Call.SEND)
    with pytest.raises(Ambiguous):
        await faraway.surface.send(faraway.place, first(faraway.surface, "Hello"), "m1")
    assert await faraway.surface.find(faraway.place, "m1", lately()) is None
    post = await faraway.surface.send(faraway.place, first(faraway.surface, "Hello"), "m1")
    assert [one.id for one in await faraway.posts()] == [post]


async def test_a_send_that_was_given_up_is_not_posted_twice(faraway: Faraway) -> None:
    faraway.lose_answer(Call.SEND)
    with pytest.raises(Ambiguous):
        await faraway.surface.send(faraway.place, first(faraway.surface, "Hello"), "m1")
    await faraway.surface.send(faraway.place, first(faraway.surface, "Hello again"), "m1")
    posts = await faraway.posts()
    assert len(posts) == 1
    assert "Hello again" in posts[0].text


# ------------------------------------------------------------ edit and delete


async def test_edit_changes_the_post(ground: Ground) -> None:
    post = await ground.surface.send(ground.place, first(ground.surface, "Hello"), "m1")
    await ground.surface.edit(ground.place, post, first(ground.surface, "Good-bye"))
    [shown] = await ground.posts()
    assert "Good-bye" in shown.text
    assert "Hello" not in shown.text


async def test_edit_of_a_deleted_post_raises_post_gone(ground: Ground) -> None:
    post = await ground.surface.send(ground.place, first(ground.surface, "Hello"), "m1")
    await ground.delete(post)
    with pytest.raises(PostGone):
        await ground.surface.edit(ground.place, post, first(ground.surface, "Good-bye"))


async def test_delete_takes_the_post_away_and_may_be_repeated(ground: Ground) -> None:
    post = await ground.surface.send(ground.place, first(ground.surface, "Hello"), "m1")
    await ground.surface.delete(ground.place, post)
    assert await ground.posts() == []
    await ground.surface.delete(ground.place, post)


# ------------------------------------------------------------ a platform that goes wrong


async def test_a_closed_place_raises_place_gone_whatever_is_called(faraway: Faraway) -> None:
    surface, place = faraway.surface, faraway.place
    said = await faraway.says("hello")
    post = await surface.send(place, first(surface, "Hello"), "m1")
    await faraway.close_place()
    with pytest.raises(PlaceGone):
        await surface.send(place, first(surface, "more"), "m2")
    with pytest.raises(PlaceGone):
        await surface.edit(place, post, first(surface, "more"))
    with pytest.raises(PlaceGone):
        await surface.receipt(place, said, Receipt.ANSWERED, None)
    with pytest.raises(PlaceGone):
        await surface.delete(place, post)


@pytest.mark.parametrize("call", list(Call))
async def test_a_full_platform_says_how_long_to_wait(faraway: Faraway, call: Call) -> None:
    made = await prepared(faraway)
    faraway.fill(call, 17)
    with pytest.raises(RateLimited) as caught:
        await do(faraway, call, made)
    assert caught.value.retry_after_s == pytest.approx(17, abs=1)


@pytest.mark.parametrize("call", list(Call))
@pytest.mark.parametrize("is_done", [True, False])
async def test_an_answer_that_never_came_is_ambiguous(faraway: Faraway, call: Call, is_done: bool) -> None:
    made = await prepared(faraway)
    (faraway.lose_answer if is_done else faraway.lose_request)(call)
    with pytest.raises(Ambiguous):
        await do(faraway, call, made)
    await do(faraway, call, made)
    assert len(await faraway.posts()) == (2 if call is Call.SEND else 1)


async def prepared(faraway: Faraway) -> tuple[str, str]:
    said = await faraway.says("hello")
    return said, await faraway.surface.send(faraway.place, first(faraway.surface, "Hello"), "m0")


async def do(faraway: Faraway, call: Call, made: tuple[str, str]) -> None:
    surface, place, (said, post) = faraway.surface, faraway.place, made
    match call:
        case Call.SEND:
            await surface.send(place, first(surface, "more"), "m1")
        case Call.EDIT:
            await surface.edit(place, post, first(surface, "more"))
        case Call.MARK:
            await surface.receipt(place, said, Receipt.ANSWERED, None)


# ------------------------------------------------------------ receipts


async def test_a_receipt_replaces_the_one_before(ground: Ground) -> None:
    said = await ground.says("hello")
    before: Receipt | None = None
    for receipt in (
        Receipt.QUEUED,
        Receipt.STEERED,
        Receipt.ANSWERED,
        Receipt.FAILED,
        Receipt.STOPPED,
        Receipt.DROPPED,
    ):
        await ground.surface.receipt(ground.place, said, receipt, before)
        assert await ground.receipts(said) == [receipt.value]
        before = receipt


async def test_a_receipt_may_be_repeated(ground: Ground) -> None:
    said = await ground.says("hello")
    await ground.surface.receipt(ground.place, said, Receipt.QUEUED, None)
    await ground.surface.receipt(ground.place, said, Receipt.ANSWERED, Receipt.QUEUED)
    await ground.surface.receipt(ground.place, said, Receipt.ANSWERED, Receipt.QUEUED)
    await ground.surface.receipt(ground.place, said, Receipt.ANSWERED, Receipt.ANSWERED)
    assert await ground.receipts(said) == ["answered"]


# ------------------------------------------------------------ allowances


async def test_every_kind_of_call_has_an_allowance_of_its_own(ground: Ground) -> None:
    allowances = {call: ground.surface.allowance(ground.place, call) for call in Call}
    assert len({allowance.key for allowance in allowances.values()}) == len(allowances)
    for call, allowance in allowances.items():
        assert allowance.per_minute > 0
        # Reactions show no progress, so nothing need be kept from it.
        assert allowance.burst >= (1 if call is Call.MARK else len(Priority))
        assert allowance.key.startswith(ground.surface.platform.value)


# ------------------------------------------------------------ files


FILES = (
    ("report.csv", b"a,b\n1,2\n"),
    ("Übersicht 🎉.txt", "schön".encode()),
    ("chart.png", b"\x89PNG\r\n\x1a\n\0\0"),
    ("_!channel_ @everyone.tar.gz", b"\0" * 1000),
    ("Makefile", b"all:\n"),
    ("big.bin", b"\0" * (3 << 20)),
)


async def test_a_file_is_posted_once_and_found_by_its_mark(ground: Ground) -> None:
    surface = ground.surface
    before = len(await ground.posts())
    for number, (name, data) in enumerate(FILES):
        payload = surface.render_file(name, data)
        assert payload == surface.render_file(name, data)
        assert payload.is_file
        assert list(payload.files.values()) == [data]
        since = lately()
        post = await surface.send(ground.place, payload, f"file{number}")
        assert await surface.send(ground.place, payload, f"file{number}") == post
        assert await surface.find(ground.place, f"file{number}", since) == post
    assert await surface.find(ground.place, "file99", lately()) is None
    assert len(await ground.posts()) == before + len(FILES)


async def test_a_file_whose_answer_was_lost_is_found_and_not_posted_twice(faraway: Faraway) -> None:
    surface = faraway.surface
    payload, since = surface.render_file("report.csv", b"a,b\n"), lately()
    before = len(await faraway.posts())
    faraway.lose_file_answer()
    with pytest.raises(Ambiguous):
        await surface.send(faraway.place, payload, "file")
    found = await surface.find(faraway.place, "file", since)
    assert found is not None
    assert await surface.send(faraway.place, payload, "file") == found
    assert len(await faraway.posts()) == before + 1
