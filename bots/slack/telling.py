"""Telling a person something that no post of a turn tells: that their message was not taken, or what a command did.

Next: `web.py`, which calls Slack.
"""

from contextlib import suppress

import structlog

from bots.slack.workspaces import Workspace
from core.domain.chat import Place
from core.errors import ThreadworkError, Unavailable
from core.surfaces.slack.escaping import escape

log = structlog.get_logger(__name__)


async def whisper(workspace: Workspace, place: Place, user: str, text: str) -> None:
    """Tell one person, in the thread; where that cannot be, tell the thread."""
    try:
        await workspace.web.whisper(place.channel, user, text, place.thread)
    except ThreadworkError as error:
        log.warning("not_whispered", chat=place.key, why=str(error))
        with suppress(ThreadworkError):
            await workspace.web.post(place.channel, text, place.thread)


async def announce(workspace: Workspace, place: Place, text: str) -> None:
    """Tell everybody in the thread."""
    try:
        await workspace.web.post(place.channel, text, place.thread)
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
