"""A Discord on loopback for tests and demonstrations. Start with `double.py`; `python -m tests.doubles.discord` runs it."""

from tests.doubles.discord.asking import CannotDo
from tests.doubles.discord.double import TOKEN, DiscordDouble
from tests.doubles.discord.interactions import Modal, Seen
from tests.doubles.discord.people import Guild, Person
from tests.doubles.discord.record import Call, Violation
from tests.doubles.discord.world import Channel, Message

__all__ = [
    "TOKEN",
    "Call",
    "CannotDo",
    "Channel",
    "DiscordDouble",
    "Guild",
    "Message",
    "Modal",
    "Person",
    "Seen",
    "Violation",
]
