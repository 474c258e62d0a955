"""`threadwork doctor discord`: asks Discord itself whether token, intent, commands and servers are good.

Nothing is posted. Next: `bots/discord/invite.py`, which names the permissions.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import discord as library

from bots.discord.invite import PERMISSIONS, invite_of, token_of
from bots.discord.slash import COMMANDS
from bots.discord.web import DiscordWeb
from core.errors import Misconfigured, ThreadworkError
from core.settings import Settings
from core.surfaces.discord.rest import Rest
from threadwork.checks.accounts import discord
from threadwork.checks.finding import Finding, Level, bad, good, note

_PAGES: Final = "of your app at https://discord.com/developers/applications"
_AGAIN: Final = "Look at your network and at https://discordstatus.com, and ask again."
# https://docs.discord.com/developers/resources/application#application-object-application-flags
_CONTENT: Final = 1 << 18 | 1 << 19


async def discord_live(settings: Settings) -> AsyncIterator[Finding]:
    """What Discord says, in the order in which to mend it."""
    if settings.discord_token is None:
        mend = f"Set DISCORD_TOKEN; it is on the Bot page {_PAGES}"
        yield bad("Discord's token", "DISCORD_TOKEN is not set", mend)
        return
    async with Rest.open(token_of(settings), settings.discord_api_url) as rest:
        web = DiscordWeb(rest)
        try:
            app = await web.whoami()
            yield good("Discord's token", f"{(app.get('bot') or app).get('username') or app.get('name')}")
            yield _intent(app)
            yield await _commands(web, str(app["id"]))
            yield await _servers(web, str(app["id"]))
        except Misconfigured:
            looks = discord(settings)
            mend = f"Reset DISCORD_TOKEN on the Bot page {_PAGES}, and copy it from there."
            yield bad("Discord's token", "Discord refuses it", looks.mend if looks.level is Level.BAD else mend)
        except ThreadworkError as error:
            yield bad("Discord", error.words, _AGAIN)


def _intent(app: Mapping[str, Any]) -> Finding:
    if int(app.get("flags") or 0) & _CONTENT:
        return good("Discord's messages", "the bot may read them")
    mend = f"Switch on Message Content Intent on the Bot page {_PAGES}"
    return note("Discord's messages", "the bot reads only those that mention it", mend)


async def _commands(web: DiscordWeb, app: str) -> Finding:
    names = {str(one.get("name")) for one in await web.registered(app)}
    missing = sorted({str(one["name"]) for one in COMMANDS} - names)
    if missing:
        return note("Discord's commands", f"{', '.join(missing)} missing", "The bot registers them when it starts.")
    return good("Discord's commands", "registered")


async def _servers(web: DiscordWeb, app: str) -> Finding:
    """Whether the bot is in a server, and has there what it needs; channels may still say otherwise."""
    link = f"Open this link as an admin: {invite_of(app)}"
    servers = await web.servers()
    if not servers:
        return bad("Discord's servers", "the bot is in none", link)
    lacking = [told for one in servers if (told := _lacking(one))]
    if lacking:
        return bad("Discord's servers", "; ".join(lacking), link)
    return good("Discord's servers", ", ".join(str(one.get("name")) for one in servers[:5]))


def _lacking(server: Mapping[str, Any]) -> str:
    has = library.Permissions(int(server.get("permissions") or 0))
    if has.administrator or PERMISSIONS.is_subset(has):
        return ""
    names = [name.replace("_", " ") for name, is_needed in PERMISSIONS if is_needed and not getattr(has, name)]
    return f"{server.get('name')} does not let it {', '.join(names)}"
