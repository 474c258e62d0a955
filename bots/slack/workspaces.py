"""The workspaces the app is in, and the app's way into each: its token, its user, its people.

`OneWorkspace` is for a token given by SLACK_BOT_TOKEN, `ManyWorkspaces` for those that installed the app.
Next: `listener.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp

from bots.slack.people import People
from bots.slack.web import SlackWeb
from core.surfaces.slack.tokens import SlackTokens


@dataclass(frozen=True, slots=True)
class Workspace:
    """One workspace. `user` is the app's own user in it, `url` where its messages can be read."""

    team: str
    user: str
    bot: str
    url: str
    token: str
    web: SlackWeb
    people: People

    def link(self, channel: str, ts: str, thread: str | None = None) -> str:
        """Where a message can be read."""
        link = f"{self.url}archives/{channel}/p{ts.replace('.', '')}"
        return f"{link}?thread_ts={thread}&cid={channel}" if thread and thread != ts else link


class Workspaces(Protocol):
    """Finds the workspace an event is from.

    * `find` is None for one where the app is not installed.
    * `forget` removes what is kept of one that took the app out.
    """

    async def find(self, team: str) -> Workspace | None: ...
    async def forget(self, team: str) -> None: ...


def workspace_of(answer: Mapping[str, Any], token: str, web: SlackWeb) -> Workspace:
    """A workspace by what `auth.test` says of its token."""
    return Workspace(
        team=str(answer["team_id"]),
        user=str(answer["user_id"]),
        bot=str(answer.get("bot_id") or ""),
        url=str(answer.get("url") or "https://slack.com/"),
        token=token,
        web=web,
        people=People(web),
    )


class OneWorkspace:
    """`Workspaces` for one token."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @classmethod
    async def open(cls, token: str, base_url: str, session: aiohttp.ClientSession) -> "OneWorkspace":
        """Ask Slack whose token it is. Raises `Misconfigured` when it refuses it, `Ambiguous` when it is silent."""
        web = SlackWeb(token, base_url, session)
        return cls(workspace_of(await web.whoami(), token, web))

    async def find(self, team: str) -> Workspace | None:
        """The workspace, whatever `team` says: in channels shared with others, events may name theirs."""
        return self._workspace if team else None

    async def forget(self, team: str) -> None:
        """Nothing: the token is the operator's to change."""


class ManyWorkspaces:
    """`Workspaces` for those that installed the app by OAuth."""

    def __init__(self, tokens: SlackTokens, base_url: str, session: aiohttp.ClientSession) -> None:
        self._tokens = tokens
        self._base_url = base_url
        self._session = session
        self._known: dict[str, Workspace] = {}

    async def find(self, team: str) -> Workspace | None:
        """The workspace, with the token that is good now."""
        installed = await self._tokens.find(team)
        if installed is None:
            self._known.pop(team, None)
            return None
        known = self._known.get(team)
        if known is None or known.token != installed.token:
            web = SlackWeb(installed.token, self._base_url, self._session)
            known = self._known[team] = workspace_of(await web.whoami(), installed.token, web)
        return known

    async def forget(self, team: str) -> None:
        """Forget its token."""
        self._known.pop(team, None)
        await self._tokens.forget(team)
