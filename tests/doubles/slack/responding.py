"""Posts through a response URL: a new message, or one in place of the message that was clicked.

https://docs.slack.dev/interactivity/handling-user-interaction#message_responses
"""

from tests.doubles.slack.block_rules import check_blocks
from tests.doubles.slack.errors import SlackError
from tests.doubles.slack.posting import Posting
from tests.doubles.slack.rules import is_true
from tests.doubles.slack.store import JSON, Channel, Message, Team, User
from tests.doubles.slack.web_api.request import World


def respond(world: World, key: str, body: JSON) -> None:
    """Do what was posted to a response URL. Raises SlackError."""
    target = world.triggers.respond(key)
    blocks = check_blocks(body.get("blocks") or [])
    if target.message is not None and is_true(body.get("delete_original")):
        world.posting.delete(target.message)
    elif target.message is not None and is_true(body.get("replace_original")):
        if not body.get("text") and not blocks:
            raise SlackError("no_text")
        world.posting.edit(target.message, text=str(body.get("text") or ""), blocks=blocks)
    else:
        say(world.posting, target.team, target.channel, target.user, body, thread_ts=target.thread_ts)


def say(
    posting: Posting, team: Team, where: Channel, who: User, body: JSON, *, thread_ts: str | None = None
) -> Message:
    """A message in answer to somebody: for them alone unless `response_type` says otherwise."""
    blocks = check_blocks(body.get("blocks") or [])
    if not body.get("text") and not blocks and not body.get("attachments"):
        raise SlackError("no_text")
    is_public = body.get("response_type") == "in_channel"
    return posting.create(
        where,
        team.bot,
        str(body.get("text") or ""),
        blocks=blocks,
        thread_ts=body.get("thread_ts") or thread_ts,
        only_for=None if is_public else who.id,
    )
