"""An app's manifest applied to the double: only its events come, only its scopes are granted, only its commands exist.

So a manifest that asks for too little fails a test, as it would fail in Slack. https://docs.slack.dev/reference/app-manifest
"""

from collections.abc import Mapping
from typing import Any

from tests.doubles.slack.record import JSON

_KINDS = {"channel": "message.channels", "group": "message.groups", "im": "message.im"}
# https://docs.slack.dev/reference/events: what each event needs; those not named here need nothing.
_EVENT_SCOPES = {
    "app_mention": "app_mentions:read",
    "assistant_thread_context_changed": "assistant:write",
    "assistant_thread_started": "assistant:write",
    "channel_archive": "channels:read",
    "channel_left": "channels:read",
    "file_shared": "files:read",
    "member_joined_channel": "channels:read",
    "message.channels": "channels:history",
    "message.groups": "groups:history",
    "message.im": "im:history",
    "reaction_added": "reactions:read",
    "reaction_removed": "reactions:read",
}


class Manifest:
    """What one manifest declares. Raises AssertionError for an event whose scope it does not ask for."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        features = body.get("features") or {}
        settings = body.get("settings") or {}
        self.scopes = set(((body.get("oauth_config") or {}).get("scopes") or {}).get("bot") or ())
        self.events = set((settings.get("event_subscriptions") or {}).get("bot_events") or ())
        self.commands = {one["command"] for one in features.get("slash_commands") or ()}
        self.shortcuts = {one["callback_id"] for one in features.get("shortcuts") or ()}
        self.is_agent = bool(features.get("assistant_view") or features.get("agent_view"))
        self.is_interactive = bool((settings.get("interactivity") or {}).get("is_enabled"))
        lacking = {
            one: _EVENT_SCOPES[one] for one in self.events if _EVENT_SCOPES.get(one, "") not in {"", *self.scopes}
        }
        assert not lacking, f"events without their scopes: {lacking}"
        assert not self.commands or "commands" in self.scopes, "slash commands need the scope `commands`"

    def hears(self, event: JSON) -> bool:
        """Whether an event is subscribed to."""
        kind = event["type"]
        return (_KINDS.get(event.get("channel_type", ""), kind) if kind == "message" else kind) in self.events
