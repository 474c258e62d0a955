"""chat.startStream, appendStream, stopStream: messages that are written before people's eyes.

A stream holds about 12,000 characters and lives five minutes, whatever is in the documentation:
https://github.com/slackapi/python-slack-sdk/issues/1859, https://github.com/CopilotKit/CopilotKit/issues/6063.
"""

from tests.doubles.slack import rules
from tests.doubles.slack.block_rules import check_blocks
from tests.doubles.slack.errors import SlackError
from tests.doubles.slack.store import JSON, Channel, Message, Stream
from tests.doubles.slack.web_api.chat import own
from tests.doubles.slack.web_api.request import Request

TOTAL = 12_000
_STATUSES = {"pending", "in_progress", "complete", "error"}


def _apply(call: Request, stream: Stream) -> None:
    """Add what a call brings. Raises SlackError and changes nothing when a part of it is wrong."""
    chunks = call.args.get("chunks") or []
    if not isinstance(chunks, list):
        raise SlackError("invalid_chunks")
    text = str(call.args.get("markdown_text") or "")
    if text and chunks:
        raise SlackError("markdown_text_conflict")
    tasks, plan, blocks = dict(stream.tasks), stream.plan, list(stream.blocks)
    for chunk in chunks:
        match chunk.get("type"):
            case "markdown_text" if isinstance(chunk.get("text"), str):
                text += chunk["text"]
            case "task_update" if chunk.get("id") and chunk.get("status") in _STATUSES:
                if chunk["id"] not in tasks and not chunk.get("title"):
                    raise SlackError("invalid_chunks", "a task needs a title")
                tasks[chunk["id"]] = tasks.get(chunk["id"], {}) | chunk
            case "plan_update" if chunk.get("title"):
                plan = chunk["title"]
            case "blocks":
                blocks += check_blocks(chunk.get("blocks"))
            case other:
                raise SlackError("invalid_chunks", f"{other}: {sorted(chunk)}")
    if len(text) > rules.MARKDOWN_TEXT:
        raise SlackError("msg_too_long", f"{len(text)} characters in one call")
    if len(stream.text) + len(text) > TOTAL:
        raise SlackError("msg_too_long", f"{len(stream.text) + len(text)} characters in one stream")
    if len(blocks) > 50:
        raise SlackError("invalid_blocks", "more than 50 blocks through chunks")
    stream.text += text
    stream.tasks, stream.plan, stream.blocks = tasks, plan, blocks


def _draw(stream: Stream) -> list[JSON]:
    blocks: list[JSON] = []
    cards = [
        {
            "type": "task_card",
            "task_id": key,
            **{name: one[name] for name in ("title", "status", "output") if name in one},
        }
        for key, one in stream.tasks.items()
    ]
    if stream.plan:
        blocks.append({"type": "plan", "title": stream.plan, "tasks": cards})
    else:
        blocks += cards
    if stream.text.strip():
        blocks.append({"type": "markdown", "text": stream.text})
    return blocks + stream.blocks


def _recipients(call: Request, where: Channel) -> None:
    if where.kind == "im":
        return
    for name in ("recipient_team_id", "recipient_user_id"):
        if not call.args.get(name):
            raise SlackError(f"missing_{name}")
    call.team.user(call.args["recipient_user_id"])


def start(call: Request) -> JSON:
    where = call.writable()
    _recipients(call, where)
    stream = Stream(call.world.store.clock.now())
    _apply(call, stream)
    one = call.world.posting.create(
        where, call.team.bot, stream.text, blocks=_draw(stream), thread_ts=call.args["thread_ts"], stream=stream
    )
    return {"channel": where.id, "ts": one.ts}


def _open(call: Request) -> tuple[Message, Stream]:
    one = own(call, "message_not_owned_by_app")
    stream = call.world.posting.live_stream(one)
    if stream is None:
        was_stopped = one.stream is not None and one.stream.state == "stopped_by_user"
        raise SlackError("stopped_by_user" if was_stopped else "message_not_in_streaming_state")
    return one, stream


def append(call: Request) -> JSON:
    if not call.args.get("markdown_text") and not call.args.get("chunks"):
        raise SlackError("no_text")
    one, stream = _open(call)
    _apply(call, stream)
    call.world.posting.edit(one, text=stream.text, blocks=_draw(stream), is_silent=True)
    return {"channel": one.channel, "ts": one.ts}


def stop(call: Request) -> JSON:
    extra = check_blocks(call.args.get("blocks") or [])
    rules.check_metadata(call.args.get("metadata"))
    one, stream = _open(call)
    _apply(call, stream)
    call.world.posting.end_stream(one, "stopped")
    call.world.posting.edit(
        one,
        text=stream.text,
        blocks=[*_draw(stream), *extra],
        metadata=call.args.get("metadata"),
        is_silent=True,
    )
    where = call.team.channel(one.channel)
    if call.args.get("session_status") and one.thread_ts:
        where.sessions.setdefault(one.thread_ts, {})["status"] = call.args["session_status"]
    return {"channel": one.channel, "ts": one.ts, "message": call.message_json(one.ts, where)}


METHODS = {"chat.appendStream": append, "chat.startStream": start, "chat.stopStream": stop}
