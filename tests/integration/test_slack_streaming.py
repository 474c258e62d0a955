"""Slack's own streams as live posts, against the double, which holds them to their ends and their limits."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from core.bus.budget import LocalEditBudget
from core.domain import events as e
from core.domain.chat import Place, Platform
from core.domain.view import View, fold
from core.errors import Ambiguous, PlaceGone, PostGone, RateLimited
from core.ports import Call, Payload
from core.surfaces.slack.cards import MOST_TEXT
from core.surfaces.slack.client import SlackSurface
from core.surfaces.slack.streaming import SlackStreamingSurface
from tests.contracts.surfaces import StreamingGround, streaming_ground
from tests.contracts.test_surface import LONG, TURN, over
from tests.doubles.slack import Message

_STARTED = View(turn_id=TURN, status="Thinking…")


class Clock:
    """A clock that a test turns on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def slack(clock: Clock) -> AsyncIterator[StreamingGround]:
    async with streaming_ground(clock) as ground:
        yield ground


def writing(text: str) -> View:
    return replace(_STARTED, stream=text, status="Writing…")


def live(slack: StreamingGround, view: View) -> Payload:
    return slack.surface.render(view)[0]


def final(slack: StreamingGround, text: str) -> Payload:
    return slack.surface.render(over(text))[0]


def methods(slack: StreamingGround) -> list[str]:
    calls = [call.method for call in slack.double.record.calls]
    return [name.removeprefix("chat.") for name in calls if name.startswith("chat.")]


def posted(slack: StreamingGround) -> Message:
    [one] = slack.double.thread("general", slack.root).ours
    return one


def lately() -> datetime:
    return datetime.now(UTC) - timedelta(minutes=5)


async def send(slack: StreamingGround, view: View, mark: str = "m") -> str:
    return await slack.surface.send(slack.place, live(slack, view), mark)


async def edit(slack: StreamingGround, post: str, view: View) -> None:
    await slack.surface.edit(slack.place, post, live(slack, view))


async def test_an_answer_is_written_as_it_grows_and_ends_as_it_was_rendered(slack: StreamingGround) -> None:
    post = await send(slack, _STARTED)
    await edit(slack, post, writing("One two"))
    await edit(slack, post, writing("One two three\n\nfour"))
    assert posted(slack).stream is not None
    assert "One two three\n\n" in posted(slack).shown

    await slack.surface.edit(slack.place, post, final(slack, "One two three\n\nfour."))

    assert methods(slack) == ["startStream", "appendStream", "appendStream", "stopStream", "update"]
    sent = [chunk["text"] for call in slack.double.calls("chat.appendStream") for chunk in call.args["chunks"][-1:]]
    assert sent == ["One ", "two three\n\n"]
    [answer, *_] = [one["text"] for one in posted(slack).blocks if one["type"] == "markdown"]
    assert answer == "One two three\n\nfour."
    assert [one["type"] for one in posted(slack).blocks] == ["markdown", "context"]


async def test_steps_and_tasks_are_cards_that_change(slack: StreamingGround) -> None:
    view = _STARTED
    for event in (
        e.TasksChanged((e.Task("1", "Find the <!channel> bug", "in_progress"),)),
        e.ToolStarted("t1", "Bash", "Runs `make`", {}),
        e.ToolStarted("t2", "Read", "Reads a.py", {}),
    ):
        view = fold(view, event)
    post = await send(slack, view)
    view = fold(view, e.ToolFailed("t1", "make: *** no rule\nstop"))
    await edit(slack, post, view)

    stream = posted(slack).stream
    assert stream is not None
    states = {key: (card["status"], card.get("output")) for key, card in stream.tasks.items()}
    assert states == {
        "task:1": ("in_progress", None),
        "step:t1": ("error", "stop"),
        "step:t2": ("in_progress", None),
    }
    assert "<!channel>" not in str(posted(slack).blocks)
    [call] = slack.double.calls("chat.appendStream")
    assert [chunk.get("id") for chunk in call.args["chunks"]] == [None, "step:t1"]


async def test_a_view_that_shows_nothing_new_costs_no_call(slack: StreamingGround) -> None:
    post = await send(slack, writing("Hello there"))
    await edit(slack, post, writing("Hello there"))
    await edit(slack, post, writing("Hello therefo"))
    assert methods(slack) == ["startStream"]


async def test_a_stream_has_a_button_that_stops_the_turn(slack: StreamingGround) -> None:
    await send(slack, _STARTED)
    assert [one["text"]["text"] for one in posted(slack).elements] == ["Stop"]


async def test_text_that_changes_ends_the_stream_and_is_edited(slack: StreamingGround) -> None:
    post = await send(slack, writing("First this way "))
    await edit(slack, post, writing("No, that way "))
    await edit(slack, post, writing("No, that way round "))
    assert methods(slack) == ["startStream", "stopStream", "update", "update"]
    assert "First" not in posted(slack).shown
    assert "that way round" in posted(slack).shown


