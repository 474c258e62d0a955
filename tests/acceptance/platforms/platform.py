"""What a person's client can do on a platform, in words that every platform shares.

A `Platform` is a room of its own for one test. Names of people are "ann", who begins chats, "bob" and so on. Labels are
those on the buttons, the same everywhere. Next: `slack.py`, `console.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

SEEN, JOINED, ANSWERED, STOPPED, DROPPED = "👀", "💬", "✅", "🛑", "🚫"


@dataclass(frozen=True, slots=True)
class Post:
    """A post of the program as it stands; `offers` is what can be pressed on it, `edits` how often it was changed."""

    id: str
    text: str
    offers: tuple[str, ...]
    edits: int


class Client(Protocol):
    """What people do and see in one chat."""

    async def say(self, text: str, by: str) -> str:
        """Write in the chat, without a mention; the message's id."""
        ...

    async def edit(self, message: str, text: str, by: str) -> None:
        """Change a message of one's own."""
        ...

    async def delete(self, message: str, by: str) -> None:
        """Take a message of one's own away."""
        ...

    async def press(self, post: Post, label: str, by: str) -> None:
        """Press what a post offers. What it answers is a whisper."""
        ...

    async def fill(self, post: Post, label: str, text: str, by: str) -> None:
        """Press what opens a form, write into its field in place of what stands there, and send it."""
        ...

    async def command(self, verb: str, by: str) -> None:
        """Use the platform's own command inside the chat: "stop"."""
        ...

    async def posts(self) -> Sequence[Post]:
        """The program's posts, oldest first."""
        ...

    async def posted(self) -> int:
        """How many posts the program ever made here, those that are gone included."""
        ...

    async def receipts(self, message: str) -> set[str]:
        """The program's signs on a message."""
        ...

    async def whispers(self, to: str) -> Sequence[str]:
        """What one person alone was told."""
        ...

    def name_of(self, person: str) -> str:
        """How a text mentions somebody."""
        ...

    def known_as(self, person: str) -> str:
        """The name that the program has for somebody."""
        ...


class Platform(Protocol):
    """A room on a platform, and what may go wrong there."""

    async def begin(self, text: str, by: str) -> tuple[Client, str]:
        """Ask for something in a channel, and so begin a chat; the id of the message."""
        ...

    async def direct(self, text: str, by: str) -> tuple[Client, str]:
        """Ask for something in a direct message."""
        ...

    async def command(self, text: str, by: str) -> Client:
        """Ask for something with the platform's own command in a channel."""
        ...

    async def crash_bot(self) -> None:
        """Kill the bot's process; returns when another is there in its place."""
        ...

    def lose_answers(self, times: int) -> None:
        """The next posts are made, but the program never learns it."""
        ...

    def limit_posts(self, seconds: float) -> None:
        """The next post and the next edit are refused: too many, come back in so many seconds."""
        ...

    def was_patient(self, seconds: float) -> bool:
        """Whether the program then stayed away for as long as it was told."""
        ...
