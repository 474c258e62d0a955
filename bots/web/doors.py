"""Through which platforms one may sign in, as the settings say. Next: `vouched.py`."""

import ipaddress
from collections.abc import Mapping

import aiohttp
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from core.domain.chat import Platform
from core.ports import Vouches
from core.settings import Settings
from core.store.installations import PostgresInstallations
from core.surfaces.discord.rest import API_URL as DISCORD_API
from core.surfaces.discord.vouching import WEB_URL as DISCORD_WEB
from core.surfaces.discord.vouching import DiscordVouches
from core.surfaces.slack.client import API_URL as SLACK_API
from core.surfaces.slack.tokens import SlackTokens
from core.surfaces.slack.vouching import WEB_URL as SLACK_WEB
from core.surfaces.slack.vouching import SlackVouches, TokenOf

log = structlog.get_logger(__name__)


def find_doors(
    settings: Settings, session: aiohttp.ClientSession, engine: AsyncEngine, secret: bytes
) -> Mapping[Platform, Vouches]:
    """The platforms whose ids and secrets are set; none while the page has no address that one can come back to."""
    found: dict[Platform, Vouches] = {}
    if settings.slack_client_id and settings.slack_client_secret:
        client = settings.slack_client_id, settings.slack_client_secret.get_secret_value()
        api_url = settings.slack_api_url or SLACK_API
        token_of = _tokens(settings, SlackTokens(PostgresInstallations(engine, secret), client, session, api_url))
        found[Platform.SLACK] = SlackVouches(client, token_of, session, api_url, settings.slack_web_url or SLACK_WEB)
    if settings.discord_client_id and settings.discord_client_secret:
        client = settings.discord_client_id, settings.discord_client_secret.get_secret_value()
        found[Platform.DISCORD] = DiscordVouches(
            client, session, settings.discord_api_url or DISCORD_API, settings.discord_web_url or DISCORD_WEB
        )
    if found and settings.threadwork_web_url is None and not _is_loopback(settings.threadwork_web_host):
        log.warning("no_sign_in_by_platform", why="THREADWORK_WEB_URL is not set", platforms=sorted(found))
        return {}
    return found


def _tokens(settings: Settings, tokens: SlackTokens) -> TokenOf:
    """How a workspace's token is found: the one that is given, or that of the workspace's installation."""
    given = settings.slack_bot_token

    async def token_of(team: str) -> str | None:
        if given is not None:
            return given.get_secret_value()
        found = await tokens.find(team)
        return found.token if found else None

    return token_of


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
