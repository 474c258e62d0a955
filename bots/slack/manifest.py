"""The app as Slack is told of it: exactly the scopes, events and features that the code uses, each with its reason.

`manifest.yaml` is what `manifest_yaml()` gives, for Socket Mode; `threadwork slack --manifest` prints it for the
settings at hand. A test holds the bot and the surface to it. https://docs.slack.dev/reference/app-manifest
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from bots.slack.asked import ASK_ABOUT

SCOPES: Final[Mapping[str, str]] = {
    "app_mentions:read": "to hear when somebody mentions the app",
    "assistant:write": "to suggest what to begin with in the agent's container, and to show there that it works",
    "channels:history": "to hear what is said in the threads of its chats in public channels, and was said before",
    "chat:write": "to answer, and to edit its answers as work goes on",
    "commands": "for the slash command and the message shortcut",
    "files:read": "to fetch files that people give to the agent",
    "files:write": "to bring files that the agent made into the thread",
    "groups:history": "the same as channels:history, in private channels it is invited to",
    "im:history": "to hear direct messages",
    "reactions:write": "to show on a message that it was taken, is answered, or failed",
    "users:read": "to know people's names, and who is an admin",
}
EVENTS: Final[Mapping[str, str]] = {
    "app_home_opened": "draws the home tab",
    "app_mention": "begins a chat",
    "assistant_thread_context_changed": "the same where somebody turns to another channel meanwhile",
    "assistant_thread_started": "suggests what to begin with in the agent's container",
    "message.channels": "what people write, edit and delete in threads",
    "message.groups": "the same in private channels",
    "message.im": "direct messages",
}
# What only an app that is installed in many workspaces needs.
EVENTS_OF_MANY: Final[Mapping[str, str]] = {
    "app_uninstalled": "forgets the workspace's token",
    "tokens_revoked": "forgets it, too",
}


def manifest(
    *, command: str = "/threadwork", url: str | None = None, redirect_url: str | None = None
) -> dict[str, Any]:
    """The manifest. `url` is where Slack's requests arrive, for HTTP; without it the app uses Socket Mode.

    `redirect_url` is where people come back to who install the app in a workspace of theirs.
    """
    at: dict[str, Any] = {"request_url": url} if url else {}
    oauth: dict[str, Any] = {"redirect_urls": [redirect_url]} if redirect_url else {}
    events = [*EVENTS, *(EVENTS_OF_MANY if redirect_url else ())]
    return {
        "display_information": {
            "name": "Threadwork",
            "description": "Coding agents in threads, each in a sandbox of its own.",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            # https://docs.slack.dev/ai/developing-agents: the scope `assistant:write` needs it.
            "assistant_view": {"assistant_description": "Coding agents in threads, each in a sandbox of its own."},
            "bot_user": {"display_name": "Threadwork", "always_online": True},
            "shortcuts": [
                {
                    "name": "Ask Threadwork about this",
                    "type": "message",
                    "callback_id": ASK_ABOUT,
                    "description": "Begin a chat about this message, in its thread",
                }
            ],
            "slash_commands": [
                {
                    "command": command,
                    "description": "Begin a chat, or see what goes on",
                    "usage_hint": "ask <what to do> | status | list | settings | help",
                    "should_escape": True,
                    **({"url": url} if url else {}),
                }
            ],
        },
        "oauth_config": {**oauth, "scopes": {"bot": list(SCOPES)}},
        "settings": {
            "event_subscriptions": {**at, "bot_events": events},
            "interactivity": {"is_enabled": True, **at},
            "org_deploy_enabled": False,
            "socket_mode_enabled": url is None,
            "token_rotation_enabled": False,
        },
    }


def manifest_yaml(**how: str | None) -> str:
    """The manifest as YAML, with the reason behind each scope and event."""
    head = "# The Slack app. Create one from this at https://api.slack.com/apps: Create New App, From a manifest.\n"
    return head + "".join(f"{line}\n" for line in _lines(manifest(**how), ""))  # type: ignore[arg-type]  # by name


def _lines(part: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, value in part.items():
        match value:
            case dict():
                yield f"{indent}{name}:"
                yield from _lines(value, indent + "  ")
            case list():
                yield f"{indent}{name}:"
                yield from _items(value, indent + "  ")
            case _:
                yield f"{indent}{name}: {json.dumps(value, ensure_ascii=False)}"


def _items(items: list[Any], indent: str) -> Iterator[str]:
    for item in items:
        if isinstance(item, dict):
            first, *rest = _lines(item, indent + "  ")
            yield f"{indent}- {first.lstrip()}"
            yield from rest
        else:
            why = {**SCOPES, **EVENTS, **EVENTS_OF_MANY}.get(item)
            yield f"{indent}- {json.dumps(item)}" + (f"  # {why}" if why else "")
