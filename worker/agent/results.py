"""Reads the agent's `result` line: what a turn cost, what it answered, and why it failed, in words for people.

The program reports a failed API call as `subtype: "success"` with `is_error`, a `terminal_reason` and an
`api_error_status`; limits have subtypes of their own. Next: `translate.py`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from core.domain.turn import Usage
from worker.agent.clip import storable

ABORTED: Final = frozenset(("aborted_streaming", "aborted_tools"))
_DETAIL: Final = 200
_LATER: Final = "Send your message again in a while."


@dataclass(frozen=True, slots=True)
class ResultSeen:
    """The end of one of the agent's turns.

    `usage` is this turn's; `total_cost_usd` is the session's so far, also across restarts unless the program was
    killed, and `last_cost_usd` is the part of it since the process's last result. `error` is a sentence
    for people, None when all went well. `origin` is set when no message of ours began the turn: the agent's
    background work did. `model` is the one that wrote most of it.
    """

    text: str
    subtype: str
    is_error: bool
    usage: Usage
    total_cost_usd: Decimal
    duration_s: float
    last_cost_usd: Decimal | None = None
    user_message_uuids: tuple[str, ...] = ()
    session_id: str = ""
    model: str | None = None
    terminal_reason: str | None = None
    api_error_status: int | None = None
    error: str | None = None
    origin: str | None = None

    def cost_since(self, seen_usd: Decimal) -> Decimal:
        """What was spent since the session's sum was `seen_usd`.

        A program that was killed had not kept its sum: the next one counts from less than was seen.
        """
        before = self.total_cost_usd - (self.last_cost_usd or Decimal(0))
        seen = seen_usd if self.last_cost_usd is None else min(seen_usd, before)
        return max(self.total_cost_usd - seen, Decimal(0))

    @property
    def is_aborted(self) -> bool:
        """Whether the turn was interrupted rather than ended by itself."""
        return self.terminal_reason in ABORTED or (
            self.terminal_reason is None and self.subtype == "error_during_execution"
        )


def read_result(line: Mapping[str, Any]) -> ResultSeen:
    """Read a result line; what is missing or malformed in it counts as nothing."""
    subtype = _text(line.get("subtype"))
    is_error = line.get("is_error") is True or subtype.startswith("error")
    text = _text(line.get("result"))
    status = line.get("api_error_status")
    status = status if isinstance(status, int) and not isinstance(status, bool) else None
    reason = _text(line.get("terminal_reason")) or None
    uuids = line.get("user_message_uuids")
    origin = line.get("origin")
    return ResultSeen(
        text="" if is_error else text,
        subtype=subtype,
        is_error=is_error,
        usage=read_usage(line.get("usage")),
        total_cost_usd=_money(line.get("total_cost_usd")),
        duration_s=_number(line.get("duration_ms")) / 1000,
        last_cost_usd=_last_cost(line.get("model_usage_since_last_result")),
        user_message_uuids=tuple(item for item in uuids if isinstance(item, str)) if isinstance(uuids, list) else (),
        session_id=_text(line.get("session_id")),
        model=_model(line),
        terminal_reason=reason,
        api_error_status=status,
        error=_words(subtype, reason, status, text) if is_error else None,
        origin=_text(origin.get("kind")) or None if isinstance(origin, Mapping) else None,
    )


def read_usage(usage: object) -> Usage:
    """The API's usage object as ours."""
    if not isinstance(usage, Mapping):
        return Usage()
    return Usage(
        input_tokens=_count(usage.get("input_tokens")),
        output_tokens=_count(usage.get("output_tokens")),
        cache_read_tokens=_count(usage.get("cache_read_input_tokens")),
        cache_write_tokens=_count(usage.get("cache_creation_input_tokens")),
    )


def _text(value: object) -> str:
    return storable(value) if isinstance(value, str) else ""


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
        return 0.0
    return float(value)


def _count(value: object) -> int:
    return int(_number(value))


def _money(value: object) -> Decimal:
    try:
        return Decimal(str(round(_number(value), 9)))
    except InvalidOperation:
        return Decimal(0)


