"""Slack's refusals as our errors, each with words that the person or an admin can act on.

Codes: https://docs.slack.dev/reference/methods/chat.postMessage#errors and its neighbours. Next: `client.py`.
"""

from collections.abc import Mapping
from typing import Any, Final

from core.errors import Ambiguous, PlaceGone, PostGone, RateLimited, SurfaceError, ThreadworkError, TooLarge

_REINSTALL: Final = "An admin of the workspace must install the app again."
_PLACE: Final[Mapping[str, str]] = {
    "not_in_channel": "Threadwork is not in this channel any more. Invite it again: /invite @Threadwork",
    "channel_not_found": "This channel is deleted, or Threadwork is not in it. Invite it: /invite @Threadwork",
    "is_archived": "This channel is archived. Unarchive it, or go on in another one.",
    "thread_not_found": "The message this thread began with was deleted. Start a new thread.",
    "cannot_reply_to_message": "Slack takes no replies to the message this thread began with. Start a new thread.",
    "restricted_action": "The workspace does not let Threadwork post in this channel. An admin can allow it.",
    "restricted_action_read_only_channel": "This channel is read-only for Threadwork. An admin can let it post.",
    "restricted_action_thread_locked": "This thread is locked. Start a new one.",
    "restricted_action_non_threadable_channel": "This channel has no threads. Go on in another one.",
    "account_inactive": f"Threadwork was taken out of this workspace. {_REINSTALL}",
    "app_uninstalled": f"Threadwork was taken out of this workspace. {_REINSTALL}",
    "token_revoked": f"Slack took Threadwork's token back. {_REINSTALL}",
    "team_access_not_granted": f"Threadwork has no access to this workspace. {_REINSTALL}",
    "user_is_bot": "This is a conversation with another bot, which Slack lets nobody reply in.",
}
_CREDENTIALS: Final[Mapping[str, str]] = {
    "invalid_auth": "Slack does not know Threadwork's token. Check SLACK_BOT_TOKEN (it begins with xoxb-).",
    "not_authed": "Threadwork has no token for this workspace. Set SLACK_BOT_TOKEN, or install the app.",
    "not_allowed_token_type": "Threadwork's token is of the wrong kind. SLACK_BOT_TOKEN begins with xoxb-.",
    "token_expired": f"Threadwork's token has run out. {_REINSTALL}",
    "org_login_required": "The workspace is being moved to an organisation by Slack. Try again later.",
    "ekm_access_denied": "The workspace's admins have suspended the posting of messages.",
    "access_denied": "The workspace does not let Threadwork do this. An admin can allow it.",
    "no_permission": "The workspace does not let Threadwork do this. An admin can allow it.",
}
_POST: Final = frozenset(
    {
        "message_not_found",
        "cant_update_message",
        "cant_delete_message",
        "edit_window_closed",
        "message_deleted",
    }
)
FORMAT: Final = frozenset(
    {
        "invalid_blocks",
        "invalid_blocks_format",
        "msg_blocks_too_long",
        "msg_too_long",
        "markdown_text_conflict",
        "restricted_action_non_block",
        "too_many_attachments",
        "file_upload_size_restricted",
    }
)
_PERHAPS_DONE: Final = frozenset(
    {"internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"}
)
_NO_WAIT_TOLD: Final = 30.0


class StillStreaming(SurfaceError):
    """The post is a stream that is still open, which takes no edit."""

    code = "still_streaming"


def error_of(method: str, status: int, answer: Mapping[str, Any], headers: Mapping[str, str]) -> ThreadworkError:
    """The error that a refused call is to us."""
    code = str(answer.get("error") or "")
    if status == 429 or code in ("ratelimited", "rate_limited"):
        return RateLimited(_retry_after(headers), method)
    if status >= 500 or code in _PERHAPS_DONE or (not code and status < 400):
        return Ambiguous(f"Slack failed at {method} ({code or f'HTTP {status}'}); it may have been done all the same.")
    if code in _PLACE:
        return PlaceGone(_PLACE[code])
    if code in _POST:
        return PostGone(f"The post is deleted, or can no longer be changed ({code}).")
    if code in FORMAT:
        return TooLarge(f"Slack finds the post too long or malformed ({code}{_details(answer)}).")
    kind = StillStreaming if code == "streaming_state_conflict" else SurfaceError
    return kind(_words(method, status, code, answer))


def _words(method: str, status: int, code: str, answer: Mapping[str, Any]) -> str:
    if code == "missing_scope":
        needed = str(answer.get("needed") or "one more scope")
        return (
            f"The Slack app lacks the scope {needed} for {method}. Add it under OAuth & Permissions, and reinstall it."
        )
    return _CREDENTIALS.get(code, f"Slack refused {method}: {code or f'HTTP {status}'}{_details(answer)}.")


def _retry_after(headers: Mapping[str, str]) -> float:
    try:
        return max(0.0, float(headers.get("Retry-After") or headers.get("retry-after") or _NO_WAIT_TOLD))
    except ValueError:
        return _NO_WAIT_TOLD


def _details(answer: Mapping[str, Any]) -> str:
    told = (answer.get("response_metadata") or {}).get("messages") or answer.get("errors") or ()
    return f": {'; '.join(map(str, told))[:300]}" if told else ""
