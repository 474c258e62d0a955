"""Who the people are: their names and roles, asked of Slack once and kept for a while.

The answer to `users.info` is kept ten minutes, so that a busy thread costs no call a message, and an admin's new role
soon counts. Next: `context.py`.
"""

import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, Final

import structlog

from bots.slack.web import SlackWeb
from core.domain.chat import Author, Role
from core.errors import ThreadworkError

log = structlog.get_logger(__name__)
KEPT_S: Final = 600.0
_MOST: Final = 5_000


class People:
    """The people of one workspace."""

    def __init__(self, web: SlackWeb) -> None:
        self._web = web
        self._known: OrderedDict[str, tuple[float, Author]] = OrderedDict()

    async def find(self, user: str) -> Author:
        """The person with this id. When Slack does not say, they are a member called by what is known of them."""
        at, known = self._known.get(user, (0.0, None))
        if known is not None and time.monotonic() - at < KEPT_S:
            return known
        try:
            found = author_of(await self._web.person(user))
        except ThreadworkError as error:
            log.warning("person_not_found", user=user, why=str(error))
            return known or Author(user, user)
        self._known[user] = (time.monotonic(), found)
        self._known.move_to_end(user)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)
        return found

    async def names(self, users: Iterable[str]) -> dict[str, str]:
        """The names of these people, by id."""
        return {user: (await self.find(user)).name for user in users}


def author_of(user: Mapping[str, Any]) -> Author:
    """A person out of a user of Slack's: https://docs.slack.dev/reference/objects/user-object."""
    profile = user.get("profile") or {}
    names = (profile.get("display_name"), profile.get("real_name"), user.get("real_name"), user.get("name"))
    name = next((str(one).strip() for one in names if one and str(one).strip()), str(user["id"]))
    return Author(str(user["id"]), name, _role_of(user))


def _role_of(user: Mapping[str, Any]) -> Role:
    if user.get("is_admin") or user.get("is_owner") or user.get("is_primary_owner"):
        return Role.ADMIN
    if user.get("is_restricted") or user.get("is_ultra_restricted") or user.get("is_stranger"):
        return Role.GUEST
    return Role.MEMBER