@pytest.mark.parametrize("text", ["see [the page](https://a.example) now ", "<@U0123ABCD|ann b> and @everyone here "])
async def test_markup_of_the_model_acts_at_no_moment(slack: StreamingGround, text: str) -> None:
    post = await send(slack, writing(""))
    for end in range(1, len(text) + 1):
        await edit(slack, post, writing(text[:end]))
        assert "](http" not in posted(slack).shown
    assert slack.double.pings == []


async def test_a_link_is_written_once_it_is_whole(slack: StreamingGround) -> None:
    post = await send(slack, writing(""))
    text = "see [the page](https://a.example) now "
    for end in range(1, len(text) + 1):
        await edit(slack, post, writing(text[:end]))
    assert set(methods(slack)) == {"startStream", "appendStream"}
    assert "see the page (https://a.example) now " in posted(slack).shown


# ------------------------------------------------------------ its two ends


async def test_a_stream_moves_to_another_post_before_its_five_minutes_are_over(
    slack: StreamingGround, clock: Clock
) -> None:
    post = await send(slack, writing("Hello there "))
    clock.now = 290
    with pytest.raises(PostGone):
        await edit(slack, post, writing("Hello there again "))
    assert slack.double.thread("general", slack.root).ours == []

    other = await send(slack, writing("Hello there again "), "m2")
    await edit(slack, other, writing("Hello there again and again "))
    assert "Hello there again and again " in posted(slack).shown
    assert await slack.surface.find(slack.place, "m2", lately()) == other


async def test_a_stream_that_slack_ended_is_no_obstacle(slack: StreamingGround, clock: Clock) -> None:
    post = await send(slack, writing("Hello there "))
    slack.double.posting.end_stream(posted(slack), "expired")
    clock.now = 3_600
    with pytest.raises(PostGone):
        await edit(slack, post, writing("Hello there again "))
    assert slack.double.thread("general", slack.root).ours == []


async def test_a_stream_moves_before_it_is_full_and_shows_the_end_of_the_text(slack: StreamingGround) -> None:
    post, mark, moves = await send(slack, writing("")), 0, 0
    for end in range(1_500, len(LONG) - 5_000, 1_500):
        try:
            await edit(slack, post, writing(LONG[:end]))
        except PostGone:
            moves, mark = moves + 1, mark + 1
            post = await send(slack, writing(LONG[:end]), f"m{mark}")
        stream = posted(slack).stream
        assert stream is not None
        assert stream.state == "open"
        assert len(stream.text) <= MOST_TEXT
        assert stream.text.count("```") >= 2
    assert moves > 3
    assert not slack.double.calls("chat.update")
    await slack.surface.edit(slack.place, post, final(slack, LONG))
    assert posted(slack).shown.startswith("Paragraph 0 has")


async def test_where_a_post_cannot_be_taken_away_it_is_edited(slack: StreamingGround, clock: Clock) -> None:
    post = await send(slack, writing("Hello there "))
    clock.now = 290
    slack.double.faults.fail("chat.delete", "cant_delete_message")
    await edit(slack, post, writing("Hello there again "))
    assert "Hello there again" in posted(slack).shown
    assert methods(slack)[-2:] == ["delete", "update"]


# ------------------------------------------------------------ who does not know what is there


@pytest.mark.parametrize("has_streams", [True, False])
async def test_another_worker_ends_the_stream_and_goes_on_by_edits(slack: StreamingGround, has_streams: bool) -> None:
    post = await send(slack, writing("Hello there "))
    kind = SlackStreamingSurface if has_streams else SlackSurface
    async with kind.open(slack.surface._token_of, slack.double.api_url) as successor:
        view = writing("Hello there again ")
        await successor.edit(slack.place, post, successor.render(view)[0])
        assert posted(slack).shown.count("Hello there") == 1
        assert "Hello there again" in posted(slack).shown
        await successor.edit(slack.place, post, successor.render(over("Hello there again."))[0])
    assert methods(slack) == ["startStream", "update", "stopStream", "update", "update"]


async def test_a_stream_is_found_by_its_mark_while_it_is_written_and_after(slack: StreamingGround) -> None:
    post = await send(slack, writing("Hello there "))
    assert await slack.surface.find(slack.place, "m", lately()) == post
    await slack.surface.edit(slack.place, post, final(slack, "Hello there."))
    assert await slack.surface.find(slack.place, "m", lately()) == post


async def test_an_append_whose_answer_was_lost_is_not_made_twice(slack: StreamingGround) -> None:
    post = await send(slack, writing("One "))
    slack.double.faults.ambiguous("chat.appendStream")
    with pytest.raises(Ambiguous):
        await edit(slack, post, writing("One two "))
    await edit(slack, post, writing("One two "))
    assert posted(slack).shown.count("two") == 1
    assert methods(slack)[-2:] == ["stopStream", "update"]


