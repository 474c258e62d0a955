"""The workspaces that installed the app, with their tokens, encrypted: a row of `secrets` each.

A token that runs out is exchanged under the row's lock, since the refresh token is good once. Next: `core/crypto.py`.
"""

import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import Select, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.crypto import decrypt, encrypt
from core.domain.chat import Platform
from core.ports import Installation
from core.store.engine import single, transaction
from core.store.tables import secrets, tenants

_NAME: Final = "installation"


class PostgresInstallations:
    """`core.ports.Installations` on Postgres, for one platform; `secret` is the program's own."""

    def __init__(self, engine: AsyncEngine, secret: bytes, platform: Platform = Platform.SLACK) -> None:
        self._engine = engine
        self._secret = secret
        self._platform = platform

    async def find(self, tenant: str) -> Installation | None:
        """What a tenant gave the app, if it did."""
        async with single(self._engine) as connection:
            row = (await connection.execute(self._query(tenant))).one_or_none()
        return None if row is None else self._opened(tenant, row.id, row.value)

    async def save(self, installation: Installation) -> None:
        """Keep it, in place of the one before."""
        async with transaction(self._engine) as connection:
            await self._save(connection, installation)

    async def remove(self, tenant: str) -> None:
        """Forget it."""
        of_tenant = select(tenants.c.id).where(
            tenants.c.platform == self._platform.value, tenants.c.external_id == tenant
        )
        gone = delete(secrets).where(secrets.c.name == _NAME, secrets.c.tenant_id.in_(of_tenant))
        async with single(self._engine) as connection:
            await connection.execute(gone)

    async def renew(
        self, tenant: str, before: datetime, exchange: Callable[[Installation], Awaitable[Installation]]
    ) -> Installation | None:
        """Exchange a token that runs out before a time; one that another process has exchanged is taken as it is."""
        async with transaction(self._engine) as connection:
            row = (await connection.execute(self._query(tenant).with_for_update(of=secrets))).one_or_none()
            if row is None:
                return None
            found = self._opened(tenant, row.id, row.value)
            if found.expires_at is None or found.expires_at > before:
                return found
            made = await exchange(found)
            await self._save(connection, made)
            return made

    def _query(self, tenant: str) -> Select[Any]:
        of_tenant = (tenants.c.platform == self._platform.value) & (tenants.c.external_id == tenant)
        return (
            select(tenants.c.id, secrets.c.value)
            .join(secrets, secrets.c.tenant_id == tenants.c.id)
            .where(of_tenant, secrets.c.name == _NAME)
        )

    async def _save(self, connection: AsyncConnection, installation: Installation) -> None:
        tenant_id = await self._tenant(connection, installation.tenant)
        value = encrypt(self._secret, _dumped(installation), _where(tenant_id))
        made = insert(secrets).values(id=uuid4(), tenant_id=tenant_id, name=_NAME, value=value)
        await connection.execute(
            made.on_conflict_do_update(
                index_elements=["tenant_id", "name"], set_={"value": value, "changed_at": func.now()}
            )
        )

    async def _tenant(self, connection: AsyncConnection, tenant: str) -> UUID:
        made = insert(tenants).values(id=uuid4(), platform=self._platform.value, external_id=tenant)
        await connection.execute(made.on_conflict_do_nothing(index_elements=["platform", "external_id"]))
        query = select(tenants.c.id).where(tenants.c.platform == self._platform.value, tenants.c.external_id == tenant)
        found: UUID = (await connection.execute(query)).scalar_one()
        return found

    def _opened(self, tenant: str, tenant_id: UUID, value: bytes) -> Installation:
        body = json.loads(decrypt(self._secret, bytes(value), _where(tenant_id)))
        expires_at = body["expires_at"]
        return Installation(
            tenant,
            body["token"],
            body["refresh_token"],
            None if expires_at is None else datetime.fromisoformat(expires_at),
        )


def _where(tenant_id: UUID) -> str:
    return f"secrets:{tenant_id}:{_NAME}"


def _dumped(installation: Installation) -> str:
    expires_at = installation.expires_at
    return json.dumps(
        {
            "token": installation.token,
            "refresh_token": installation.refresh_token,
            "expires_at": None if expires_at is None else expires_at.isoformat(),
        }
    )