def _last_cost(models: object) -> Decimal | None:
    if not isinstance(models, Mapping):
        return None
    return sum((_money(use.get("costUSD")) for use in models.values() if isinstance(use, Mapping)), Decimal(0))


def _model(line: Mapping[str, Any]) -> str | None:
    for name in ("model_usage_since_last_result", "modelUsage"):
        if isinstance(models := line.get(name), Mapping):
            written = {
                _text(model): _count(use.get("outputTokens"))
                for model, use in models.items()
                if isinstance(use, Mapping)
            }
            if written:
                return max(written, key=lambda model: written[model])
    return None


_BY_STATUS: Final = {
    401: "The model's API refused the credential (401). Whoever runs this must check the API key; "
    "then send your message again.",
    403: "The model's API refused the request (403). Whoever runs this must check what the API key may do.",
    404: "The model's API does not know this model (404). Choose another model for this thread.",
    413: "The request was too large for the model (413). Start a new thread, or ask for a smaller part.",
    429: "The model's API has had too many requests (429). Wait a minute, then send your message again.",
    529: "The model's API is overloaded (529) and did not answer after several tries. "
    "Send your message again in a while.",
}
_BY_SUBTYPE: Final = {
    "error_max_turns": "The agent reached the limit of steps for one turn. What it did is kept; tell it to go on.",
    "error_max_budget_usd": "This thread's budget is spent. What was done is kept; an admin can raise the budget.",
    "error_max_structured_output_retries": "The agent could not bring its answer into the form that was asked for.",
}
_TOO_LONG: Final = "The conversation grew too long for the model. Tell the agent to /compact, or start a new thread."
_BY_REASON: Final = {
    "prompt_too_long": _TOO_LONG,
    "blocking_limit": _TOO_LONG,
    "rapid_refill_breaker": _TOO_LONG,
    "image_error": "The model could not read a picture in the conversation. Send it smaller, or in another format.",
    "budget_exhausted": _BY_SUBTYPE["error_max_budget_usd"],
    "max_turns": _BY_SUBTYPE["error_max_turns"],
    "turn_setup_failed": "The agent could not begin the turn. Send your message again.",
    "malformed_tool_use_exhausted": "The model kept calling a tool in a wrong way, and the agent gave up. "
    "Try again, or word it differently.",
    "structured_output_retry_exhausted": _BY_SUBTYPE["error_max_structured_output_retries"],
    "hook_stopped": "A hook of the workspace stopped the agent.",
    "stop_hook_prevented": "A hook of the workspace stopped the agent.",
}


def _words(  # noqa: PLR0911 - one return per cause
    subtype: str, reason: str | None, status: int | None, text: str
) -> str:
    """One sentence for people about why a turn failed."""
    if reason in ABORTED:
        return "The agent was interrupted before it had finished. What it did until then is kept."
    if words := _BY_REASON.get(reason or "") or _BY_SUBTYPE.get(subtype):
        return words
    detail = _detail(text)
    if "credit balance" in detail.lower():
        return "The model's API says that the account has no credit left. Whoever runs this must top it up."
    if status is not None:
        said = f" It says: {detail}." if detail and status not in (401, 429, 529) else ""
        if status in _BY_STATUS:
            return _BY_STATUS[status] + said
        if status >= 500:
            return f"The model's API failed ({status}) and did not recover after several tries. {_LATER}"
        return f"The model's API refused the request ({status}).{said}"
    if reason in ("api_error", "model_error"):
        return (
            f"The model's API could not be reached or gave no usable answer{': ' + detail if detail else ''}. {_LATER}"
        )
    if subtype == "error_during_execution":
        return "The agent broke off before it had finished. What it did until then is kept; send your message again."
    return f"The agent could not finish{': ' + detail if detail else ''}."


def _detail(text: str) -> str:
    found = re.search(r'"message"\s*:\s*"((?:[^"\\]|\\.)*)"', text)
    line = " ".join((found[1] if found else re.sub(r"^API Error:\s*(\d{3}\s*)?", "", text)).split()).rstrip(".")
    return line if len(line) <= _DETAIL else line[: _DETAIL - 1] + "…"
