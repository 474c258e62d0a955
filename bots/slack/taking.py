"""Taking messages in: which of them are for the agent, what was said before, and that the person sees it was taken.

For the agent are: a mention of the app, a direct message, and whatever people write in the thread of a chat, unless
it is set to mentions only, is addressed to somebody else, or begins with `!aside`. Next: `commands.py`.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import structlog

from bots.context import with_context, with_new_text
from bots.errands import Errands, InTurn
from bots.intake import Intake
from bots.slack.container import Container
from bots.slack.context import read_context
from bots.slack.markup import mentioned, readable, without_mention
from bots.slack.parse import Deleted, Edited, Said
from bots.slack.receipting import Receipting
from bots.slack.telling import not_taken, whisper
from bots.slack.workspaces import Workspace
from core.domain.chat import Author, Chat, ChatSettings, Place
from core.domain.message import FileIn
from core.domain.states import MessageState
from core.errors import ThreadworkError
from core.ports import Accepted, Stores

log = structlog.get_logger(__name__)
T = TypeVar("T")
Bang = Callable[[str, str, Place, Workspace], Awaitable[bool]]
ASIDE: Final = "!aside"
NOTHING_SAID: Final = "(I was called here without a word. Please read what was said, and help.)"
TOO_LATE: Final = "The agent has that message already, as it was. Write what changed as a new message."
# The database may be starting anew: so many seconds are waited before each further try. All of it is over before Slack
# sends an event for the third time, which is a minute later.
RETRY_S: Final = (0.3, 0.7, 1.2, 1.8)
LOOK_AGAIN_S: Final = 2.5
_MOST_KNOWN: Final = 10_000


@dataclass(frozen=True, slots=True)
class Offer:
    """A message on its way in, read and complete. `title` is for a new chat."""

    place: Place
    author: Author
    ts: str
    text: str
    files: Sequence[FileIn] = ()
    title: str | None = None


class Taking:
    """Messages of people, into the chats they belong to."""

    def __init__(
        self,
        intake: Intake,
        stores: Stores,
        *,
        errands: Errands,
        receipting: Receipting,
        container: Container,
        defaults: ChatSettings,
    ) -> None:
        self.intake = intake
        self._stores = stores
        self._errands = errands
        self._receipting = receipting
        self._container = container
        self._defaults = defaults
        self.in_turn = InTurn()
        # The chats seen of late, for when the database cannot be asked.
        self._known: OrderedDict[str, None] = OrderedDict()
        # The commands done of late, by message.
        self._commanded: OrderedDict[str, None] = OrderedDict()

    async def said(self, said: Said, workspace: Workspace, command: Bang) -> None:
        """Take a message in if it is for the agent; its author is told if it could not be kept.

        `command` does what a message asks that is for the bot itself, and says whether it was one.
        """
        if not _may_be_ours(said, workspace):
            return
        try:
            async with self.in_turn.turn(said.place.key):
                await self.patiently(lambda: self._said(said, workspace, command))
        except ThreadworkError as error:
            log.warning("message_not_taken", chat=said.place.key, ts=said.ts, why=str(error))
            # What people write in a thread that may be none of ours is no business of ours when it is not kept.
            if said.is_mention or said.is_direct or said.place.key in self._known:
                words = not_taken(error)
                self._errands.start(whisper(workspace, said.place, said.user, words), "tell it was not taken")

    async def _look_again(self, said: Said, workspace: Workspace, command: Bang) -> None:
        """Another bot may have been taking in the mention that begins the chat while its follow-up came here."""
        await asyncio.sleep(LOOK_AGAIN_S)
        async with self.in_turn.turn(said.place.key):
            await self._said(said, workspace, command, is_second_look=True)

    async def _said(self, said: Said, workspace: Workspace, command: Bang, *, is_second_look: bool = False) -> None:
        chat = await self._find(said.place) if said.thread else None
        if chat is not None:
            _remember(self._known, said.place.key)
        words = without_mention(said.text, workspace.user).strip()
        is_called = said.is_mention or said.is_direct
        if chat is None and not is_called and not is_second_look:
            self._errands.start(self._look_again(said, workspace, command), "look again for its chat")
        if words.startswith(ASIDE) or (chat is None and not is_called):
            return
        if await self._is_command(said, words, workspace, command):
            return
        if chat is not None and not is_called and (chat.settings.mention_only or mentioned(words)):
            return
        author = await workspace.people.find(said.user)
        text = readable(words, await workspace.people.names(mentioned(words)))
        whole = await self._with_context(said, workspace, chat, text)
        accepted = await self.take(Offer(said.place, author, said.ts, whole, said.files, title=text), workspace)
        if said.is_direct and said.thread and accepted.is_new:
            showing = self._container.taken(said.place, accepted, text, workspace)
            self._errands.start(showing, "show that it is worked on")

    async def _is_command(self, said: Said, words: str, workspace: Workspace, command: Bang) -> bool:
        """Do what a message says if it is a command; one that Slack sends again is not done again."""
        key = said.place.message_key(said.ts)
        if key not in self._commanded:
            if not await command(words, said.user, said.place, workspace):
                return False
            _remember(self._commanded, key)
        return True

    async def take(self, offer: Offer, workspace: Workspace) -> Accepted:
        """Keep a message and show that it was taken. Raises what `Intake.accept` raises."""
        settings = replace(self._defaults, may_decide=(offer.author.platform_id,))
        accepted = await self.intake.accept(
            offer.place, offer.author, offer.ts, offer.text, offer.files, settings=settings, title=offer.title
        )
        _remember(self._known, offer.place.key)
        if accepted.is_new:
            self._errands.start(self._receipting.show(workspace, offer.place, accepted), "show that it was taken")
        return accepted

    async def edited(self, edited: Edited, workspace: Workspace) -> None:
        """Change a message that waits; its author is told if the agent has it already, or if it could not be done."""
        try:
            async with self.in_turn.turn(edited.place.key):
                words = await self.patiently(lambda: self._edited(edited, workspace))
        except ThreadworkError as error:
            log.warning("edit_not_taken", chat=edited.place.key, ts=edited.ts, why=str(error))
            words = not_taken(error) if edited.place.key in self._known or not error.retryable else ""
        if words:
            await whisper(workspace, edited.place, edited.user, words)

    async def _edited(self, edited: Edited, workspace: Workspace) -> str:
        """What the author is to be told."""
        chat = await self._find(edited.place)
        if chat is None:
            return ""
        waiting = await self._waiting(chat, edited.ts)
        if waiting is not None:
            words = without_mention(edited.text, workspace.user).strip()
            text = readable(words, await workspace.people.names(mentioned(words)))
            if await self.intake.edit(edited.place.message_key(edited.ts), with_new_text(waiting, text)):
                return ""
        return TOO_LATE if await self._is_delivered(chat, edited.ts) else ""

    async def deleted(self, deleted: Deleted) -> None:
        """Take a message that waits out of the queue."""
        key = deleted.place.message_key(deleted.ts)
        if await self.patiently(lambda: self.intake.drop(key)):
            log.info("message_dropped", chat=deleted.place.key, ts=deleted.ts)

    async def _waiting(self, chat: Chat, ts: str) -> str | None:
        """The text of a message that was not delivered yet."""
        queued = await self._stores.messages.queued(chat.id)
        return next((one.text for one in queued if one.external_id == ts), None)

    async def _is_delivered(self, chat: Chat, ts: str) -> bool:
        recent = await self._stores.messages.recent(chat.id)
        return any(one.external_id == ts and one.state is MessageState.DELIVERED for one in recent)

    async def _find(self, place: Place) -> Chat | None:
        return await self._stores.chats.by_key(place.key)

    async def _with_context(self, said: Said, workspace: Workspace, chat: Chat | None, text: str) -> str:
        """The text with what the agent has not seen: the thread before it was called, or since it last was."""
        if said.thread is None or said.thread == said.ts or (chat is not None and not chat.settings.mention_only):
            return text
        last = await self._stores.messages.recent(chat.id, 1) if chat is not None else ()
        after = last[0].external_id if last else "0"
        lines = await read_context(workspace, said.channel, said.thread, after=after, before=said.ts)
        return with_context(text or (NOTHING_SAID if lines else ""), lines)

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


def _remember(kept: OrderedDict[str, None], key: str) -> None:
    kept[key] = None
    kept.move_to_end(key)
    if len(kept) > _MOST_KNOWN:
        kept.popitem(last=False)


def _may_be_ours(said: Said, workspace: Workspace) -> bool:
    """Whether a message can be for the agent, by its text alone."""
    if said.user == workspace.user:
        return False
    if said.is_direct or said.is_mention:
        return True
    if said.thread is None:
        return False
    # One that mentions the app comes as a mention, too; one that mentions others is addressed to them, unless it is a
    # command about them.
    others = mentioned(said.text)
    return not others or (workspace.user not in others and said.text.lstrip().startswith("!"))
