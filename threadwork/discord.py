"""`threadwork discord`: the Discord bot as a program of its own, and the link by which it is invited to a server."""

from pathlib import Path

from core.settings import Settings
from threadwork.beat import beating
from threadwork.parts import serve, watched


async def print_invite(settings: Settings) -> int:
    """The link by which an admin lets the bot into a server, with the permissions that it uses."""
    from bots.discord.invite import invite_url

    print(await invite_url(settings))
    return 0


async def run_discord(settings: Settings, beat: Path | None = None) -> int:
    """Take in what Discord sends until told to stop; says it is ready once the gateway is connected."""
    from bots.discord.app import open_discord

    with watched("discord", settings) as traces:
        await serve("discord", open_discord(settings, traces), beating(beat))
    return 0
