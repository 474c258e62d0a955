"""The sweeper does what admins want of sandboxes, under a lease, and leaves those of chats that came to work."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from core.domain.chat import AgentSeat, ChatId
from core.domain.states import SandboxState
from core.errors import SandboxLost, Unavailable
from core.ports import Ran, Wish
from core.settings import Settings
from core.store.engine import open_engine
from core.store.stores import stores_on
from core.store.wishes import PostgresWishes
from tests.contracts.stage import LONG_S, SEAT, Stage, end
from tests.integration.web_page import settings_for
from worker.sweep import Sweeper


class Scripted:
    """A provider, its sandbox and the queue: notes what is asked of it, and fails as it is told to."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.queued: list[ChatId] = []
        self.fails: Exception | None = None
        self.id = "sb1"

    async def connect(self, sandbox_id: str, *, time_s: float) -> "Scripted":
        return self._done(f"connect {sandbox_id}")

    async def run(self, command: str, *, time_s: float = 60, envs: object = None) -> Ran:
        self._done(command)
        return Ran(0, "", "")

    async def pause(self, sandbox_id: str) -> None:
        self._done(f"pause {sandbox_id}")

    async def kill(self, sandbox_id: str) -> None:
        self._done(f"kill {sandbox_id}")

    async def put(self, chat_id: ChatId) -> None:
        self.queued.append(chat_id)

    def _done(self, what: str) -> "Scripted":
        if self.fails is not None:
            raise self.fails
        self.did.append(what)
        return self


class Scene:
    def __init__(self, stage: Stage, settings: Settings) -> None:
        self.stage = stage
        self.wishes = PostgresWishes(stage.engine)
        self.on = Scripted()
        stand_in = cast("Any", self.on)
        self.sweeper = Sweeper(stage.stores, self.wishes, stand_in, stand_in, settings)

    async def rests(self) -> ChatId:
        fence, turn, accepted = await self.stage.begun()
        await self.stage.stores.chats.save_seat(fence, SEAT)
        await self.stage.stores.turns.finish(fence, turn.id, 2, end(), SEAT)
        await self.stage.stores.turns.shown(fence, turn.id)
        await self.stage.stores.messages.marked(fence, accepted.message.id, "answered")
        await self.stage.stores.chats.release(fence)
        return accepted.chat.id

    async def seat(self, chat: ChatId) -> AgentSeat:
        return (await self.stage.stores.chats.get(chat)).seat

    async def is_free(self, chat: ChatId) -> bool:
        return await self.stage.stores.chats.take(chat, "w1", LONG_S) is not None


@pytest.fixture
async def scene(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Scene]:
    async with open_engine(database_url) as engine:
        yield Scene(Stage(stores_on(engine), engine), settings_for(database_url, redis_url, tmp_path))


async def test_a_pause_syncs_first_and_keeps_the_agent(scene: Scene) -> None:
    chat = await scene.rests()
    await scene.wishes.wish(chat, Wish.PAUSE, "Ann")
    await scene.sweeper.sweep()
    assert scene.on.did == ["connect sb1", "sync", "pause sb1"]
    seat = await scene.seat(chat)
    assert (seat.sandbox_state, seat.session_id) == (SandboxState.PAUSED, "s1")
    assert await scene.is_free(chat)


async def test_an_end_forgets_the_sandbox_and_the_agents_memory(scene: Scene) -> None:
    chat = await scene.rests()
    await scene.wishes.wish(chat, Wish.END, "Ann")
    await scene.sweeper.sweep()
    await scene.sweeper.sweep()
    assert scene.on.did == ["kill sb1"]
    assert await scene.seat(chat) == AgentSeat(sandbox_state=SandboxState.LOST)
    assert await scene.is_free(chat)


@pytest.mark.parametrize("how", ["a message waits", "a turn runs", "a worker has it"])
async def test_a_chat_that_came_to_work_meanwhile_keeps_its_sandbox(scene: Scene, how: str) -> None:
    chat = await scene.rests()
    await scene.wishes.wish(chat, Wish.END, "Ann")
    accepted = await scene.stage.says("one more thing")
    if how != "a message waits":
        fence = await scene.stage.taken(accepted)
        await scene.stage.stores.turns.begin(fence, [accepted.message.id])
        if how == "a turn runs":
            # Its worker has died.
            await scene.stage.stores.chats.release(fence)
    await scene.sweeper.sweep()
    await scene.sweeper.sweep()
    assert scene.on.did == []
    assert (await scene.seat(chat)).sandbox_state is SandboxState.RUNNING
    assert (chat in scene.on.queued) is (how != "a worker has it")
    assert await scene.is_free(chat) is (how != "a worker has it")


@pytest.mark.parametrize("wish", list(Wish))
async def test_a_sandbox_server_that_does_not_answer_leaves_all_as_it_was(scene: Scene, wish: Wish) -> None:
    chat = await scene.rests()
    await scene.wishes.wish(chat, wish, "Ann")
    scene.on.fails = Unavailable("the sandbox server")
    await scene.sweeper.sweep()
    assert await scene.seat(chat) == SEAT
    assert await scene.is_free(chat)


async def test_a_sandbox_that_is_gone_is_noted_as_lost(scene: Scene) -> None:
    chat = await scene.rests()
    await scene.wishes.wish(chat, Wish.PAUSE, "Ann")
    scene.on.fails = SandboxLost("gone")
    await scene.sweeper.sweep()
    assert (await scene.seat(chat)).sandbox_state is SandboxState.LOST
