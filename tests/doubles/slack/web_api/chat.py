"""chat.*: posting, editing and deleting messages. Streams are in `streams.py`.

https://docs.slack.dev/reference/methods/chat.postMessage and its neighbours.
"""

from typing import Any

from tests.doubles.slack import rules
from tests.doubles.slack.block_rules import check_blocks
from tests.doubles.slack.errors import SlackError
from tests.doubles.slack.store import JSON, Message
from tests.doubles.slack.web_api.request import Request


def content(call: Request, *, text_limit: int | None = None) -> dict[str, Any]:
    """What is to be posted, checked: only what was given is in it.

    `text_limit` refuses longer texts; without it they are cut at 40,000 characters, as Slack does.
    """
    args, made = call.args, dict[str, Any]()
    markdown = args.get("markdown_text")
    if markdown is not None:
        if args.get("text") or args.get("blocks"):
            raise SlackError("markdown_text_conflict")
        if len(markdown) > rules.MARKDOWN_TEXT:
            raise SlackError("msg_too_long", f"markdown_text has {len(markdown)} characters")
        made |= {"text": markdown, "blocks": [{"type": "markdown", "text": markdown}]}
    if "text" in args:
        text = str(args["text"])
        if text_limit is not None and len(text) > text_limit:
            raise SlackError("msg_too_long", f"text has {len(text)} characters")
        if len(text) > rules.TEXT_CUT:
            call.world.record.broke("text_truncated", call.method, f"{len(text)} characters")
            text = text[: rules.TEXT_CUT]
        made["text"] = text
    if "blocks" in args:
        made["blocks"] = check_blocks(args["blocks"])
    if "attachments" in args:
        made["attachments"] = args["attachments"]
    if "metadata" in args:
        rules.check_metadata(args["metadata"])
        made["metadata"] = args["metadata"]
    return made


def _must_say_something(made: dict[str, Any]) -> None:
    if not made.get("text", "").strip() and not made.get("blocks") and not made.get("attachments"):
        raise SlackError("no_text")


def post_message(call: Request) -> JSON:
    made = content(call)
    _must_say_something(made)
    where = call.writable()
    one = call.world.posting.create(
        where, call.team.bot, made.pop("text", ""), thread_ts=call.args.get("thread_ts") or None, **made
    )
    if one.thread_ts:
        where.statuses.pop(one.thread_ts, None)  # an answer takes "is thinking…" away
    return {"channel": where.id, "ts": one.ts, "message": call.message_json(one.ts, where)}


def own(call: Request, refusal: str) -> Message:
    """The app's own message that a call names."""
    one = call.channel(must_be_live=True).message(call.args["ts"])
    if one.author is not call.team.bot or one.is_tombstone:
        raise SlackError(refusal)
    return one


def update(call: Request) -> JSON:
    made = content(call, text_limit=rules.UPDATE_TEXT)
    if not made:
        raise SlackError("no_text")
    one = own(call, "cant_update_message")
    if call.world.posting.live_stream(one) is not None:
        raise SlackError("streaming_state_conflict")
    if not made.get("blocks", one.blocks):
        _must_say_something({"text": made.get("text", one.text), "attachments": made.get("attachments")})
    attachments = made.pop("attachments", None)
    if attachments is not None:
        one.attachments = list(attachments)
    call.world.posting.edit(one, **made)
    where = call.team.channel(one.channel)
    return {"channel": where.id, "ts": one.ts, "text": one.text, "message": call.message_json(one.ts, where)}


def delete(call: Request) -> JSON:
    one = own(call, "cant_delete_message")
    call.world.posting.delete(one)
    return {"channel": one.channel, "ts": one.ts}


def post_ephemeral(call: Request) -> JSON:
    made = content(call)
    _must_say_something(made)
    made.pop("metadata", None)
    where = call.writable()
    if str(call.args["user"]) not in where.members:
        raise SlackError("user_not_in_channel")
    one = call.world.posting.create(
        where,
        call.team.bot,
        made.pop("text", ""),
        thread_ts=call.args.get("thread_ts") or None,
        only_for=str(call.args["user"]),
        **made,
    )
    return {"message_ts": one.ts}


def permalink(call: Request) -> JSON:
    where = call.channel()
    one = where.message(call.args["message_ts"])
    link = f"https://{call.team.name.lower()}.slack.com/archives/{where.id}/p{one.ts.replace('.', '')}"
    if one.is_reply:
        link += f"?thread_ts={one.thread_ts}&cid={where.id}"
    return {"channel": where.id, "permalink": link}


METHODS = {
    "chat.delete": delete,
    "chat.getPermalink": permalink,
    "chat.postEphemeral": post_ephemeral,
    "chat.postMessage": post_message,
    "chat.update": update,
}
