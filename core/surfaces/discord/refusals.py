"""Discord's refusals as our errors, each with words that the person or an admin can act on.

Codes: https://docs.discord.com/developers/topics/opcodes-and-status-codes#json. Next: `client.py`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from core.errors import Ambiguous, PlaceGone, PostGone, RateLimited, SurfaceError, ThreadworkError, TooLarge

_ASK: Final = "An admin of the server can allow it."
_PLACE: Final[Mapping[int, str]] = {
    10003: "This thread or channel was deleted. Start a new one.",
    10004: "Threadwork was taken out of this server. An admin can invite it again, by: threadwork discord --invite",
    50001: (
        "Threadwork cannot see this thread, or may not write in it. Give it View Channel and Send Messages in Threads; "
        "in a private thread, mention it to let it in."
    ),
    50007: "Discord lets Threadwork send this person no direct messages. They can allow them in the server's privacy.",
    50008: "Nobody can write in this kind of channel. Go on in a text channel.",
    50024: "This kind of channel does not allow that. Go on in a text channel.",
    50083: "This thread is archived, and Threadwork may not open it. Write something in it, or start a new one.",
    160005: "This thread is locked. A moderator can unlock it, or start a new one.",
}
_POST: Final[Mapping[int, str]] = {
    10008: "The post was deleted.",
    50005: "The post is not Threadwork's own, so it cannot be changed.",
    50021: "This is a message of Discord's own, which cannot be changed.",
}
# Edits of posts that are older than an hour: https://github.com/discord/discord-api-docs/issues/4413.
OLD_EDITS: Final = 30046
_LIMITS: Final = frozenset({20016, 20022, 20028, OLD_EDITS, 31001, 31002})
FORMAT: Final = frozenset({50006, 50035, 50045})
_LARGE: Final = 40005
_OTHER: Final[Mapping[int, str]] = {
    10062: "Discord took this click for too old before Threadwork could answer it. Press again.",
    10063: "Discord does not know this command any more. Reload Discord, and try again.",
    30010: "This message has as many reactions as Discord allows.",
    30033: "This thread has as many people in it as Discord allows. Start a new one.",
    40002: "Discord wants the bot's owner to verify their account.",
    40060: "This click was answered already.",
    50027: "Discord waits fifteen minutes for the answer to a click or command, and they are over. Do it again.",
    90001: "Threadwork cannot react to this person's messages: they have blocked it.",
    160002: "Discord lets Threadwork reply here only with Read Message History. An admin can give it that permission.",
    160004: "There is a thread under this message already. Go on in it.",
    160006: "This server has as many open threads as Discord allows. Archive some of them, and ask again.",
    200000: "The server's AutoMod blocked the post. An admin can exempt Threadwork from the rule.",
    200001: "The server's AutoMod blocked the title. An admin can exempt Threadwork from the rule.",
}
_LACKING: Final[Mapping[str, str]] = {
    "react": "Threadwork may not react to messages here. Give it Add Reactions and Read Message History.",
    "thread": "Threadwork may not begin threads here. Give it Create Public Threads and Send Messages in Threads.",
    "open": "This thread is archived or locked, and Threadwork may not open it. A moderator can, or start a new one.",
}
_LACKING_POST: Final = (
    "Threadwork lacks a permission in this channel. Give it View Channel, Send Messages, Send Messages in Threads and "
    "Attach Files."
)
_NO_WAIT_TOLD: Final = 30.0


def error_of(  # noqa: PLR0911 - one return per kind of refusal
    what: str, status: int, answer: Mapping[str, Any], headers: Mapping[str, str]
) -> ThreadworkError:
    """The error that a refused call is to us. `what` is the call's name in `client.py`."""
    code = code_of(answer)
    if status == 429 or code in _LIMITS:
        return RateLimited(retry_after_s(answer, headers), what)
    if status >= 500 or status < 400:
        return Ambiguous(f"Discord failed at {what} (HTTP {status}); it may have been done all the same.")
    if code == 50013:
        return (SurfaceError if what == "react" else PlaceGone)(_LACKING.get(what, _LACKING_POST))
    if code in _PLACE:
        return PlaceGone(_PLACE[code])
    if code in _POST:
        return PostGone(_POST[code])
    if code == _LARGE or status == 413:
        return TooLarge("Discord finds it too large. Ask for it in parts, or smaller.")
    if code in FORMAT:
        return TooLarge(
            f"Discord finds it too long or wrong ({code}{_details(answer)}). Ask for it in other words, or for less."
        )
    return SurfaceError(_words(what, status, code, answer))


def code_of(answer: Mapping[str, Any]) -> int:
    """Discord's own code of a refusal; 0 if there is none."""
    code = answer.get("code")
    return int(code) if isinstance(code, int | str) and str(code).isdigit() else 0


def is_global(answer: Mapping[str, Any], headers: Mapping[str, str]) -> bool:
    """Whether a rate limit is on everything the bot does."""
    return bool(answer.get("global")) or "X-RateLimit-Global" in headers


def retry_after_s(answer: Mapping[str, Any], headers: Mapping[str, str]) -> float:
    """For how long a refusal wants us away. The body is exact; the header is in whole seconds, rounded up.

    https://docs.discord.com/developers/topics/rate-limits#exceeding-a-rate-limit
    """
    for told in (answer.get("retry_after"), headers.get("X-RateLimit-Reset-After"), headers.get("Retry-After")):
        try:
            return max(0.0, float(told))  # type: ignore[arg-type] # what is no number is caught
        except (TypeError, ValueError):
            continue
    return _NO_WAIT_TOLD


def _words(what: str, status: int, code: int, answer: Mapping[str, Any]) -> str:
    if status == 401 and code in (0, 40001):
        return "Discord does not know Threadwork's token. Check DISCORD_TOKEN, or reset it in the developer portal."
    told = answer.get("message")
    return _OTHER.get(code, f"Discord refused {what}: {told or f'HTTP {status}'} ({code}{_details(answer)}). {_ASK}")


def _details(answer: Mapping[str, Any]) -> str:
    told = "; ".join(_faults(answer.get("errors"), ""))
    return f": {told[:300]}" if told else ""


def _faults(errors: Any, path: str) -> Iterator[str]:
    """What is wrong in a form, field by field: `components.0.content: Must be between …`."""
    if not isinstance(errors, Mapping):
        return
    for name, within in errors.items():
        if name == "_errors" and isinstance(within, list):
            yield from (f"{path}: {one.get('message')}" for one in within if isinstance(one, Mapping))
        else:
            yield from _faults(within, f"{path}.{name}" if path else str(name))
