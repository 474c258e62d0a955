"""Tenants by the names that people know them by."""

from collections.abc import Collection, Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from core.domain.chat import Platform, TenantId
from core.errors import NotFound
from core.store.engine import single
from core.store.tables import tenants


async def find_tenants(engine: AsyncEngine, names: Sequence[str]) -> list[TenantId]:
    """The tenants that are called so: `slack:T012345`, `discord:1234`, `console:local`.

    Raises `NotFound` for a name that nobody has written from yet.
    """
    async with single(engine) as connection:
        rows = (await connection.execute(select(tenants))).all()
    known = {f"{row.platform}:{row.external_id}": TenantId(row.id) for row in rows}
    for name in names:
        if name not in known:
            those = ", ".join(sorted(known)) or "none yet"
            raise NotFound(f"There is no tenant {name}. Known are: {those}")
    return [known[name] for name in names]


async def known_tenants(engine: AsyncEngine, platform: Platform, names: Collection[str]) -> dict[str, TenantId]:
    """Those of a platform's tenants that are ours, by the platform's names; others are left out."""
    query = select(tenants).where(tenants.c.platform == platform.value, tenants.c.external_id.in_(names))
    async with single(engine) as connection:
        rows = (await connection.execute(query)).all()
    return {row.external_id: TenantId(row.id) for row in rows}
