"""The link by which an admin lets the bot into a server, with exactly the permissions that it uses.

Next: `app.py`.
"""

from typing import Final

import discord

from bots.discord.web import DiscordWeb
from core.errors import Misconfigured
from core.settings import Settings
from core.surfaces.discord.rest import Rest

PERMISSIONS: Final = discord.Permissions(
    view_channel=True,
    send_messages=True,
    create_public_threads=True,
    send_messages_in_threads=True,
    read_message_history=True,
    add_reactions=True,
    attach_files=True,
)


def token_of(settings: Settings) -> str:
    """The bot's token. Raises `Misconfigured` where there is none."""
    if settings.discord_token is None:
        raise Misconfigured(
            "DISCORD_TOKEN is not set. It is on the Bot page of your app at https://discord.com/developers/applications"
        )
    return settings.discord_token.get_secret_value()


async def invite_url(settings: Settings) -> str:
    """The link. Discord is asked whose token it is; raises `Misconfigured` when it refuses it."""
    async with Rest.open(token_of(settings), settings.discord_api_url) as rest:
        app = str((await DiscordWeb(rest).whoami())["id"])
    return invite_of(app)


def invite_of(app: str) -> str:
    """The link for an application by its id."""
    return discord.utils.oauth_url(int(app), permissions=PERMISSIONS, scopes=("bot", "applications.commands"))
