"""Taking a message in: tenant, person, chat and message found or made, quickly and in one transaction.

One look finds what is there already. In a chat that is known, one statement stores the message. Otherwise the missing
rows are made one by one, each with ON CONFLICT, so that two bots taking in the first two messages of a thread make
one chat. Rows are locked in one order (tenant, person, chat, message), so nobody waits in a circle.
Next: `messages.py`, which is the port.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import Column, ColumnElement, and_, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.chat import Author, Chat, ChatSettings, Place
from core.domain.message import FileIn
from core.domain.states import MessageState
from core.ports import Accepted
from core.store.columns import storable
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


@dataclass(frozen=True, slots=True)
class Known:
    """What was there before. `person_id` is None also for a person whose name or role has changed since."""

    tenant_id: UUID | None
    person_id: UUID | None
    chat: Chat | None
    has_message: bool


async def look(connection: AsyncConnection, incoming: Incoming) -> Known:
    """What is there already of what `incoming` needs."""
    place, author = incoming.place, incoming.author
    one = select(literal(1).label("one")).subquery()
    found = (
        one.outerjoin(tenants, and_(tenants.c.platform == place.platform, tenants.c.external_id == place.tenant))
        .outerjoin(people, and_(people.c.tenant_id == tenants.c.id, people.c.platform_id == author.platform_id))
        .outerjoin(chats, chats.c.key == place.key)
        .outerjoin(messages, messages.c.key == incoming.key)
    )
    query = select(
        chats,
        tenants.c.id.label("known_tenant_id"),
        people.c.id.label("person_id"),
        people.c.name.label("person_name"),
        people.c.role.label("person_role"),
        messages.c.id.label("message_id"),
    ).select_from(found)
    row = (await connection.execute(query)).one()
    is_fresh = (row.person_name, row.person_role) == (storable(author.name), author.role.value)
    return Known(
        tenant_id=row.known_tenant_id,
        person_id=row.person_id if is_fresh else None,
        chat=None if row.id is None else chat_of(row),
        has_message=row.message_id is not None,
    )


async def already(connection: AsyncConnection, incoming: Incoming) -> Accepted:
    """What is stored under the message's key."""
    message = (await connection.execute(select(messages).where(messages.c.key == incoming.key))).one()
    chat = (await connection.execute(select(chats).where(chats.c.id == message.chat_id))).one()
    return Accepted(chat_of(chat), message_of(message), is_new=False, is_new_chat=False)


async def store(connection: AsyncConnection, incoming: Incoming, chat: Chat, person_id: UUID) -> Accepted | None:
    """Put the message into its chat, in one statement; None when its key is taken."""
    # The chat's row is locked before the message gets its position: positions are in the order of the commits.
    touched = update(chats).where(chats.c.id == chat.id).values(active_at=func.now()).returning(chats.c.id)
    values: dict[str, ColumnElement[Any]] = {
        "chat_id": touched.cte("touched").c.id,
        "id": _given(messages.c.id, uuid4()),
        "author_id": _given(messages.c.author_id, person_id),
        "key": _given(messages.c.key, incoming.key),
        "external_id": _given(messages.c.external_id, incoming.external_id),
        "author_name": _given(messages.c.author_name, incoming.author.name),
        "text": _given(messages.c.text, incoming.text),
        "files": _given(messages.c.files, [asdict(file) for file in incoming.files]),
        "state": _given(messages.c.state, MessageState.QUEUED.value),
    }
    made = (
        insert(messages)
        .from_select(list(values), select(*values.values()))
        .on_conflict_do_nothing(index_elements=["key"])
        .returning(messages)
    )
    row = (await connection.execute(made)).one_or_none()
    if row is None:
        return None
    message = message_of(row)
    return Accepted(replace(chat, active_at=message.created_at), message, is_new=True, is_new_chat=False)


async def make(connection: AsyncConnection, incoming: Incoming, known: Known) -> Accepted | None:
    """Make what is missing, in the open transaction, and store the message; None when its key is taken: undo all."""
    tenant_id = known.tenant_id or await _tenant(connection, incoming.place)
    person_id = known.person_id or await _person(connection, tenant_id, incoming.author)
    if known.chat is not None:
        return await store(connection, incoming, known.chat, person_id)
    chat, is_new_chat = await _chat(connection, tenant_id, person_id, incoming)
    accepted = await store(connection, incoming, chat, person_id)
    return None if accepted is None else replace(accepted, is_new_chat=is_new_chat)


def _given(column: Column[Any], value: Any) -> ColumnElement[Any]:
    return literal(value, column.type)


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


async def _chat(connection: AsyncConnection, tenant_id: UUID, person_id: UUID, incoming: Incoming) -> tuple[Chat, bool]:
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
        .returning(chats)
    )
    row = (await connection.execute(made)).one_or_none()
    if row is not None:
        return chat_of(row), True
    # The insert waited for the other's commit, so a new statement sees its row.
    return chat_of((await connection.execute(select(chats).where(chats.c.key == place.key))).one()), False


def _title_from(text: str) -> str:
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= TITLE_CHARS else line[: TITLE_CHARS - 1] + "…"
