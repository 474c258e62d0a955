"""Tokens of the workspaces that installed the app: got for a code, kept, renewed before they run out.

https://docs.slack.dev/authentication/installing-with-oauth, /using-token-rotation. Next: `client.py`, which uses them.
"""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from core.errors import Ambiguous, BadInput, PlaceGone
from core.ports import Installation, Installations

CALL_S: Final = 10.0
# Slack's rotating tokens are good for twelve hours.
RENEW_BEFORE: Final = timedelta(minutes=30)
# So soon every process notices that the app was taken out, or put in again.
KEPT_S: Final = 30.0


class SlackTokens:
    """Finds the token of a workspace. `client` is the app's id and secret."""

    def __init__(
        self, installations: Installations, client: tuple[str, str], session: aiohttp.ClientSession, api_url: str
    ) -> None:
        self._installations = installations
        self._client = client
        self._web = AsyncWebClient(base_url=api_url, session=session, retry_handlers=[], timeout=int(CALL_S))
        self._kept: dict[str, tuple[float, Installation]] = {}

    async def token_of(self, team: str) -> str:
        """The workspace's bot token. Raises `PlaceGone` where the app is not installed."""
        found = await self.find(team)
        if found is None:
            raise PlaceGone(
                f"Threadwork is not installed in the Slack workspace {team}. An admin must install it again."
            )
        return found.token

    async def find(self, team: str) -> Installation | None:
        """The workspace's installation with a token that is good for a while, if the app is installed there."""
        at, kept = self._kept.get(team, (0.0, None))
        if kept is not None and time.monotonic() - at < KEPT_S and not _runs_out(kept):
            return kept
        found = await self._installations.find(team)
        if found is not None and _runs_out(found):
            found = await self._installations.renew(team, datetime.now(UTC) + RENEW_BEFORE, self._renewed)
        if found is None:
            self._kept.pop(team, None)
        else:
            self._kept[team] = (time.monotonic(), found)
        return found

    async def install(self, code: str) -> Installation:
        """Exchange the code that an installation ends with, and keep what it gives.

        Raises `BadInput` for a code that Slack does not take, or an installation for a whole organisation.
        """
        answer = await self._access(code=code)
        team = (answer.get("team") or {}).get("id")
        if answer.get("is_enterprise_install") or not team:
            raise BadInput("Install Threadwork in a workspace; in a whole organisation it cannot be installed.")
        made = _installation(str(team), answer)
        await self._installations.save(made)
        self._kept.pop(made.tenant, None)
        return made

    async def forget(self, team: str) -> None:
        """Forget a workspace that took the app out."""
        self._kept.pop(team, None)
        await self._installations.remove(team)

    async def _renewed(self, before: Installation) -> Installation:
        answer = await self._access(grant_type="refresh_token", refresh_token=str(before.refresh_token))
        return _installation(before.tenant, answer)

    async def _access(self, **arguments: str) -> Mapping[str, Any]:
        client_id, client_secret = self._client
        try:
            async with asyncio.timeout(CALL_S):
                answer = await self._web.oauth_v2_access(
                    client_id=client_id,
                    client_secret=client_secret,
                    **arguments,
                )
        except SlackApiError as error:
            raise BadInput(f"Slack says {error.response.get('error')}. Begin the installation anew.") from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Ambiguous(f"Slack did not answer: {error!r}") from error
        return dict(answer.data)  # type: ignore[arg-type]  # JSON


def _runs_out(installation: Installation) -> bool:
    return installation.expires_at is not None and installation.expires_at < datetime.now(UTC) + RENEW_BEFORE


def _installation(team: str, answer: Mapping[str, Any]) -> Installation:
    seconds = answer.get("expires_in")
    return Installation(
        tenant=team,
        token=str(answer["access_token"]),
        refresh_token=answer.get("refresh_token"),
        expires_at=None if seconds is None else datetime.now(UTC) + timedelta(seconds=float(seconds)),
    )
