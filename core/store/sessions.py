"""Signing in to the admin page: links that are good once, and sessions whose key changes as they are used.

A link and a session's key are random, and kept as hashes: who reads the database cannot sign in. The database's clock
says what is too old. Next: `core/domain/access.py`, what a session may see.
"""

import hashlib
import secrets
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.domain.access import Rights, rights_body, rights_of
from core.errors import NotAllowed
from core.ports import Session, Voucher
from core.store.audit import note
from core.store.engine import single, transaction
from core.store.tables import web_links, web_sessions

LINK_GOOD: Final = timedelta(minutes=10)
# A session ends when nobody used it for a day, and after a week whatever happens.
IDLE: Final = timedelta(days=1)
LONGEST: Final = timedelta(days=7)
RENEW_AFTER: Final = timedelta(minutes=15)
# Requests that were sent together carry the same key, of which only the first learns the next one.
OLD_KEY_GOOD: Final = timedelta(minutes=1)
_NOW: Final = func.clock_timestamp()


class PostgresSessions:
    """`core.ports.Sessions` on Postgres."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def offer(self, name: str, rights: Rights) -> str:
        """Make a link's word for somebody; it is good once, for ten minutes."""
        word = secrets.token_urlsafe(32)
        made = insert(web_links).values(
            id=uuid4(), hash=_hash(word), name=name, rights=rights_body(rights), good_until=_NOW + LINK_GOOD
        )
        async with transaction(self._engine) as connection:
            # What is over is of no more use here: the audit tells of it.
            await connection.execute(delete(web_links).where(web_links.c.good_until < _NOW - LONGEST))
            await connection.execute(delete(web_sessions).where(web_sessions.c.began_at < _NOW - 2 * LONGEST))
            await connection.execute(made)
            await note(connection, None, name, "asked for a sign-in link", rights=rights_body(rights))
        return word

    async def begin(self, word: str) -> tuple[Session, str]:
        """Use a link's word up; the session that begins, and its key. Raises `NotAllowed` for one that is no good."""
        used = (
            update(web_links)
            .where(web_links.c.hash == _hash(word), web_links.c.used_at.is_(None), web_links.c.good_until > _NOW)
            .values(used_at=_NOW)
            .returning(web_links.c.name, web_links.c.rights)
        )
        async with transaction(self._engine) as connection:
            row = (await connection.execute(used)).one_or_none()
            if row is None:
                raise NotAllowed("This link was used before, or is too old. Get a new one: threadwork admin login")
            return await _begun(connection, row.name, rights_of(row.rights))

    async def spend(self, word: str) -> None:
        """Note that a word was used. Raises `NotAllowed` when it was before."""
        spent = insert(web_links).values(
            id=uuid4(), hash=_hash(word), name="", rights={}, good_until=_NOW, used_at=_NOW
        )
        async with transaction(self._engine) as connection:
            await connection.execute(delete(web_links).where(web_links.c.good_until < _NOW - LONGEST))
            if not (await connection.execute(spent.on_conflict_do_nothing(index_elements=["hash"]))).rowcount:
                raise NotAllowed("This sign-in was used before. Begin anew.")

    async def admit(self, voucher: Voucher, rights: Rights) -> tuple[Session, str]:
        """Let in whom a platform vouches for; the session that begins, and its key."""
        person = f"{voucher.platform}:{voucher.person}"
        async with transaction(self._engine) as connection:
            return await _begun(connection, voucher.name, rights, person=person, rights=rights_body(rights))

    async def find(self, session_id: UUID, key: str) -> Session | None:
        """The session, while it is good and `key` is its own."""
        query = select(web_sessions, (web_sessions.c.renewed_at <= _NOW - RENEW_AFTER).label("is_due")).where(
            web_sessions.c.id == session_id, _is_good(), _is_key(key)
        )
        async with single(self._engine) as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else Session(row.id, row.name, rights_of(row.rights), is_due=row.is_due)

    async def renew(self, session_id: UUID, key: str) -> str | None:
        """A new key in place of `key`; None when another request was first."""
        new = secrets.token_urlsafe(32)
        renewed = (
            update(web_sessions)
            .where(web_sessions.c.id == session_id, web_sessions.c.hash == _hash(key), _is_good())
            .values(hash=_hash(new), old_hash=web_sessions.c.hash, renewed_at=_NOW)
        )
        async with single(self._engine) as connection:
            return new if (await connection.execute(renewed)).rowcount else None

    async def end(self, session: Session) -> None:
        """Sign out; once more is not an error."""
        ended = update(web_sessions).where(web_sessions.c.id == session.id, web_sessions.c.ended_at.is_(None))
        async with transaction(self._engine) as connection:
            if (await connection.execute(ended.values(ended_at=_NOW))).rowcount:
                await note(connection, None, session.name, "signed out", session=str(session.id))


async def _begun(connection: AsyncConnection, name: str, given: Rights, **details: Any) -> tuple[Session, str]:
    session, key = Session(uuid4(), name, given), secrets.token_urlsafe(32)
    begun = insert(web_sessions).values(id=session.id, hash=_hash(key), name=name, rights=rights_body(given))
    await connection.execute(begun)
    await note(connection, None, name, "signed in", session=str(session.id), **details)
    return session, key


def _is_good() -> ColumnElement[bool]:
    return and_(
        web_sessions.c.ended_at.is_(None),
        web_sessions.c.renewed_at > _NOW - IDLE,
        web_sessions.c.began_at > _NOW - LONGEST,
    )


def _is_key(key: str) -> ColumnElement[bool]:
    is_old = and_(web_sessions.c.old_hash == _hash(key), web_sessions.c.renewed_at > _NOW - OLD_KEY_GOOD)
    return or_(web_sessions.c.hash == _hash(key), is_old)


def _hash(word: str) -> bytes:
    # Words are of 256 random bits, so nothing slower is needed.
    return hashlib.sha256(word.encode()).digest()
