"""Interactive elements as a person uses them: finding one, and what is sent when it is used or a form is submitted."""

from collections.abc import Mapping
from typing import Any

from tests.doubles.slack.errors import CannotDo
from tests.doubles.slack.store import JSON, interactive

_KEYS = {
    "users_select": "selected_user",
    "conversations_select": "selected_conversation",
    "channels_select": "selected_channel",
    "datepicker": "selected_date",
    "timepicker": "selected_time",
}


def find_element(elements: list[JSON], action: str) -> JSON:
    """The element with this action_id, or else value, label or option. Raises CannotDo and names what is there."""
    for name in ("action_id", "value"):
        for one in elements:
            if one.get(name) == action:
                return one
    for one in elements:
        if (one.get("text") or {}).get("text") == action:
            return one
        if one["type"] == "feedback_buttons" and action in _feedback(one):
            return one
        if any(action in {option["value"], option["text"]["text"]} for option in options_of(one)):
            return one
    known = [f"{one.get('action_id')} ({(one.get('text') or {}).get('text', one['type'])})" for one in elements]
    raise CannotDo(f"there is no {action!r} to click; there is: {', '.join(known) or 'nothing'}")


def _feedback(element: JSON) -> list[str]:
    buttons = [element["positive_button"], element["negative_button"]]
    return [one["text"]["text"] for one in buttons] + [one.get("value", "") for one in buttons]


def options_of(element: JSON) -> list[JSON]:
    rows = list(element.get("options") or [])
    return rows + [one for group in element.get("option_groups") or [] for one in group["options"]]


def value_of(element: JSON, value: str | list[str]) -> JSON:
    """What an element holds after it was used."""
    kind = element["type"]
    if kind == "button":
        return {name: element[name] for name in ("text", "value", "style", "url") if name in element}
    if kind == "feedback_buttons":
        buttons = (element["positive_button"], element["negative_button"])
        one = next(one for one in buttons if value in {one["text"]["text"], one.get("value")})
        return {"text": one["text"], "value": one.get("value")}
    if kind in {"checkboxes", "multi_static_select"}:
        wanted = [value] if isinstance(value, str) else value
        return {"selected_options": [_option(element, one) for one in wanted]}
    if kind in _KEYS:
        return {_KEYS[kind]: value}
    if kind.startswith("multi_"):
        return {f"selected_{kind.split('_')[1]}": value if isinstance(value, list) else [value]}
    if options_of(element):
        assert isinstance(value, str)
        return {"selected_option": _option(element, value)}
    return {"value": value}


def _option(element: JSON, value: str) -> JSON:
    for one in options_of(element):
        if value in {one["value"], one["text"]["text"]}:
            return one
    raise CannotDo(f"no option {value!r} in {[one['value'] for one in options_of(element)]}")


def _first(element: JSON) -> JSON:
    """What an element holds before anyone touched it."""
    for name, key in (
        ("initial_option", "selected_option"),
        ("initial_options", "selected_options"),
        ("initial_user", "selected_user"),
        ("initial_value", "value"),
    ):
        if name in element:
            return {key: element[name]}
    if element["type"] in {"checkboxes", "multi_static_select"}:
        return {"selected_options": []}
    if element["type"] in {"static_select", "radio_buttons", "external_select"}:
        return {"selected_option": None}
    return {_KEYS.get(element["type"], "value"): None}


def state_of(blocks: list[JSON], given: Mapping[str, Any], chosen: Mapping[str, JSON]) -> JSON:
    """`state.values` of a message or view. Raises CannotDo for names that are not there and required ones left out."""
    values: JSON = {}
    left = dict(given)
    for block in blocks:
        for element in interactive(block):
            if element["type"] in {"button", "overflow", "feedback_buttons", "icon_button"}:
                continue
            name = next((one for one in (element["block_id"], element["action_id"]) if one in left), None)
            if name is not None:
                held = value_of(element, left.pop(name))
                _fits(element, held)
            elif element["action_id"] in chosen:
                skipped = {"action_id", "block_id", "type", "action_ts"}
                held = {key: one for key, one in chosen[element["action_id"]].items() if key not in skipped}
            else:
                held = _first(element)
            is_required = block["type"] == "input" and not block.get("optional")
            if given and is_required and not any(held.values()):
                raise CannotDo(f"{element['action_id']} must be filled in")
            values.setdefault(element["block_id"], {})[element["action_id"]] = {"type": element["type"], **held}
    if left:
        raise CannotDo(f"no such inputs: {sorted(left)}; there is {values}")
    return values


def _fits(element: JSON, held: JSON) -> None:
    text = held.get("value")
    if isinstance(text, str) and not int(element.get("min_length", 0)) <= len(text) <= int(
        element.get("max_length", 3000)
    ):
        raise CannotDo(f"{element['action_id']} does not take {len(text)} characters")
