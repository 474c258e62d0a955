"""The console: people call what its client calls, and what is on screen is in its own table."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from core.domain.approval import Approval, Decision, Verdict
from core.domain.chat import Author, ChatId, ChatSettings, Mode, Place
from core.domain.chat import Platform as Name
from core.errors import AlreadyDecided, IllegalStep
from tests.faults.insisting import insist
from tests.faults.platforms.platform import BOB, Ending, Platform, Room
from tests.faults.schedule import Chat, Fault, Said

if TYPE_CHECKING:
    from tests.faults.drive import People

ANN = Author("u1", "Ann")
_BOB = Author("u2", "Bob")


class ConsoleRoom:
    """One console chat."""

    def __init__(self, chat: Chat, people: "People") -> None:
        self._people = people
        self._place = Place(Name.CONSOLE, "local", "", chat.name)
        self._chat_id: ChatId | None = None
        self.key: str | None = self._place.key
        self.refused = 0

    async def say(self, said: Said) -> str:
        for number in range(said.deliveries):
            await asyncio.sleep(0.05 * number)
            accepted = await insist(
                lambda: self._people.intake.accept(
                    self._place, ANN, said.tag, said.prompt(), settings=ChatSettings(mode=Mode.ASK), title=said.tag
                )
            )
            self._chat_id = accepted.chat.id
        return said.tag

    async def press(self, approval: Approval, verdict: Verdict, by: str) -> bool:
        who = _BOB if by == BOB else ANN
        try:
            await insist(lambda: self._people.intake.decide(approval.id, Decision(verdict), who))
        except (AlreadyDecided, IllegalStep):
            return False
        return True

    async def stop(self) -> bool:
        chat_id = self._chat_id
        return chat_id is not None and await insist(lambda: self._people.intake.stop(chat_id, ANN))

    async def broken(self, ending: Ending) -> Sequence[str]:
        assert self.key is not None
        shown = [post.body for post in await self._people.threads.posts(self.key)]
        receipts = await self._people.threads.receipts(self.key)
        found: list[str] = []
        for turn in ending.turns:
            of_turn = [body for body in shown if body["kind"] == "turn" and body["number"] == turn.number]
            if len(of_turn) != 1:
                found.append(f"5: turn {turn.number} has {len(of_turn)} posts")
            elif of_turn[0]["state"] != turn.state or (turn.text and of_turn[0]["text"] != turn.text):
                found.append(f"5: turn {turn.number} shows {of_turn[0]['state']} {of_turn[0]['text'][:60]!r}")
        for approval in ending.asked:
            cards: list[Any] = [body for body in shown if body.get("approval") == str(approval.id)]
            if len(cards) > 1 or (cards and cards[0]["state"] != approval.state):
                states = [card["state"] for card in cards]
                found.append(f"5: question {approval.line} has {states}, is {approval.state}")
        for message in ending.messages:
            receipt = receipts.get(message.external_id)
            if receipt != message.state.value:
                found.append(f"5: message {message.external_id} shows {receipt}, not {message.state.value}")
        return found


class Console:
    """All console chats of a stack. Nothing breaks here but what breaks everywhere; `moody.py` makes its surface fail."""

    def __init__(self) -> None:
        self.name = "console"
        self.bot: str | None = None
        self.settings: Mapping[str, str] = {}
        self.staged: Mapping[str, int] = {}

    async def open_room(self, chat: Chat, people: "People") -> Room:
        return ConsoleRoom(chat, people)

    async def stage(self, fault: Fault) -> None:
        raise NotImplementedError(f"the console has no {fault.name}")

    def violations(self, faults: Sequence[str]) -> Sequence[str]:
        return ()


@asynccontextmanager
async def open_console(seed: int) -> AsyncIterator[Platform]:
    """The console; its moods have the workers' seeds."""
    yield Console()
