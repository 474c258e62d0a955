"""What a place to play must offer: rooms in which people talk and click, its own ways to break, and its record.

Next: `console.py`, then `slack.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from core.domain.approval import Approval, Verdict
from core.domain.message import Message
from core.domain.turn import Turn
from core.ports import Post
from tests.faults.schedule import Chat, Fault, Said

if TYPE_CHECKING:
    from tests.faults.drive import People

ANN, BOB = "ann", "bob"


@dataclass(frozen=True, slots=True)
class Ending:
    """What the database has of a chat once all is over."""

    turns: Sequence[Turn]
    messages: Sequence[Message]
    asked: Sequence[Approval]
    posts: Sequence[Post]


class Room(Protocol):
    """Where one schedule is played. Ann begins the chat; Bob may decide in it, too."""

    @property
    def key(self) -> str | None:
        """The chat's key, once it is known."""
        ...

    @property
    def refused(self) -> int:
        """How many messages people were told were not taken."""
        ...

    async def say(self, said: Said) -> str:
        """Say something as Ann, and have it delivered as often as it says; the message's id."""
        ...

    async def press(self, approval: Approval, verdict: Verdict, by: str) -> bool:
        """Click on a question as it was first seen, even if it looks otherwise now; whether the click went through.

        What was never shown is not clicked.
        """
        ...

    async def stop(self) -> bool:
        """Stop what runs; whether there was anything to stop."""
        ...

    async def broken(self, ending: Ending) -> Sequence[str]:
        """What is on screen and should not be, or is not and should, in words."""
        ...


class Platform(Protocol):
    """A platform. `bot` is the command of the program that listens to it, `settings` lead the programs there."""

    name: str
    bot: str | None
    settings: Mapping[str, str]

    @property
    def staged(self) -> Mapping[str, int]:
        """What went wrong of itself or by order, and how often."""
        ...

    async def open_room(self, chat: Chat, people: "People") -> Room:
        """A room of its own for a schedule."""
        ...

    async def stage(self, fault: Fault) -> None:
        """Bring a fault of the platform about, and its end."""
        ...

    def violations(self, faults: Sequence[str]) -> Sequence[str]:
        """Rules of the platform that were broken since the last look, but for what these faults explain."""
        ...
