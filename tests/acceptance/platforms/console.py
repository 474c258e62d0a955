"""A console chat: the console's own client, on the stack that runs; what is on screen is in its thread in Postgres."""

import getpass
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final, Self
from uuid import UUID

from bots.console.answering import Answering
from bots.console.app import ConsoleChat, open_console
from core.domain.approval import Approval, ApprovalId
from core.domain.chat import ChatSettings, Mode
from core.errors import ThreadworkError
from core.ports import ConsolePost
from core.store.console import PostgresConsoleThreads
from core.store.engine import open_engine
from tests.acceptance.platforms.house import House
from tests.acceptance.platforms.platform import Post
from threadwork.stack import read_stack

SIGNS: Final = {
    "queued": "👀",
    "working": "👀",
    "steered": "💬",
    "answered": "✅",
    "stopped": "🛑",
    "dropped": "🚫",
    "failed": "❌",
}
# What has a button elsewhere has a key here; Stop is Ctrl-C.
KEYS: Final[Mapping[str, str]] = {
    "Allow once": "a",
    "Always in this thread": "A",
    "Deny": "d",
    "Deny with a reason…": "r",
    "Edit, then allow…": "e",
}
_UNDER_WAY: Final = frozenset({"running", "waiting"})


@dataclass(slots=True)
class ConsoleThread:
    """A chat of the person who runs the tests."""

    chat: ConsoleChat
    threads: PostgresConsoleThreads
    told: list[str] = field(default_factory=list)

    async def say(self, text: str, by: str) -> str:
        _, message = await self.chat.say(text, ChatSettings(mode=Mode.ASK))
        return message.external_id

    async def edit(self, message: str, text: str, by: str) -> None:
        raise NotImplementedError("abilities.py says that a console has no such thing")

    async def delete(self, message: str, by: str) -> None:
        raise NotImplementedError("abilities.py says that a console has no such thing")

    async def press(self, post: Post, label: str, by: str) -> None:
        if label == "Stop":
            assert await self.chat.stop()
            return
        asking = Answering(await self._asked(post))
        await self._decide(asking.key(KEYS.get(label) or str(post.offers.index(label) + 1)))

    async def fill(self, post: Post, label: str, text: str, by: str) -> None:
        await self._decide(Answering(await self._asked(post)).key(KEYS[label]).typed(text))

    async def _decide(self, asking: Answering) -> None:
        assert asking.decision is not None
        try:
            await self.chat.decide(str(asking.approval.id), asking.decision)
        except ThreadworkError as error:
            self.told.append(error.words)

    async def _asked(self, post: Post) -> Approval:
        rows = await self.threads.posts(self.chat.place.key)
        number = next(row.body["approval"] for row in rows if row.id == post.id)
        return await self.chat.stores.approvals.get(ApprovalId(UUID(number)))

    async def command(self, verb: str, by: str) -> None:
        raise NotImplementedError("abilities.py says that a console has no such thing")

    async def posts(self) -> Sequence[Post]:
        return [_post(row) for row in await self.threads.posts(self.chat.place.key)]

    async def posted(self) -> int:
        return len(await self.threads.posts(self.chat.place.key))

    async def receipts(self, message: str) -> set[str]:
        shown = (await self.threads.receipts(self.chat.place.key)).get(message)
        return {SIGNS[shown]} if shown else set()

    async def whispers(self, to: str) -> Sequence[str]:
        return self.told

    def name_of(self, person: str) -> str:
        return f"@{person}"

    def known_as(self, person: str) -> str:
        return getpass.getuser()


class Console:
    """Chats on the stack that runs, each with connections of its own."""

    def __init__(self, house: House, opened: AsyncExitStack) -> None:
        self._house = house
        self._opened = opened

    @classmethod
    async def open(cls, house: House, opened: AsyncExitStack) -> Self:
        return cls(house, opened)

    async def begin(self, text: str, by: str) -> tuple[ConsoleThread, str]:
        stack = read_stack(self._house.installed.data_dir)
        assert stack is not None
        name = f"chat-{self._house.number()}"
        console = open_console(stack.database_url, stack.redis_url, name)
        engine = await self._opened.enter_async_context(open_engine(stack.database_url))
        thread = ConsoleThread(await self._opened.enter_async_context(console), PostgresConsoleThreads(engine))
        return thread, await thread.say(text, by)

    async def direct(self, text: str, by: str) -> tuple[ConsoleThread, str]:
        raise NotImplementedError("abilities.py says that a console has no such thing")

    async def command(self, text: str, by: str) -> ConsoleThread:
        raise NotImplementedError("abilities.py says that a console has no such thing")

    async def crash_bot(self) -> None:
        raise NotImplementedError("abilities.py says that a console has no such thing")

    def lose_answers(self, times: int) -> None:
        raise NotImplementedError("abilities.py says that a console has no such thing")

    def limit_posts(self, seconds: float) -> None:
        raise NotImplementedError("abilities.py says that a console has no such thing")

    def was_patient(self, seconds: float) -> bool:
        raise NotImplementedError("abilities.py says that a console has no such thing")


def _post(row: ConsolePost) -> Post:
    body = row.body
    kept: list[Any]
    if body["kind"] == "file":
        return Post(row.id, str(body["words"]), (), row.edits)
    if body["kind"] == "turn":
        kept = [body["text"], body["error"], body["status"], *body["notices"]]
        offers: Sequence[str] = ("Stop",) if body["state"] in _UNDER_WAY else ()
    else:
        kept = [body["line"], body["command"], body["decided"], *(one["text"] for one in body["questions"])]
        offers = _offers(body) if body["state"] == "pending" else ()
    return Post(row.id, "\n".join(str(text) for text in kept if text), tuple(offers), row.edits)


def _offers(body: Mapping[str, Any]) -> Sequence[str]:
    if body["kind"] == "question":
        return [option["label"] for question in body["questions"] for option in question["options"]]
    return list(KEYS)
