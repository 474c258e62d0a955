"""conversations.*: reading channels and threads, joining, opening direct messages."""

from tests.doubles.slack import payloads, rules
from tests.doubles.slack.errors import SlackError
from tests.doubles.slack.store import JSON, Channel, Message
from tests.doubles.slack.web_api.request import Request, open_dm, paged


def _shown(call: Request, one: Message, where: Channel) -> JSON:
    return payloads.message(one, where, with_metadata=rules.is_true(call.args.get("include_all_metadata")))


def _between(call: Request, rows: list[Message]) -> list[Message]:
    args = call.args
    oldest, latest = str(args.get("oldest") or "0"), str(args.get("latest") or "9999999999.999999")
    inclusive = rules.is_true(args.get("inclusive"))
    ends = {oldest, latest}
    return [
        one for one in rows if float(oldest) <= float(one.ts) <= float(latest) and (inclusive or one.ts not in ends)
    ]


def replies(call: Request) -> JSON:
    where = call.channel(must_be_in=True)
    parent = where.messages.get(str(call.args["ts"]))
    if parent is None or parent.only_for or (parent.is_deleted and not parent.is_tombstone):
        raise SlackError("thread_not_found")
    parent = where.messages[parent.thread_ts or parent.ts]
    kept = _between(call, where.replies(parent.ts))
    most = call.world.options.replies_limit
    rows, more = paged([_shown(call, one, where) for one in [parent, *kept]], call.args, most=most, default=most)
    return {"messages": rows, **more}


def history(call: Request) -> JSON:
    where = call.channel(must_be_in=True)
    rows = [one for one in where.messages.values() if not one.is_reply and not one.only_for]
    rows = [one for one in rows if not one.is_deleted or one.is_tombstone]
    rows = sorted(_between(call, rows), key=lambda one: one.ts, reverse=True)
    most = call.world.options.replies_limit
    page, more = paged([_shown(call, one, where) for one in rows], call.args, most=most, default=min(most, 100))
    return {"messages": page, **more}


def info(call: Request) -> JSON:
    return {"channel": payloads.channel(call.channel(), bot=call.team.bot)}


def list_all(call: Request) -> JSON:
    wanted = {
        {"public_channel": "channel", "private_channel": "group"}.get(one, one)
        for one in str(call.args.get("types") or "public_channel").split(",")
    }
    rows = [
        payloads.channel(one, bot=call.team.bot)
        for one in call.team.channels.values()
        if one.kind in wanted and (one.kind == "channel" or call.team.bot.id in one.members)
    ]
    page, more = paged(rows, call.args, most=1000, default=100)
    return {"channels": page, "response_metadata": more["response_metadata"]}


def members(call: Request) -> JSON:
    where = call.channel()
    page, more = paged([{"id": one} for one in sorted(where.members)], call.args, most=1000, default=100)
    return {"members": [one["id"] for one in page], "response_metadata": more["response_metadata"]}


def join(call: Request) -> JSON:
    where = call.channel(must_be_live=True)
    if where.kind != "channel":
        raise SlackError("method_not_supported_for_channel_type")
    where.members.add(call.team.bot.id)
    return {"channel": payloads.channel(where, bot=call.team.bot)}


def open_direct(call: Request) -> JSON:
    users = str(call.args.get("users") or "")
    if call.args.get("channel"):
        where = call.channel()
    elif users and "," not in users:
        where = open_dm(call.world.store, call.team, users)
    else:
        raise SlackError("users_list_not_supplied")
    return {"channel": {"id": where.id}}


METHODS = {
    "conversations.history": history,
    "conversations.info": info,
    "conversations.join": join,
    "conversations.list": list_all,
    "conversations.members": members,
    "conversations.open": open_direct,
    "conversations.replies": replies,
}
