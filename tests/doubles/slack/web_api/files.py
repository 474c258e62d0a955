"""files.*: the three steps of an upload, and what is known of a file. Bytes go in and out through `server.py`.

https://docs.slack.dev/messaging/working-with-files
"""

import mimetypes

from tests.doubles.slack import payloads
from tests.doubles.slack.block_rules import check_blocks
from tests.doubles.slack.errors import SlackError
from tests.doubles.slack.store import JSON, File
from tests.doubles.slack.web_api.request import Request


def get_upload_url(call: Request) -> JSON:
    length = int(call.args["length"])
    if length <= 0:
        raise SlackError("invalid_arguments", "length must be more than 0")
    if length > call.world.options.most_bytes:
        raise SlackError("file_upload_size_restricted")
    store, name = call.world.store, str(call.args["filename"])
    number = store.new_id("F")
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    made = File(number, name, name, kind, call.team.bot.id, None, length, int(store.clock.now()), is_complete=False)
    made.url = f"{call.world.origin}/files-pri/{call.team.id}-{number}/{name}"
    call.team.files[number] = made
    return {"upload_url": f"{call.world.origin}/upload/v1/{call.team.id}/{number}", "file_id": number}


def complete_upload(call: Request) -> JSON:
    given = call.args["files"]
    if not isinstance(given, list) or not 1 <= len(given) <= 10:
        raise SlackError("invalid_arguments", "files must have 1 to 10 items")
    files = []
    for one in given:
        found = call.team.files.get(str(one.get("id")))
        if found is None or found.is_complete:
            raise SlackError("file_not_found")
        if found.content is None:
            raise SlackError("file_update_failed", f"no bytes were sent for {found.name}")
        files.append((found, one.get("title") or found.name))
    places = [str(call.args["channel_id"])] if call.args.get("channel_id") else []
    places += [one for one in str(call.args.get("channels") or "").split(",") if one]
    if len(places) > 1 and call.args.get("thread_ts"):
        raise SlackError("invalid_arguments", "thread_ts goes with one channel")
    # With a comment, blocks are ignored; at a markdown block Slack fails: python-slack-sdk issue 1756.
    given_blocks = [] if call.args.get("initial_comment") else call.args.get("blocks") or []
    if any(block.get("type") == "markdown" for block in given_blocks):
        raise SlackError("internal_error")
    blocks = check_blocks(given_blocks) if given_blocks else []
    channels = []
    for place in places:
        call.args["channel"] = place
        channels.append(call.writable())
    for found, title in files:
        found.title, found.is_complete = title, True
    for where in channels:
        call.world.posting.create(
            where,
            call.team.bot,
            str(call.args.get("initial_comment") or ""),
            blocks=blocks,
            thread_ts=call.args.get("thread_ts") or None,
            files=[found for found, _ in files],
            subtype="file_share",
        )
    return {"files": [payloads.file(found) for found, _ in files]}


def info(call: Request) -> JSON:
    found = call.team.files.get(str(call.args["file"]))
    if found is None or not found.is_complete:
        raise SlackError("file_not_found")
    shares: JSON = {}
    for channel, ts, thread_ts in found.shares:
        kind = "public" if call.team.channels[channel].kind == "channel" else "private"
        row = {"ts": ts, **({"thread_ts": thread_ts} if thread_ts else {})}
        shares.setdefault(kind, {}).setdefault(channel, []).append(row)
    return {"file": payloads.file(found) | {"shares": shares}, "comments": []}


METHODS = {
    "files.completeUploadExternal": complete_upload,
    "files.getUploadURLExternal": get_upload_url,
    "files.info": info,
}
