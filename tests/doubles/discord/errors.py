"""What Discord answers when it refuses, in its own JSON shapes.

Codes are those of https://docs.discord.com/developers/topics/opcodes-and-status-codes. Read `server.py` for who
turns these into responses.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """One field of a request that breaks a rule: where, Discord's name for the rule, and words."""

    path: tuple[str, ...]
    code: str
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}: {self.message} ({self.code})"


class ApiError(Exception):
    """A refusal: HTTP status, Discord's code, words, and the fields at fault if there are any."""

    def __init__(self, status: int, code: int, message: str, *, problems: list[Problem] | None = None) -> None:
        super().__init__(f"{code} {message}")
        self.status = status
        self.code = code
        self.message = message
        self.problems = problems or []
        self.retry_after: float | None = None

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.problems:
            body["errors"] = _nested(self.problems)
        if self.retry_after is not None:
            body |= {"retry_after": self.retry_after, "global": False}
        return body


def _nested(problems: list[Problem]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for problem in problems:
        node = root
        for step in problem.path:
            node = node.setdefault(step, {})
        node.setdefault("_errors", []).append({"code": problem.code, "message": problem.message})
    return root


def invalid_form(*problems: Problem) -> ApiError:
    return ApiError(400, 50035, "Invalid Form Body", problems=list(problems))


def unauthorized() -> ApiError:
    return ApiError(401, 0, "401: Unauthorized")


def unknown_channel() -> ApiError:
    return ApiError(404, 10003, "Unknown Channel")


def unknown_guild() -> ApiError:
    return ApiError(404, 10004, "Unknown Guild")


def unknown_member() -> ApiError:
    return ApiError(404, 10007, "Unknown Member")


def unknown_message() -> ApiError:
    return ApiError(404, 10008, "Unknown Message")


def unknown_webhook() -> ApiError:
    return ApiError(404, 10015, "Unknown Webhook")


def unknown_interaction() -> ApiError:
    return ApiError(404, 10062, "Unknown interaction")


def unknown_command() -> ApiError:
    return ApiError(404, 10063, "Unknown application command")


def already_acknowledged() -> ApiError:
    return ApiError(400, 40060, "Interaction has already been acknowledged.")


def missing_access() -> ApiError:
    return ApiError(403, 50001, "Missing Access")


def cannot_edit_others() -> ApiError:
    return ApiError(403, 50005, "Cannot edit a message authored by another user")


def empty_message() -> ApiError:
    return ApiError(400, 50006, "Cannot send an empty message")


def missing_permissions() -> ApiError:
    return ApiError(403, 50013, "Missing Permissions")


def expired_token() -> ApiError:
    return ApiError(401, 50027, "Invalid Webhook Token")


def thread_archived() -> ApiError:
    return ApiError(400, 50083, "Thread is archived")


def request_too_large() -> ApiError:
    return ApiError(413, 40005, "Request entity too large")


def thread_exists() -> ApiError:
    return ApiError(400, 160004, "A thread has already been created for this message")


def thread_locked() -> ApiError:
    return ApiError(400, 160005, "Thread is locked")


def too_many_threads() -> ApiError:
    return ApiError(400, 160006, "Maximum number of active threads reached")


def too_many_old_edits(retry_after: float) -> ApiError:
    error = ApiError(429, 30046, "Maximum number of edits to messages older than 1 hour reached. Try again later.")
    error.retry_after = retry_after
    return error


def renamed_too_often(retry_after: float) -> ApiError:
    error = ApiError(429, 0, "You are being rate limited.")
    error.retry_after = retry_after
    return error
