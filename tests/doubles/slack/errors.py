"""How the double refuses: an error code of the Web API with the words that come beside it.

`is_violation` marks a refusal that a correct program never meets; a test that provokes one announces it first.
"""

from typing import Any

# Refusals that come from what others did (a message went, a channel was archived), not from a mistake in the request.
ORDINARY = frozenset(
    {
        "account_inactive",
        "already_reacted",
        "already_in_channel",
        "app_uninstalled",
        "cannot_reply_to_message",
        "cant_delete_message",
        "cant_update_message",
        "channel_not_found",
        "code_already_used",
        "file_not_found",
        "hash_conflict",
        "internal_error",
        "invalid_code",
        "invalid_refresh_token",
        "is_archived",
        "message_not_found",
        "message_not_in_streaming_state",
        "method_not_supported_for_channel_type",
        "missing_scope",
        "no_reaction",
        "not_authorized",
        "not_found",
        "not_in_channel",
        "stopped_by_user",
        "streaming_state_conflict",
        "thread_not_found",
        "token_expired",
        "token_revoked",
        "user_not_found",
        "user_not_in_channel",
    }
)


class SlackError(Exception):
    """An answer with `ok: false`.

    `more` joins the body; `is_violation` is decided by the code unless given.
    """

    def __init__(self, code: str, *messages: str, is_violation: bool | None = None, **more: Any) -> None:
        super().__init__(f"{code}: {'; '.join(messages)}" if messages else code)
        self.code = code
        self.messages = list(messages)
        self.is_violation = code not in ORDINARY if is_violation is None else is_violation
        self.more = more

    def body(self) -> dict[str, Any]:
        answer: dict[str, Any] = {"ok": False, "error": self.code, **self.more}
        if self.messages:
            answer["response_metadata"] = {"messages": [f"[ERROR] {one}" for one in self.messages]}
        return answer


class CannotDo(Exception):
    """A person tried what Slack's own clients do not let them do; the test is wrong, not the program."""


class NotAnswered(Exception):
    """The app did not acknowledge an interaction in time; a person sees a warning sign."""
