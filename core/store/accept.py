"""Taking a message in: tenant, person, chat and message found or made in one transaction, and quickly.

One look finds what is there already; in a chat that is known, one more statement stores the message. Otherwise the
missing rows are made one by one, each with ON CONFLICT, so that two bots taking in the first two messages of
a thread make one chat. Rows are locked in one order (tenant, person, chat, message), so nobody waits in a circle.
Next: `messages.py`, which is the port.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import Row, Select, and_, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.chat import Author, ChatSettings, Place
from core.domain.message import FileIn
from core.domain.states import MessageState
from core.ports import Accepted
from core.store.rows import chat_of, message_of, settings_body
from core.store.tables import chats, messages, people, tenants

TITLE_CHARS: Final = 80


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message at the door, with what a new chat would need."""

    place: Place
    author: Author
    external_id: str
    text: str
    files: Sequence[FileIn]
    settings: ChatSettings
    title: str | None

    @property
    def key(self) -> str:
        """The message's dedupe key."""
        return self.place.message_key(self.external_id)


async def take_in(connection: AsyncConnection, incoming: Incoming) -> Accepted | None:
    """Store `incoming` in the open transaction; None when somebody else stored it meanwhile: undo, and look again."""
    known = (await connection.execute(_what_is_known(incoming))).one()
    if known.message_id is not None:
        return await already(connection, incoming)
    tenant_id = known.tenant_id or await _tenant(connection, incoming.place)
    person_id = known.person_id
    if person_id is None or (known.person_name, known.person_role) != (incoming.author.name, incoming.author.role):
        person_id = await _person(connection, tenant_id, incoming.author)
    chat_id, is_new_chat = known.chat_id, False
    if chat_id is None:
        chat_id, is_new_chat = await _chat(connection, tenant_id, person_id, incoming)
    # The chat's row is locked before the message gets its position: positions are in the order of the commits.
    touched = update(chats).where(chats.c.id == chat_id).values(active_at=func.now()).returning(chats)
    chat = (await connection.execute(touched)).one()
    message = await _message(connection, chat_id, person_id, incoming)
    if message is None:
        return None
    return Accepted(chat_of(chat), message_of(message), is_new=True, is_new_chat=is_new_chat)


async def already(connection: AsyncConnection, incoming: Incoming) -> Accepted:
    """What is stored under the message's key."""
    message = (await connection.execute(select(messages).where(messages.c.key == incoming.key))).one()
    chat = (await connection.execute(select(chats).where(chats.c.id == message.chat_id))).one()
    return Accepted(chat_of(chat), message_of(message), is_new=False, is_new_chat=False)


def _what_is_known(incoming: Incoming) -> Select[Any]:
    place = incoming.place
    one = select(literal(1).label("one")).subquery()
    found = (
        one.outerjoin(tenants, and_(tenants.c.platform == place.platform, tenants.c.external_id == place.tenant))
        .outerjoin(
            people, and_(people.c.tenant_id == tenants.c.id, people.c.platform_id == incoming.author.platform_id)
        )
        .outerjoin(chats, chats.c.key == place.key)
        .outerjoin(messages, messages.c.key == incoming.key)
    )
    return select(
        tenants.c.id.label("tenant_id"),
        people.c.id.label("person_id"),
        people.c.name.label("person_name"),
        people.c.role.label("person_role"),
        chats.c.id.label("chat_id"),
        messages.c.id.label("message_id"),
    ).select_from(found)


async def _tenant(connection: AsyncConnection, place: Place) -> UUID:
    made = insert(tenants).values(id=uuid4(), platform=place.platform.value, external_id=place.tenant)
    made = made.on_conflict_do_nothing(index_elements=["platform", "external_id"])
    await connection.execute(made)
    query = select(tenants.c.id).where(tenants.c.platform == place.platform, tenants.c.external_id == place.tenant)
    found: UUID = (await connection.execute(query)).scalar_one()
    return found


async def _person(connection: AsyncConnection, tenant_id: UUID, author: Author) -> UUID:
    made = insert(people).values(
        id=uuid4(), tenant_id=tenant_id, platform_id=author.platform_id, name=author.name, role=author.role.value
    )
    kept_fresh = made.on_conflict_do_update(
        index_elements=["tenant_id", "platform_id"], set_={"name": made.excluded.name, "role": made.excluded.role}
    ).returning(people.c.id)
    found: UUID = (await connection.execute(kept_fresh)).scalar_one()
    return found


async def _chat(connection: AsyncConnection, tenant_id: UUID, person_id: UUID, incoming: Incoming) -> tuple[UUID, bool]:
    place = incoming.place
    made = (
        insert(chats)
        .values(
            id=uuid4(),
            tenant_id=tenant_id,
            key=place.key,
            platform=place.platform.value,
            place_tenant=place.tenant,
            place_channel=place.channel,
            place_thread=place.thread,
            title=incoming.title or _title_from(incoming.text),
            settings=settings_body(incoming.settings),
            starter_id=person_id,
        )
        .on_conflict_do_nothing(index_elements=["key"])
        .returning(chats.c.id)
    )
    chat_id: UUID | None = (await connection.execute(made)).scalar_one_or_none()
    if chat_id is not None:
        return chat_id, True
    # The insert waited for the other's commit, so a new statement sees its row.
    found: UUID = (await connection.execute(select(chats.c.id).where(chats.c.key == place.key))).scalar_one()
    return found, False


async def _message(connection: AsyncConnection, chat_id: UUID, person_id: UUID, incoming: Incoming) -> Row[Any] | None:
    made = (
        insert(messages)
        .values(
            id=uuid4(),
            chat_id=chat_id,
            author_id=person_id,
            key=incoming.key,
            external_id=incoming.external_id,
            author_name=incoming.author.name,
            text=incoming.text,
            files=[asdict(file) for file in incoming.files],
            state=MessageState.QUEUED.value,
        )
        .on_conflict_do_nothing(index_elements=["key"])
        .returning(messages)
    )
    row: Row[Any] | None = (await connection.execute(made)).one_or_none()
    return row


def _title_from(text: str) -> str:
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= TITLE_CHARS else line[: TITLE_CHARS - 1] + "…"
