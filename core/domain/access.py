"""Who may look at what on the admin page, and who may do something there.

Rights are given by tenant, or everywhere. What is outside them does not exist for the person. The bots know
roles of their own (`chat.py`); these are for people who signed in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from core.domain.chat import TenantId

EVERYWHERE = "*"
# The tenants that somebody may see; None: all there are.
Scope = frozenset[TenantId] | None


class Access(StrEnum):
    """What a person may do on the page."""

    ADMIN = "admin"
    VIEWER = "viewer"


@dataclass(frozen=True, slots=True)
class Rights:
    """What somebody may see and do: `everywhere`, or in some tenants."""

    everywhere: Access | None = None
    tenants: Mapping[TenantId, Access] = field(default_factory=dict)

    @property
    def scope(self) -> Scope:
        """The tenants that they may see."""
        return None if self.everywhere else frozenset(self.tenants)

    def in_tenant(self, tenant: TenantId) -> Access | None:
        """What they are in a tenant; the greater of what was given there and everywhere."""
        given = {self.everywhere, self.tenants.get(tenant)}
        return Access.ADMIN if Access.ADMIN in given else Access.VIEWER if Access.VIEWER in given else None

    def may_change(self, tenant: TenantId) -> bool:
        """Whether they may do something there, and not only look."""
        return self.in_tenant(tenant) is Access.ADMIN


def rights_in(tenants: Mapping[TenantId, Access], *, viewers: bool) -> Rights:
    """What somebody may do who is known in some tenants: admins always, others look on where `viewers` may."""
    return Rights(tenants={one: access for one, access in tenants.items() if viewers or access is Access.ADMIN})


def rights_body(rights: Rights) -> dict[str, str]:
    """Rights as stored: a tenant's id, or `*`, and what the person is there."""
    body = {str(tenant): access.value for tenant, access in rights.tenants.items()}
    return body | ({EVERYWHERE: rights.everywhere.value} if rights.everywhere else {})


def rights_of(body: Mapping[str, str]) -> Rights:
    """Read what `rights_body` wrote."""
    everywhere = body.get(EVERYWHERE)
    return Rights(
        Access(everywhere) if everywhere else None,
        {TenantId(UUID(name)): Access(access) for name, access in body.items() if name != EVERYWHERE},
    )
