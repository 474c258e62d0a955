"""A chat in the words of a test: what people do there, and waiting for what becomes of it.

Every wait is bounded, and one that fails says what was on screen.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from tests.acceptance.platforms.platform import ANSWERED, Client, Post
from tests.acceptance.program import PATIENCE_S
from tests.doubles.anthropic import script_prompt
from tests.stage.lines import Block

if TYPE_CHECKING:
    from tests.acceptance.platforms.house import House

Found = TypeVar("Found")
STOP = "Stop"


def asked(words: str, *replies: list[Block]) -> str:
    """What a person writes; `replies` are the answers the model gives to it, one for each of its requests."""
    return script_prompt(*replies, say=words)


class Thread:
    """One chat. `first` is the message that began it, where there is one."""

    def __init__(self, house: "House", client: Client, first: str = "") -> None:
        self.house = house
        self.client = client
        self.first = first

    # ------------------------------------------------------------ what people do

    async def say(self, words: str, *replies: list[Block], by: str = "ann") -> str:
        """Write in the chat; the message's id."""
        return await self.client.say(asked(words, *replies) if replies else words, by)

    async def press(self, label: str, by: str = "ann") -> None:
        """Press a button, once it is there."""
        await self.client.press(await self.offers(label), label, by)

    async def fill(self, label: str, text: str, by: str = "ann") -> None:
        """Press the button that opens a form, once it is there, and fill the form in."""
        await self.client.fill(await self.offers(label), label, text, by)

    # ------------------------------------------------------------ what becomes of it

    async def until(
        self, what: str, look: Callable[[], Awaitable[Found | None]], within_s: float = PATIENCE_S
    ) -> Found:
        """What `look` finds, once it finds something."""
        ends_at = time.monotonic() + within_s
        while not (found := await look()):
            if time.monotonic() > ends_at:
                on_screen = "\n".join(map(str, await self.client.posts()))
                raise AssertionError(f"{what}: not so within {within_s} s. On screen:\n{on_screen}\n{self.house.log()}")
            await asyncio.sleep(0.02)
        return found

    async def shows(self, words: str) -> Post:
        """The post with these words in it."""

        async def look() -> Post | None:
            return next((post for post in await self.client.posts() if words in post.text), None)

        return await self.until(f"{words!r} is shown", look)

    async def offers(self, label: str) -> Post:
        """The newest post with this on a button."""

        async def look() -> Post | None:
            return next((post for post in reversed(await self.client.posts()) if label in post.offers), None)

        return await self.until(f"{label!r} is offered", look)

    async def is_marked(self, message: str, *signs: str) -> None:
        """Wait until a message has these signs of the program, and no others."""

        async def look() -> bool:
            return await self.client.receipts(message) == set(signs)

        await self.until(f"{message} is marked {signs}", look)

    async def is_told(self, person: str, words: str) -> str:
        """What one person alone is told, with these words in it."""

        async def look() -> str | None:
            return next((text for text in await self.client.whispers(person) if words in text), None)

        return await self.until(f"{person} is told {words!r}", look)

    async def is_over(self, words: str, sign: str = ANSWERED) -> Sequence[Post]:
        """The posts once an answer is there and nothing is left to press; what began the chat is marked as said."""

        async def look() -> Sequence[Post]:
            posts = await self.client.posts()
            return posts if any(words in post.text for post in posts) and not any(p.offers for p in posts) else ()

        posts = await self.until(f"{words!r} is the end", look)
        if self.first:
            await self.is_marked(self.first, sign)
        return posts

    async def waits(self, words: str, no_more: str, by: str = "ann") -> None:
        """Wait until of all that waits, `words` are part and `no_more` are not."""

        async def look() -> bool:
            told = len(await self.client.whispers(by))
            await self.say("!queue", by=by)

            async def answer() -> str:
                return "".join((await self.client.whispers(by))[told:])

            listed = await self.until("the queue is told", answer)
            return words in listed and no_more not in listed

        await self.until(f"{words!r} waits, {no_more!r} does not", look)

    # ------------------------------------------------------------ how it stands

    async def posts(self) -> Sequence[Post]:
        return await self.client.posts()

    async def posted(self) -> int:
        return await self.client.posted()

    def heard(self, words: str) -> bool:
        """Whether the model was ever told these words."""
        return any(words.encode() in seen.raw for seen in self.house.model.messages)

    async def model_hears(self, words: str) -> None:
        """Wait until the model was told these words."""

        async def look() -> bool:
            return self.heard(words)

        await self.until(f"the model hears {words!r}", look)
