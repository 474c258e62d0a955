"""The shapes that Slack sends: messages, users, files, channels, views, events and interactions.

Shapes follow https://docs.slack.dev/reference/events and /reference/interaction-payloads. Pure: records in, JSON out.
"""

import html
import re

from tests.doubles.slack.store import JSON, Channel, File, Message, Store, Team, User, View

APP_ID = "A0DOUBLE01"
VERIFICATION = "made-up-verification-token"
_ENTITY = re.compile(r"<(?:@[UW]\w+|#C\w+|![\w^:|]+|https?://[^>\s]+|mailto:[^>\s]+)(?:\|[^>]*)?>")
_FENCE = re.compile(r"```\n?(.*?)\n?```", re.DOTALL)


def typed(text: str) -> str:
    """What Slack makes of what a person types: stray control characters escaped, mentions and links left."""
    made, end = "", 0
    for match in _ENTITY.finditer(text):
        made += html.escape(text[end : match.start()], quote=False) + match[0]
        end = match.end()
    return made + html.escape(text[end:], quote=False)


def rich_text(text: str, block_id: str) -> list[JSON]:
    """The blocks that come with a person's message."""
    parts: list[JSON] = []
    end = 0
    for match in _FENCE.finditer(text):
        parts += _section(text[end : match.start()])
        code = [{"type": "text", "text": html.unescape(match[1])}] if match[1] else []
        parts.append({"type": "rich_text_preformatted", "elements": code, "border": 0})
        end = match.end()
    parts += _section(text[end:])
    return [{"type": "rich_text", "block_id": block_id, "elements": parts}] if parts else []


def _section(text: str) -> list[JSON]:
    elements: list[JSON] = []
    end = 0
    for match in _ENTITY.finditer(text):
        elements += _plain(text[end : match.start()])
        inner, _, label = match[0][1:-1].partition("|")
        if inner.startswith("@"):
            elements.append({"type": "user", "user_id": inner[1:]})
        elif inner.startswith("#"):
            elements.append({"type": "channel", "channel_id": inner[1:]})
        elif inner.startswith("!"):
            elements.append({"type": "broadcast", "range": inner[1:]})
        else:
            elements.append({"type": "link", "url": html.unescape(inner), **({"text": label} if label else {})})
        end = match.end()
    elements += _plain(text[end:])
    return [{"type": "rich_text_section", "elements": elements}] if elements else []


def _plain(text: str) -> list[JSON]:
    return [{"type": "text", "text": html.unescape(text)}] if text else []


# -- things --------------------------------------------------------------------------------------------------------


def user(one: User) -> JSON:
    return {
        "id": one.id,
        "team_id": one.team,
        "name": one.name,
        "deleted": one.is_deleted,
        "real_name": one.real_name,
        "tz": "Europe/Amsterdam",
        "tz_label": "Central European Time",
        "tz_offset": 3600,
        "profile": {
            "real_name": one.real_name,
            "display_name": one.name,
            "real_name_normalized": one.real_name,
            "display_name_normalized": one.name,
            "team": one.team,
            **({"api_app_id": APP_ID, "bot_id": one.bot_id} if one.bot_id else {"email": f"{one.name}@example.com"}),
        },
        "is_admin": one.is_admin,
        "is_owner": False,
        "is_primary_owner": False,
        "is_restricted": one.is_guest,
        "is_ultra_restricted": False,
        "is_bot": one.bot_id is not None,
        "is_app_user": False,
        "updated": 1_700_000_000,
    }


def bot_profile(one: User, app_id: str) -> JSON:
    return {
        "id": one.bot_id,
        "app_id": app_id,
        "user_id": one.id,
        "name": one.name,
        "deleted": False,
        "updated": 1_700_000_000,
        "team_id": one.team,
    }


def file(one: File) -> JSON:
    kind = one.name.rpartition(".")[2] if "." in one.name else "text"
    return {
        "id": one.id,
        "created": one.created,
        "timestamp": one.created,
        "name": one.name,
        "title": one.title,
        "mimetype": one.mimetype,
        "filetype": kind,
        "pretty_type": kind.upper(),
        "user": one.user,
        "user_team": one.url.split("/")[-2].partition("-")[0] if one.url else "",
        "size": len(one.content or b""),
        "mode": "hosted",
        "is_external": False,
        "is_public": True,
        "url_private": one.url,
        "url_private_download": one.url.replace("/files-pri/", "/files-pri/download/"),
        "file_access": "visible",
    }


def channel(one: Channel, *, bot: User) -> JSON:
    if one.kind == "im":
        other = next((member for member in one.members if member != bot.id), bot.id)
        return {"id": one.id, "created": one.created, "is_im": True, "is_archived": one.is_archived, "user": other}
    return {
        "id": one.id,
        "name": one.name,
        "name_normalized": one.name,
        "created": one.created,
        "is_channel": one.kind == "channel",
        "is_group": one.kind == "group",
        "is_im": False,
        "is_mpim": False,
        "is_private": one.kind == "group",
        "is_archived": one.is_archived,
        "is_general": one.name == "general",
        "is_member": bot.id in one.members,
        "context_team_id": one.team,
        "num_members": len(one.members),
    }


