"""Opening the store: one engine, and the repositories on it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncEngine

from core.ports import Stores
from core.store.approvals import PostgresApprovals
from core.store.chats import PostgresChats
from core.store.engine import POOL_SIZE, open_engine
from core.store.messages import PostgresMessages
from core.store.posts import PostgresPosts
from core.store.turns import PostgresTurns


@asynccontextmanager
async def open_stores(url: str, *, pool_size: int = POOL_SIZE) -> AsyncIterator[Stores]:
    """The store at `url`, migrated already. Connects when first used; closes its connections at the end."""
    async with open_engine(url, pool_size=pool_size) as engine:
        yield stores_on(engine)


def stores_on(engine: AsyncEngine) -> Stores:
    """The repositories on an open engine."""
    return Stores(
        chats=PostgresChats(engine),
        messages=PostgresMessages(engine),
        turns=PostgresTurns(engine),
        approvals=PostgresApprovals(engine),
        posts=PostgresPosts(engine),
    )
