"""What each method must be given: required arguments, known ones, the scope it needs, and limits of single arguments.

Known arguments are read off the real client's own signatures. Blocks have a file of their own: `block_rules.py`.
"""

import functools
import inspect
import json
import re
from collections.abc import Iterable

from slack_sdk.web.async_client import AsyncWebClient

from tests.doubles.slack.errors import SlackError
from tests.doubles.slack.record import JSON

REQUIRED: dict[str, tuple[str, ...]] = {
    "agents.sessions.rename": ("channel_id", "title"),
    "agents.sessions.setStatus": ("channel_id", "status"),
    "apps.connections.open": (),
    "assistant.threads.setStatus": ("channel_id", "thread_ts", "status"),
    "assistant.threads.setSuggestedPrompts": ("channel_id", "prompts"),
    "assistant.threads.setTitle": ("channel_id", "thread_ts", "title"),
    "auth.revoke": (),
    "auth.test": (),
    "bots.info": (),
    "chat.appendStream": ("channel", "ts"),
    "chat.delete": ("channel", "ts"),
    "chat.getPermalink": ("channel", "message_ts"),
    "chat.postEphemeral": ("channel", "user"),
    "chat.postMessage": ("channel",),
    "chat.startStream": ("channel", "thread_ts"),
    "chat.stopStream": ("channel", "ts"),
    "chat.update": ("channel", "ts"),
    "conversations.history": ("channel",),
    "conversations.info": ("channel",),
    "conversations.join": ("channel",),
    "conversations.list": (),
    "conversations.members": ("channel",),
    "conversations.open": (),
    "conversations.replies": ("channel", "ts"),
    "files.completeUploadExternal": ("files",),
    "files.getUploadURLExternal": ("filename", "length"),
    "files.info": ("file",),
    "oauth.v2.access": (),
    "openid.connect.token": (),
    "openid.connect.userInfo": (),
    "reactions.add": ("channel", "name", "timestamp"),
    "reactions.get": (),
    "reactions.remove": ("name",),
    "team.info": (),
    "users.info": ("user",),
    "users.list": (),
    "views.open": ("view",),
    "views.publish": ("user_id", "view"),
    "views.push": ("view",),
    "views.update": ("view",),
}
SCOPES: dict[str, str] = {
    "agents.sessions.rename": "chat:write",
    "agents.sessions.setStatus": "chat:write",
    "assistant.threads.setStatus": "assistant:write",
    "assistant.threads.setSuggestedPrompts": "assistant:write",
    "assistant.threads.setTitle": "assistant:write",
    "bots.info": "users:read",
    "chat.appendStream": "chat:write",
    "chat.delete": "chat:write",
    "chat.postEphemeral": "chat:write",
    "chat.postMessage": "chat:write",
    "chat.startStream": "chat:write",
    "chat.stopStream": "chat:write",
    "chat.update": "chat:write",
    "conversations.join": "channels:join",
    "conversations.list": "channels:read",
    "conversations.open": "im:write",
    "files.completeUploadExternal": "files:write",
    "files.getUploadURLExternal": "files:write",
    "files.info": "files:read",
    "reactions.add": "reactions:write",
    "reactions.get": "reactions:read",
    "reactions.remove": "reactions:write",
    "team.info": "team:read",
    "users.info": "users:read",
    "users.list": "users:read",
}
# These read a conversation: which scope they need depends on its kind.
BY_KIND: dict[str, str] = {
    "conversations.history": "history",
    "conversations.info": "read",
    "conversations.members": "read",
    "conversations.replies": "history",
}
_PREFIX = {"channel": "channels", "group": "groups", "im": "im"}
WITHOUT_TOKEN = frozenset({"oauth.v2.access", "openid.connect.token"})
# With the token of a person who signed in, which is good for nothing else.
WITH_PERSONS_TOKEN = frozenset({"openid.connect.userInfo"})
WITH_APP_TOKEN = frozenset({"apps.connections.open"})
_ALWAYS_KNOWN = frozenset({"token", "team_id", "attachments", "client_id", "client_secret", "markdown_text"})

TEXT_CUT = 40_000
UPDATE_TEXT = 4_000
MARKDOWN_TEXT = 12_000
METADATA_BYTES = 8_000
_EMOJI = re.compile(r"[a-z0-9_+'\-]{1,100}(::skin-tone-[2-6])?")
_TS = re.compile(r"\d{1,12}\.\d{6}")
# Written as JSON text when a call is a form or a query.
_NESTED = ("blocks", "attachments", "metadata", "files", "view", "chunks", "prompts", "loading_messages")


# What Slack documents and the client has no parameter for.
_DOCUMENTED = {"files.completeUploadExternal": ("blocks",)}


@functools.cache
def known_arguments(method: str) -> frozenset[str]:
    """Arguments the real client has for a method."""
    call = getattr(AsyncWebClient, method.replace(".", "_"), None)
    names: Iterable[str] = inspect.signature(call).parameters if call else ()
    return frozenset(names) | frozenset((*REQUIRED.get(method, ()), *_DOCUMENTED.get(method, ()))) | _ALWAYS_KNOWN


def decode(args: JSON) -> JSON:
    """Arguments with nested JSON text read and empty values gone."""
    made: JSON = {}
    for name, value in args.items():
        if value is None:
            continue
        if name in _NESTED and isinstance(value, str) and value[:1] in {"[", "{"}:
            try:
                made[name] = json.loads(value)
            except ValueError:
                raise SlackError("invalid_blocks_format" if name == "blocks" else "invalid_arguments", name) from None
        else:
            made[name] = value
    return made


def check_arguments(method: str, args: JSON) -> None:
    """Raise `invalid_arguments` when a required one is missing or a timestamp is none."""
    missing = [name for name in REQUIRED[method] if args.get(name) is None or args[name] == ""]
    if method == "assistant.threads.setStatus" and missing == ["status"] and args.get("status") == "":
        missing = []  # an empty status clears it
    if missing:
        raise SlackError("invalid_arguments", *[f"missing required field: {name}" for name in missing])
    for name in ("ts", "thread_ts", "message_ts", "timestamp"):
        if args.get(name) and not _TS.fullmatch(str(args[name])):
            raise SlackError("invalid_arguments", f"{name} {args[name]!r} is no timestamp")


def unknown_arguments(method: str, args: JSON) -> list[str]:
    return sorted(set(args) - known_arguments(method))


def scope_for(method: str, kind: str | None) -> str | None:
    """The scope a method needs, on a conversation of a kind if it reads one."""
    if method in BY_KIND:
        return f"{_PREFIX[kind]}:{BY_KIND[method]}" if kind else None
    return SCOPES.get(method)


def check_metadata(metadata: object) -> None:
    if metadata in ({}, None):
        return
    if not isinstance(metadata, dict) or not isinstance(metadata.get("event_type"), str):
        raise SlackError("invalid_metadata_format", "event_type is required")
    if not isinstance(metadata.get("event_payload"), dict):
        raise SlackError("invalid_metadata_format", "event_payload must be an object")
    if len(json.dumps(metadata).encode()) > METADATA_BYTES:
        raise SlackError("metadata_too_large")


def check_emoji(name: object) -> str:
    """The bare name of an emoji; colons and pictures are refused as Slack does."""
    if not isinstance(name, str) or not _EMOJI.fullmatch(name):
        raise SlackError("invalid_name", f"{name!r} is no emoji name")
    return name


def is_true(value: object) -> bool:
    return value in {True, "1", "true", "True"}