def message(one: Message, where: Channel, *, with_metadata: bool = True) -> JSON:
    """A message as events, histories and interactions carry it."""
    made: JSON = {"type": "message", "user": one.author.id, "ts": one.ts, "text": one.text, "team": one.team}
    if one.is_tombstone:
        made = {"type": "message", "subtype": "tombstone", "user": "USLACKBOT", "hidden": True, "ts": one.ts}
        made["text"] = "This message was deleted."
    elif one.author.bot_id:
        app_id = APP_ID if one.author.name == "threadwork" else "A0OTHERBOT"
        made |= {"bot_id": one.author.bot_id, "app_id": app_id, "bot_profile": bot_profile(one.author, app_id)}
    elif not one.subtype:
        made["client_msg_id"] = f"00000000-0000-4000-8000-{one.ts.replace('.', '')[-12:]}"
    if one.subtype and not one.is_tombstone:
        made["subtype"] = one.subtype
        if one.subtype == "bot_message":
            made.pop("user")
            made["username"] = one.author.name
    if one.blocks and not one.is_tombstone:
        made["blocks"] = one.blocks
    if one.attachments:
        made["attachments"] = one.attachments
    if one.files:
        made |= {"files": [file(each) for each in one.files], "upload": False}
        if not one.author.bot_id:
            made["display_as_bot"] = False
    if one.edited_at:
        made["edited"] = {"user": one.author.id, "ts": one.edited_at}
    if one.metadata and with_metadata:
        made["metadata"] = one.metadata
    if one.reactions:
        rows = one.reactions.items()
        made["reactions"] = [{"name": name, "users": list(who), "count": len(who)} for name, who in rows]
    return made | _thread_fields(one, where)


def _thread_fields(one: Message, where: Channel) -> JSON:
    if one.is_reply and one.thread_ts:
        parent = where.messages.get(one.thread_ts)
        return {"thread_ts": one.thread_ts, "parent_user_id": parent.author.id if parent else None}
    replies = where.replies(one.ts)
    if not replies:
        return {}
    return {
        "thread_ts": one.ts,
        "reply_count": len(replies),
        "reply_users_count": len({reply.author.id for reply in replies}),
        "latest_reply": replies[-1].ts,
        "reply_users": list(dict.fromkeys(reply.author.id for reply in replies)),
        "is_locked": False,
        "subscribed": True,
    }


def view(one: View, team: Team) -> JSON:
    body = one.body
    return {
        "id": one.id,
        "team_id": team.id,
        "type": body["type"],
        "blocks": body["blocks"],
        "private_metadata": body.get("private_metadata", ""),
        "callback_id": body.get("callback_id", ""),
        "state": {"values": {}},
        "hash": one.hash,
        "title": body.get("title"),
        "clear_on_close": bool(body.get("clear_on_close")),
        "notify_on_close": bool(body.get("notify_on_close")),
        "close": body.get("close"),
        "submit": body.get("submit"),
        "previous_view_id": one.previous,
        "root_view_id": one.root,
        "app_id": APP_ID,
        "external_id": body.get("external_id", ""),
        "app_installed_team_id": team.id,
        "bot_id": team.bot.bot_id,
    }


# -- what is sent to the app ---------------------------------------------------------------------------------------


def event_callback(store: Store, team: Team, event: JSON) -> JSON:
    number = store.new_id("Ev")
    return {
        "token": VERIFICATION,
        "team_id": team.id,
        "context_team_id": team.id,
        "context_enterprise_id": None,
        "api_app_id": APP_ID,
        "event": event,
        "type": "event_callback",
        "event_id": number,
        "event_time": int(store.clock.now()),
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": team.id,
                "user_id": team.bot.id,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": False,
        "event_context": f"4-made-up-context-{number}",
    }


def message_event(one: Message, where: Channel) -> JSON:
    made = message(one, where)
    for name in ("reply_count", "reply_users_count", "latest_reply", "reply_users", "is_locked", "subscribed"):
        made.pop(name, None)
    return made | {"channel": where.id, "event_ts": one.ts, "channel_type": where.kind}


def mention_event(one: Message, where: Channel) -> JSON:
    made = message_event(one, where) | {"type": "app_mention"}
    for name in ("channel_type", "parent_user_id", "subtype"):
        made.pop(name, None)
    return made


def changed_event(one: Message, before: JSON, where: Channel, ts: str) -> JSON:
    return {
        "type": "message",
        "subtype": "message_changed",
        "message": message(one, where),
        "previous_message": before,
        "channel": where.id,
        "hidden": True,
        "ts": ts,
        "event_ts": ts,
        "channel_type": where.kind,
    }


def deleted_event(before: JSON, where: Channel, ts: str) -> JSON:
    return {
        "type": "message",
        "subtype": "message_deleted",
        "previous_message": before,
        "channel": where.id,
        "hidden": True,
        "deleted_ts": before["ts"],
        "ts": ts,
        "event_ts": ts,
        "channel_type": where.kind,
    }


def interaction(kind: str, team: Team, who: User, trigger_id: str) -> JSON:
    """The part that all interactions share."""
    return {
        "type": kind,
        "user": {"id": who.id, "username": who.name, "name": who.name, "team_id": team.id},
        "api_app_id": APP_ID,
        "token": VERIFICATION,
        "trigger_id": trigger_id,
        "team": {"id": team.id, "domain": team.name.lower()},
        "enterprise": None,
        "is_enterprise_install": False,
    }


def container(one: Message) -> JSON:
    made: JSON = {
        "type": "message",
        "message_ts": one.ts,
        "channel_id": one.channel,
        "is_ephemeral": one.only_for is not None,
    }
    return made | ({"thread_ts": one.thread_ts} if one.thread_ts else {})


def place(where: Channel) -> JSON:
    return {"id": where.id, "name": "directmessage" if where.kind == "im" else where.name}
