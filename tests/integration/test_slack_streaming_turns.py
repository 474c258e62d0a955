"""Turns that are written as Slack's streams, by the real presenter with its ledger of posts: one post, whatever comes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from core.bus.budget import LocalEditBudget
from core.domain.chat import Author, ChatSettings, Platform
from core.domain.turn import Turn
from core.domain.view import View, fold
from core.ports import Fence, PostState, Stores, Surface
from core.store.stores import open_stores
from core.surfaces.slack.client import SlackSurface
from tests.contracts.stage import SEAT, end, wrote
from tests.contracts.surfaces import StreamingGround, streaming_ground
from tests.doubles.slack import Message
from tests.integration.slack_bot import settings_for
from tests.integration.test_slack_streaming import Clock
from worker.app import open_worker
from worker.hold import Hold
from worker.present import Presenter
from worker.tools import Tools

LEASE_S = 300.0
WAIT_S = 60


@dataclass(frozen=True, slots=True)
class Running:
    """A turn of a chat in Slack, and a run's right to show it."""

    slack: StreamingGround
    clock: Clock
    stores: Stores
    turn: Turn
    fence: Fence

    @property
    def begun(self) -> View:
        return View(turn_id=self.turn.id, status="Thinking…")

    @property
    def posts(self) -> list[Message]:
        return self.slack.double.thread("general", self.slack.root).ours

    def methods(self) -> list[str]:
        calls = [call.method for call in self.slack.double.record.calls]
        return [name.removeprefix("chat.") for name in calls if name.startswith("chat.")]

    async def shows(self, text: str) -> None:
        """Wait until one post, and no other, has this text."""

        def is_shown() -> bool:
            return len(self.posts) == 1 and text in self.posts[0].shown

        await self.slack.double.until(is_shown, within=WAIT_S)

    async def taken_over(self) -> "Running":
        await self.stores.chats.release(self.fence)
        took = await self.stores.chats.take(self.fence.chat_id, "w2", LEASE_S)
        assert took is not None
        return replace(self, fence=took[1])

    @asynccontextmanager
    async def presenting(self, surface: Surface | None = None) -> AsyncIterator[Presenter]:
        hold = Hold(self.stores.chats, self.fence, LEASE_S)
        shown_on = surface or self.slack.surface
        presenter = Presenter(shown_on, self.stores, LocalEditBudget(), hold, self.slack.place)
        running = asyncio.ensure_future(presenter.run())
        try:
            yield presenter
        finally:
            running.cancel()
            await asyncio.wait({running})


@pytest.fixture
async def running(database_url: str) -> AsyncIterator[Running]:
    clock = Clock()
    async with streaming_ground(clock) as slack, open_stores(database_url) as stores:
        ann = Author(slack.person.id, "Ann")
        accepted = await stores.messages.accept(slack.place, ann, slack.root.ts, "fix the build")
        took = await stores.chats.take(accepted.chat.id, "w1", LEASE_S)
        assert took is not None
        turn = await stores.turns.begin(took[1], [accepted.message.id])
        yield Running(slack, clock, stores, turn, took[1])


async def ended(running: Running, presenter: Presenter, view: View, text: str) -> None:
    """Let the turn end, and see that its one post is what was rendered last."""
    finished = end(text=text)
    await running.stores.turns.finish(running.fence, running.turn.id, 2, finished, SEAT)
    over = fold(view, finished)
    presenter.show(running.turn.id, over, {})
    assert await presenter.settled(WAIT_S)
    [payload] = running.slack.surface.render(over)
    [post] = running.posts
    shown = [{name: part for name, part in block.items() if name != "block_id"} for block in post.blocks]
    assert shown == payload.body["blocks"]
    assert post.stream is None or post.stream.state != "open"


async def test_a_turn_is_a_stream_and_then_its_answer(running: Running) -> None:
    view = running.begun
    async with running.presenting() as presenter:
        presenter.show(running.turn.id, view, {})
        await running.shows("Thinking…")
        for words in ("One two", "One two three\n\nfour"):
            view = replace(view, stream=words)
            presenter.show(running.turn.id, view, {})
            await running.shows(words.rpartition(" ")[0])
        view = fold(replace(view, stream=""), wrote("One two three\n\nfour five.")[0])
        await ended(running, presenter, view, "One two three\n\nfour five.")
    assert running.methods()[0] == "startStream"
    assert running.methods()[-2:] == ["stopStream", "update"]
    assert set(running.methods()[1:-2]) == {"appendStream"}


async def test_a_stream_that_comes_to_its_end_goes_on_in_another_post(running: Running) -> None:
    view = replace(running.begun, stream="One two ")
    async with running.presenting() as presenter:
        presenter.show(running.turn.id, view, {})
        await running.shows("One two ")
        [first] = running.posts
        running.clock.now = 290
        view = replace(view, stream="One two three ")
        presenter.show(running.turn.id, view, {})
        await running.shows("One two three ")
        [second] = running.posts
        assert first.ts != second.ts
        await ended(running, presenter, view, "One two three.")
    kept = await running.stores.posts.of_turn(running.turn.id)
    assert [(one.external_id, one.state) for one in kept if one.state is PostState.SENT] == [
        (second.ts, PostState.SENT)
    ]
    assert running.methods().count("startStream") == 2


@pytest.mark.parametrize("has_streams", [True, False])
async def test_who_takes_a_turn_over_ends_the_stream_and_shows_each_word_once(
    running: Running, has_streams: bool
) -> None:
    view = replace(running.begun, stream="One two ")
    async with running.presenting() as presenter:
        presenter.show(running.turn.id, view, {})
        await running.shows("One two ")
    later = await running.taken_over()
    kind = type(running.slack.surface) if has_streams else SlackSurface
    async with (
        kind.open(running.slack.surface._token_of, running.slack.double.api_url) as surface,
        later.presenting(surface) as presenter,
    ):
        view = replace(view, stream="One two three ")
        presenter.show(running.turn.id, view, {})
        await running.shows("One two three")
        assert running.posts[0].shown.count("One") == 1
        await ended(later, presenter, view, "One two three.")


async def test_the_setting_chooses_and_a_stream_is_for_who_began_the_chat(
    running: Running, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    double, ann = running.slack.double, running.slack.person
    await running.stores.chats.change_settings(running.fence.chat_id, ChatSettings(may_decide=(ann.id, "U0OTHER")))
    made = list[Tools]()

    def keep(tools: Tools) -> Tools:
        made.append(tools)
        return tools

    for how in ("edit", "native"):
        settings = settings_for(double, database_url, redis_url, tmp_path, slack_streaming=how)
        async with open_worker(settings, keep):
            surface = made[-1].surfaces[Platform.SLACK]
            await surface.send(running.slack.place, surface.render(running.begun)[0], how)
    assert running.methods() == ["postMessage", "startStream"]
    [call] = double.calls("chat.startStream")
    assert call.args["recipient_user_id"] == ann.id


async def test_a_stream_whose_answer_was_lost_is_found_and_no_second_one_begins(running: Running) -> None:
    view = replace(running.begun, stream="One two ")
    running.slack.double.faults.ambiguous("chat.startStream")
    async with running.presenting() as presenter:
        presenter.show(running.turn.id, view, {})
        await running.shows("One two")
        await ended(running, presenter, view, "One two.")
    assert running.methods().count("startStream") == 1
