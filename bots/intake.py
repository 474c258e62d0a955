"""What every bot does with what comes in: accept a message, decide a question, stop, change settings.

Each use case writes to the database first and tells the workers after; if telling fails, the sweeper or the run's own
look finds it. Nothing here knows a platform. The listeners of `bots/<platform>/` call these.
"""

import time
from collections.abc import Sequence
from dataclasses import replace

import structlog

from core.domain.approval import Approval, ApprovalId, Decision, decided_words
from core.domain.chat import Author, Chat, ChatId, ChatSettings, Place, Role
from core.domain.legs import Leg, LegName, intake_key
from core.domain.message import FileIn, clean
from core.errors import AlreadyDecided, NotAllowed, NotFound
from core.ports import Accepted, ControlChannel, Stores, Traces, WakeKind, WorkQueue

log = structlog.get_logger(__name__)


class Intake:
    """The use cases. Errors are `ThreadworkError`s whose `words` may be shown to the person.

    `traces`: where the first leg of each message's way is told, if anywhere.
    """

    def __init__(self, stores: Stores, control: ControlChannel, queue: WorkQueue, traces: Traces | None = None) -> None:
        self._stores = stores
        self._control = control
        self._queue = queue
        self._traces = traces

    async def accept(
        self,
        place: Place,
        author: Author,
        external_id: str,
        text: str,
        files: Sequence[FileIn] = (),
        *,
        settings: ChatSettings | None = None,
        title: str | None = None,
    ) -> Accepted:
        """Take a message in and put its chat to work. A redelivery changes nothing.

        Raises `BadInput` for what cannot be used, and `Unavailable` when it could not be kept: then the person must
        be told, for nothing was accepted.
        """
        began_at = time.time()
        cleaned = clean(text, has_files=bool(files))
        accepted = await self._stores.messages.accept(
            place, author, external_id, cleaned, files, settings=settings, title=title or _title(cleaned)
        )
        if accepted.is_new:
            log.info("message_accepted", chat=str(accepted.chat.id), key=accepted.message.key)
            await self._tell(accepted.chat.id, WakeKind.MESSAGE)
            if self._traces is not None:
                self._traces.add(_leg(accepted, began_at))
        return accepted

    async def edit(self, key: str, text: str) -> bool:
        """Change a message that has not been delivered; whether it still could be."""
        return await self._stores.messages.edit(key, clean(text))

    async def drop(self, key: str) -> bool:
        """Take back a message that has not been delivered; whether it still could be."""
        return await self._stores.messages.drop(key)

    async def decide(self, approval_id: ApprovalId, decision: Decision, by: Author) -> Approval:
        """Settle a question. Raises `NotAllowed` for who may not, `AlreadyDecided` when it is settled or gone."""
        if by.role is Role.GUEST:
            raise NotAllowed("Only people of this chat may decide. Ask its starter to invite you.")
        approval = await self._stores.approvals.decide(approval_id, decision, by.name)
        log.info("decided", approval=str(approval_id), verdict=decision.verdict)
        await self._tell(approval.chat_id, WakeKind.DECISION)
        return approval

    async def stop(self, chat_id: ChatId, by: Author) -> bool:
        """Stop the turn that runs or waits; whether there was one."""
        turn_id = await self._stores.turns.ask_stop(chat_id, by.name)
        if turn_id is None:
            return False
        log.info("stop_asked", chat=str(chat_id), turn=str(turn_id))
        await self._tell(chat_id, WakeKind.STOP)
        return True

    async def change(self, chat: Chat, **changes: object) -> ChatSettings:
        """Change some of a chat's settings; the new ones."""
        settings = replace(chat.settings, **changes)  # type: ignore[arg-type]  # names are checked by the dataclass
        await self._stores.chats.change_settings(chat.id, settings)
        await self._control.wake(chat.id, WakeKind.SETTINGS)
        return settings

    async def chat(self, key: str) -> Chat:
        """The chat with this key. Raises `NotFound`."""
        chat = await self._stores.chats.by_key(key)
        if chat is None:
            raise NotFound(f"There is no chat {key}.")
        return chat

    async def _tell(self, chat_id: ChatId, kind: WakeKind) -> None:
        await self._queue.put(chat_id)
        await self._control.wake(chat_id, kind)


def already(error: AlreadyDecided, approval: Approval | None) -> str:
    """What a late click is told."""
    return decided_words(approval) if approval is not None and decided_words(approval) else error.words


def _leg(accepted: Accepted, began_at: float) -> Leg:
    """A message's arrival: from its payload being read to its chat being put to work."""
    chat, message = accepted.chat, accepted.message
    facts = {"tenant": str(chat.tenant_id), "chat": str(chat.id), "platform": str(chat.place.platform)}
    return Leg(LegName.INTAKE, message.id, began_at, time.time(), key=intake_key(message.id), facts=facts)


def _title(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else line[:79] + "…"