async def test_an_append_that_was_given_up_is_not_made_twice(slack: StreamingGround) -> None:
    post = await send(slack, writing("One "))
    slack.double.faults.delay("chat.appendStream", seconds=5)
    giving_up = asyncio.ensure_future(edit(slack, post, writing("One two ")))
    await slack.double.until(lambda: len(slack.double.calls("chat.appendStream")) == 1, within=60)
    giving_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await giving_up
    await edit(slack, post, writing("One two "))
    assert posted(slack).shown.count("two") == 1


# ------------------------------------------------------------ what Slack refuses


@pytest.mark.parametrize("code", ["unknown_method", "not_allowed_token_type", "user_not_found", "something_new"])
async def test_where_slack_refuses_streams_the_post_is_edited(slack: StreamingGround, code: str) -> None:
    slack.double.faults.fail("chat.startStream", code)
    post = await send(slack, writing("Hello there "))
    await edit(slack, post, writing("Hello there again "))
    await slack.surface.edit(slack.place, post, final(slack, "Hello there again."))
    assert methods(slack) == ["startStream", "postMessage", "update", "update"]
    assert await slack.surface.find(slack.place, "m", lately()) == post


async def test_a_refusal_is_remembered_for_a_while(slack: StreamingGround, clock: Clock) -> None:
    slack.double.faults.fail("chat.startStream", "unknown_method")
    for number in range(3):
        await send(slack, _STARTED, f"m{number}")
    clock.now = 700
    await send(slack, _STARTED, "later")
    assert methods(slack) == ["startStream", "postMessage", "postMessage", "postMessage", "startStream"]


@pytest.mark.parametrize("code", ["stopped_by_user", "message_not_in_streaming_state", "msg_too_long"])
async def test_where_slack_refuses_more_of_a_stream_the_post_is_edited(slack: StreamingGround, code: str) -> None:
    post = await send(slack, writing("Hello there "))
    slack.double.faults.fail("chat.appendStream", code)
    await edit(slack, post, writing("Hello there again "))
    await edit(slack, post, writing("Hello there again and again "))
    assert posted(slack).shown.count("again and again") == 1
    assert len(slack.double.calls("chat.appendStream")) == 1


async def test_a_person_who_stops_the_stream_sees_the_end_all_the_same(slack: StreamingGround) -> None:
    post = await send(slack, writing("Hello there "))
    await slack.person.stops_stream(posted(slack))
    await slack.surface.edit(slack.place, post, final(slack, "Hello."))
    assert posted(slack).shown.startswith("Hello.")


async def test_a_full_slack_leaves_the_stream_as_it_is(slack: StreamingGround) -> None:
    post = await send(slack, writing("One "))
    slack.double.faults.throttle("chat.appendStream", retry_after=7)
    with pytest.raises(RateLimited):
        await edit(slack, post, writing("One two "))
    await edit(slack, post, writing("One two "))
    assert methods(slack) == ["startStream", "appendStream", "appendStream"]
    assert "One two " in posted(slack).shown


async def test_a_closed_place_is_told_and_not_edited(slack: StreamingGround) -> None:
    post = await send(slack, writing("One "))
    await slack.close_place()
    with pytest.raises(PlaceGone):
        await edit(slack, post, writing("One two "))
    with pytest.raises(PlaceGone):
        await send(slack, writing("One "), "m2")


async def test_without_a_recipient_only_direct_messages_have_streams(slack: StreamingGround) -> None:
    dm = slack.person.dm
    root = slack.double.posting.create(dm, slack.person.user, "hello")
    direct = Place(Platform.SLACK, "T1", dm.id, root.ts)
    async with SlackStreamingSurface.open(slack.surface._token_of, slack.double.api_url) as surface:
        await surface.send(slack.place, surface.render(_STARTED)[0], "m1")
        await surface.send(direct, surface.render(_STARTED)[0], "m2")
    assert methods(slack) == ["postMessage", "startStream"]


# ------------------------------------------------------------ the budget


async def test_while_a_stream_is_written_edits_have_its_allowance(slack: StreamingGround) -> None:
    other = replace(slack.place, thread="1.000000")
    plainly = slack.surface.allowance(slack.place, Call.EDIT)
    post = await send(slack, _STARTED)
    assert slack.surface.allowance(slack.place, Call.EDIT).key != plainly.key
    assert slack.surface.allowance(other, Call.EDIT) == plainly
    await slack.surface.edit(slack.place, post, final(slack, "Done."))
    assert slack.surface.allowance(slack.place, Call.EDIT) == plainly


async def test_starts_that_the_budget_has_no_room_for_are_posts(slack: StreamingGround) -> None:
    async def recipient_of(_place: Place) -> str:
        return slack.person.id

    opening = SlackStreamingSurface.open(
        slack.surface._token_of, slack.double.api_url, recipient_of=recipient_of, budget=LocalEditBudget()
    )
    slack.double.rates.enabled = True
    async with opening as surface:
        for number in range(5):
            await surface.send(slack.place, surface.render(_STARTED)[0], f"m{number}")
    made = methods(slack)
    assert 0 < made.count("startStream") < 5
    assert made.count("startStream") + made.count("postMessage") == 5
