"""What people ask with buttons, forms, commands and shortcuts, as values. Pure: what is not understood is None.

Shapes: https://docs.slack.dev/reference/interaction-payloads. Buttons speak the language of
`core/surfaces/presses.py`; our forms carry what they are about in their `private_metadata`. Next: `answering.py`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import structlog

from bots.slack.parse import files_of
from core.domain.message import FileIn
from core.surfaces.presses import Press, Verb, decode

log = structlog.get_logger(__name__)
JSON = Mapping[str, Any]
ASK_ABOUT: Final = "ask_about_this"
FORM: Final = "tw:"
_MENUS: Final = frozenset({"static_select", "multi_static_select", "radio_buttons", "checkboxes"})


@dataclass(frozen=True, slots=True)
class Pressed:
    """A click on one of our buttons. `chosen`: what the menus of the post stand at, options by question."""

    team: str
    user: str
    channel: str
    thread: str
    press: Press
    trigger: str
    chosen: Mapping[int, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Submitted:
    """A form of ours, filled in. `about` is what it was opened with; `values` are texts, or options by question."""

    team: str
    user: str
    view: str
    form: str
    about: JSON
    texts: Mapping[str, str]
    chosen: Mapping[int, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Commanded:
    """A slash command."""

    team: str
    user: str
    channel: str
    text: str
    respond_to: str


@dataclass(frozen=True, slots=True)
class AskedAbout:
    """The shortcut of a message: ask the agent about this one."""

    team: str
    user: str
    channel: str
    ts: str
    thread: str
    text: str
    trigger: str
    by: str | None = None
    files: tuple[FileIn, ...] = ()


Asked = Pressed | Submitted | AskedAbout


def parse_interaction(body: JSON) -> Asked | None:
    """A click, a form or a shortcut; None for one that asks for nothing, or that is malformed."""
    try:
        match body["type"]:
            case "block_actions":
                return _pressed(body)
            case "view_submission":
                return _submitted(body)
            case "message_action" if body["callback_id"] == ASK_ABOUT:
                return _asked_about(body)
            case _:
                return None
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        log.warning("payload_not_understood", type=body.get("type"), why=repr(error))
        return None


def parse_command(body: JSON) -> Commanded | None:
    """A slash command; None for one that is malformed."""
    try:
        return Commanded(
            team=str(body["team_id"]),
            user=str(body["user_id"]),
            channel=str(body["channel_id"]),
            text=str(body.get("text") or "").strip(),
            respond_to=str(body["response_url"]),
        )
    except KeyError as error:
        log.warning("payload_not_understood", type="slash_command", why=repr(error))
        return None


def _pressed(body: JSON) -> Pressed | None:
    action = body["actions"][0]
    if action["type"] in _MENUS:
        # A choice counts when it is sent.
        return None
    option = (action.get("selected_option") or {}).get("value")
    press = decode(str(option or action["action_id"]))
    if press is None:
        return None
    container = body["container"]
    message_ts = str(container.get("message_ts") or "")
    return Pressed(
        team=team_of(body),
        user=str(body["user"]["id"]),
        channel=str(container.get("channel_id") or (body.get("channel") or {}).get("id") or ""),
        thread=str(container.get("thread_ts") or message_ts),
        press=press,
        trigger=str(body.get("trigger_id") or ""),
        chosen=_chosen((body.get("state") or {}).get("values") or {}, press.subject),
    )


def _submitted(body: JSON) -> Submitted | None:
    view = body["view"]
    if not str(view["callback_id"]).startswith(FORM):
        return None
    about = json.loads(view["private_metadata"])
    values: Mapping[str, Mapping[str, JSON]] = view["state"]["values"]
    texts = {
        block: str(element.get("value") or "").strip()
        for block, elements in values.items()
        for element in elements.values()
        if element["type"] == "plain_text_input"
    }
    subject = UUID(hex=about["approval"]) if "approval" in about else None
    before = {int(number): tuple(options) for number, options in (about.get("chosen") or {}).items()}
    return Submitted(
        team=team_of(body),
        user=str(body["user"]["id"]),
        view=str(view["id"]),
        form=str(view["callback_id"]),
        about=about,
        texts=texts,
        chosen=before | _chosen(values, subject),
    )


def _asked_about(body: JSON) -> AskedAbout:
    message = body["message"]
    ts = str(message["ts"])
    return AskedAbout(
        team=team_of(body),
        user=str(body["user"]["id"]),
        channel=str(body["channel"]["id"]),
        ts=ts,
        thread=str(message.get("thread_ts") or ts),
        text=str(message.get("text") or ""),
        trigger=str(body["trigger_id"]),
        by=message.get("user"),
        files=files_of(message),
    )


def _chosen(values: Mapping[str, Mapping[str, JSON]], subject: UUID | None) -> dict[int, tuple[int, ...]]:
    """The options chosen in menus about one approval, by question; menus left alone are not in it."""
    found: dict[int, list[int]] = {}
    for elements in values.values():
        for element in elements.values():
            options = element.get("selected_options") or [element.get("selected_option")]
            for option in options:
                press = decode(str((option or {}).get("value") or ""))
                if press is None or press.verb is not Verb.ANSWER or press.subject != subject:
                    continue
                if press.question is not None and press.option is not None:
                    found.setdefault(press.question, []).append(press.option)
    return {question: tuple(sorted(options)) for question, options in found.items()}


def team_of(body: JSON) -> str:
    """The workspace that the app acts in; somebody from another may be asking, in a channel they share."""
    return str((body.get("team") or {}).get("id") or body["user"]["team_id"])
