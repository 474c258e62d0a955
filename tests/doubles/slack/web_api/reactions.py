"""reactions.*: a message's emoji."""

from tests.doubles.slack import rules
from tests.doubles.slack.errors import SlackError
from tests.doubles.slack.store import JSON, Message
from tests.doubles.slack.web_api.request import Request


def _message(call: Request) -> Message:
    if not call.args.get("channel") or not call.args.get("timestamp"):
        raise SlackError("no_item_specified")
    return call.channel(must_be_live=True).message(call.args["timestamp"])


def add(call: Request) -> JSON:
    name = rules.check_emoji(call.args["name"])
    call.channel(must_be_in=True)
    call.world.posting.react(_message(call), call.team.bot, name, add=True)
    return {}


def remove(call: Request) -> JSON:
    name = rules.check_emoji(call.args["name"])
    call.world.posting.react(_message(call), call.team.bot, name, add=False)
    return {}


def get(call: Request) -> JSON:
    one = _message(call)
    where = call.team.channel(one.channel)
    return {"type": "message", "channel": where.id, "message": call.message_json(one.ts, where)}


METHODS = {"reactions.add": add, "reactions.get": get, "reactions.remove": remove}
