"""Taking messages in: which of them are for the agent, what was said before, and that the person sees it was taken.

For the agent are: a mention of the app, a direct message, and whatever people write in the thread of a chat, unless
it is set to mentions only, is addressed to somebody else, or begins with `!aside`. A mention in a channel begins a
thread under itself, named after what is asked. Next: `commands.py`.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import structlog

from bots.context import HEADING, with_context, with_new_text
from bots.discord.context import line_of, read_context
from bots.discord.markup import mentioned, readable, roles_and_channels, without_mention
from bots.discord.parse import Deleted, Edited, Said
from bots.discord.receipting import Receipting
from bots.discord.servers import Room, Servers, place_in
from bots.discord.telling import not_taken, reply
from bots.errands import Errands, InTurn
from bots.intake import Intake
from core.domain.chat import Author, Chat, ChatSettings, Place, Platform
from core.domain.message import FileIn, Message
from core.domain.states import MessageState
from core.errors import BadInput, ThreadworkError
from core.ports import Accepted, Stores

log = structlog.get_logger(__name__)
T = TypeVar("T")
ASIDE: Final = "!aside"
NOTHING_SAID: Final = "(I was called here without a word. Please read what was said, and help.)"
UNREADABLE: Final = (
    "Discord does not show me messages that do not mention me, so please mention me in each. An admin can change that: "
    "on the Bot page of the app at https://discord.com/developers/applications, switch on Message Content Intent."
)
# The database may be starting anew: so many seconds are waited before each further try.
RETRY_S: Final = (0.3, 0.7, 1.5, 3.0)
_MOST_KNOWN: Final = 10_000


@dataclass(frozen=True, slots=True)
class Spoken:
    """A message that may be a command: its words, whose they are, and where they stand; the chat there, if any."""

    words: str
    author: Author
    guild: str
    channel: str
    id: str
    chat: Chat | None


Bang = Callable[[Spoken], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Offer:
    """A message on its way in, read and complete. `title` is for a new chat."""

    place: Place
    author: Author
    id: str
    text: str
    files: Sequence[FileIn] = ()
    title: str | None = None


class Taking:
    """Messages of people, into the chats they belong to."""

    def __init__(
        self,
        servers: Servers,
        intake: Intake,
        stores: Stores,
        *,
        errands: Errands,
        receipting: Receipting,
        defaults: ChatSettings,
    ) -> None:
        self.intake = intake
        self.servers = servers
        self._web = servers.web
        self._stores = stores
        self._errands = errands
        self._receipting = receipting
        self._defaults = defaults
        self.in_turn = InTurn()
        # The chats seen of late, for when the database cannot be asked.
        self._known: OrderedDict[str, None] = OrderedDict()
        self._told_unreadable: set[str] = set()

    async def said(self, said: Said, command: Bang) -> None:
        """Take a message in if it is for the agent; its author is told if it could not be kept.

        `command` does what a message asks that is for the bot itself, and says whether it was one.
        """
        said = self._meant(said)
        room = self.servers.known_room(said.channel)
        is_in_channel = room is not None and not room.is_thread and not said.is_direct
        if not _may_be_ours(said, self.servers.me) or (is_in_channel and not said.is_mention):
            return
        key = _key(said.guild, said.id if is_in_channel else said.channel)
        try:
            async with self.in_turn.turn(key):
                await self.patiently(lambda: self._said(said, command))
        except ThreadworkError as error:
            log.warning("message_not_taken", chat=key, id=said.id, why=str(error))
            # What people write in a thread that may be none of ours is no business of ours when it is not kept.
            if said.is_mention or said.is_direct or key in self._known:
                told = reply(self._web, said.channel, said.id, not_taken(error))
                self._errands.start(told, "tell it was not taken")

    def _meant(self, said: Said) -> Said:
        """The message as it was meant: who mentions the app's role means the app; a new post in a forum, too."""
        role = self.servers.my_role(said.guild) if said.roles else None
        if role is not None and role in said.roles:
            text = said.text.replace(f"<@&{role}>", f"<@{self.servers.me}>")
            return replace(said, text=text, is_mention=True)
        if said.id == said.channel and self.servers.is_open_forum(said.channel):
            return replace(said, text=f"{self.servers.title(said.channel)}\n\n{said.text}".strip(), is_mention=True)
        return said

    async def _said(self, said: Said, command: Bang) -> None:
        chat = await self._find(said.guild, said.channel)
        if chat is not None:
            self._remember(chat.place.key)
        words = without_mention(said.text, self.servers.me).strip()
        is_called = said.is_mention or said.is_direct
        if words.startswith(ASIDE) or (not is_called and (chat is None or chat.settings.mention_only)):
            return
        if not (is_called or words or said.files or self.servers.reads_everything):
            await self._tell_unreadable(said)
            return
        author = await self.servers.author(said.guild, said.person)
        if await command(Spoken(words, author, said.guild, said.channel, said.id, chat)):
            return
        if not is_called and mentioned(words):
            return
        text = readable(words, {**self.servers.names(said.guild, roles_and_channels(words)), **said.names})
        room = Room(said.channel, None) if said.is_direct else await self.servers.room(said.channel)
        if chat is not None or room.is_thread or said.is_direct:
            place = chat.place if chat is not None else place_in(said.guild, room)
            whole = await self._with_context(said, chat, text)
        else:
            line = line_of(said.answers) if said.answers is not None else None
            whole = with_context(text or (NOTHING_SAID if line else ""), [line] if line else ())
            place = await self._thread(said, text or (line.text if line else ""))
        await self.take(Offer(place, author, said.id, whole, said.files, title=text or None))

    async def _thread(self, said: Said, text: str) -> Place:
        """The thread under a message in a channel."""
        if not text and not said.files:
            raise BadInput("Write what you want done, behind my name.")
        place = Place(Platform.DISCORD, said.guild, said.channel, said.id)
        if await self._find(said.guild, said.id) is None:
            await self._web.start_thread(said.channel, said.id, text or said.files[0].name)
        return place

    async def take(self, offer: Offer) -> Accepted:
        """Keep a message and show that it was taken. Raises what `Intake.accept` raises."""
        settings = replace(self._defaults, may_decide=(offer.author.platform_id,))
        accepted = await self.intake.accept(
            offer.place, offer.author, offer.id, offer.text, offer.files, settings=settings, title=offer.title
        )
        self._remember(offer.place.key)
        if accepted.is_new:
            self._errands.start(self._receipting.show(offer.place, accepted), "show that it was taken")
        return accepted

    async def is_ready(self) -> None:
        """Whether something can be kept now, before anything is posted that nobody would answer.

        Raises `Unavailable` while it cannot.
        """
        await self.patiently(lambda: self._stores.chats.by_key(""))

    async def edited(self, edited: Edited) -> None:
        """Change a message that waits; tell its author if the agent has it already."""
        found = await self._find_message(edited.guild, edited.channel, edited.id)
        if found is None:
            return
        chat, _ = found
        async with self.in_turn.turn(chat.place.key):
            message = await self._now(chat, edited.id)
            if message is None:
                return
            words = without_mention(edited.text, self.servers.me).strip()
            names = {**self.servers.names(edited.guild, roles_and_channels(words)), **edited.names}
            text = readable(words, names)
            if message.text.partition(HEADING)[0].strip() == text or await self._change(edited, chat, message, text):
                return
        if message.state is MessageState.DELIVERED:
            told = "The agent has that message already, as it was. Write what changed as a new message."
            await reply(self._web, edited.channel, edited.id, told)

    async def deleted(self, deleted: Deleted) -> None:
        """Take messages that wait out of the queue."""
        for one in deleted.ids:
            # A message in a channel may be the one that its thread began with.
            for thread in (deleted.channel, one):
                if await self.intake.drop(f"{_key(deleted.guild, thread)}:{one}"):
                    log.info("message_dropped", chat=_key(deleted.guild, thread), id=one)

    async def _change(self, edited: Edited, chat: Chat, message: Message, text: str) -> bool:
        try:
            return await self.intake.edit(chat.place.message_key(edited.id), with_new_text(message.text, text))
        except BadInput as error:
            await reply(self._web, edited.channel, edited.id, error.words)
            return True

    async def _find_message(self, guild: str, channel: str, message: str) -> tuple[Chat, Message] | None:
        """A message that was taken, in the thread it stands in, or in the one it began."""
        for thread in (channel, message):
            chat = await self._find(guild, thread)
            found = await self._now(chat, message) if chat is not None else None
            if chat is not None and found is not None:
                return chat, found
        return None

    async def _now(self, chat: Chat, message: str) -> Message | None:
        recent = await self._stores.messages.recent(chat.id)
        return next((one for one in recent if one.external_id == message), None)

    async def _find(self, guild: str, thread: str) -> Chat | None:
        return await self._stores.chats.by_key(_key(guild, thread))

    async def _with_context(self, said: Said, chat: Chat | None, text: str) -> str:
        """The text with what the agent has not seen: the thread before it was called, or since it last was."""
        if said.is_direct or (chat is not None and not chat.settings.mention_only):
            return text
        last = await self._stores.messages.recent(chat.id, 1) if chat is not None else ()
        after = last[0].external_id if last else "0"
        lines = await read_context(self._web, said.channel, after=after, before=said.id)
        return with_context(text or (NOTHING_SAID if lines else ""), lines)

    async def _tell_unreadable(self, said: Said) -> None:
        """Say once in a thread that mentions are needed there."""
        if said.channel not in self._told_unreadable:
            self._told_unreadable.add(said.channel)
            await reply(self._web, said.channel, said.id, UNREADABLE)

    async def patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do it, again and again for some seconds while what it needs is away."""
        for wait_s in RETRY_S:
            try:
                return await work()
            except ThreadworkError as error:
                if not error.retryable:
                    raise
                await asyncio.sleep(wait_s)
        return await work()

    def _remember(self, key: str) -> None:
        self._known[key] = None
        self._known.move_to_end(key)
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)


def _key(guild: str, thread: str) -> str:
    return Place(Platform.DISCORD, guild, "", thread).key


def _may_be_ours(said: Said, me: str) -> bool:
    """Whether a message can be for the agent, by its text alone: one that mentions others only is for them.

    Unless it is a command about them.
    """
    if said.is_direct or said.is_mention:
        return True
    others = mentioned(said.text)
    return not others or me in others or said.text.lstrip().startswith("!")
