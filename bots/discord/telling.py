"""Telling a person something that no post of a turn tells: that their message was not taken, or what a command did.

Discord shows words to one person alone only where that person clicked or used a command; to a message, the bot
replies. Next: `web.py`, which calls Discord.
"""

import structlog

from bots.discord.web import DiscordWeb
from core.domain.chat import Place
from core.errors import ThreadworkError, Unavailable
from core.surfaces.discord.escaping import escape

log = structlog.get_logger(__name__)


async def reply(web: DiscordWeb, channel: str, message: str, text: str) -> None:
    """Answer a message where it stands."""
    try:
        await web.post(channel, text, f"reply {message} {text}", reply_to=message)
    except ThreadworkError as error:
        log.warning("not_replied", channel=channel, why=str(error))


async def announce(web: DiscordWeb, place: Place, mark: str, text: str) -> None:
    """Tell everybody in the thread. `mark` is what it is about."""
    try:
        await web.post(place.thread, text, f"announce {mark} {text}")
    except ThreadworkError as error:
        log.warning("not_announced", chat=place.key, why=str(error))


def words_of(error: ThreadworkError) -> str:
    """What a person is told of an error, with what to do now."""
    if isinstance(error, Unavailable):
        return f"{escape(error.what).capitalize()} cannot be reached just now."
    return escape(error.words)


def not_taken(error: ThreadworkError) -> str:
    """What the author of a message is told that could not be kept."""
    if error.retryable:
        return (
            f"I could not take your message: {words_of(error)} Nothing was started. Please send it again in a minute."
        )
    return words_of(error)
