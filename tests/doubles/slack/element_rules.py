"""Limits of text objects, buttons, selects and inputs, the small parts of Block Kit. Used by `block_rules.py`."""

from collections.abc import Callable, Iterator
from typing import Any

from tests.doubles.slack.record import JSON

_SELECTS = frozenset(
    f"{many}{kind}_select"
    for many in ("", "multi_")
    for kind in ("static", "external", "users", "conversations", "channels")
)


def check_object(value: Any, at: str, most: int, *, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")) -> Iterator[str]:
    """Complaints about a text object."""
    if not isinstance(value, dict) or value.get("type") not in kinds:
        yield f"must be a text object of {' or '.join(kinds)} [json-pointer:{at}]"
        return
    text = value.get("text")
    if not isinstance(text, str) or not text:
        yield f"must be more than 0 characters [json-pointer:{at}/text]"
    elif len(text) > most:
        yield f"must be less than {most + 1} characters [json-pointer:{at}/text]"
    if "emoji" in value and value["type"] == "mrkdwn":
        yield f"emoji is for plain_text only [json-pointer:{at}/emoji]"


def field_name(block: JSON) -> tuple[str | None, str | None]:
    """What tells an input from the others."""
    element = block.get("element")
    return block.get("block_id"), element.get("action_id") if isinstance(element, dict) else None


def _long(value: Any, most: int, at: str) -> Iterator[str]:
    if value is not None and (not isinstance(value, str) or len(value) > most):
        yield f"must be less than {most + 1} characters [json-pointer:{at}]"


def check_element(element: Any, at: str) -> Iterator[str]:
    """Complaints about an interactive element or an image."""
    if not isinstance(element, dict):
        yield f"must be an element [json-pointer:{at}]"
        return
    kind = str(element.get("type"))
    check = _CHECKS.get(kind) or (_select if kind in _SELECTS else None)
    if check is None:
        if kind not in _UNCHECKED:
            yield f"unsupported type: {kind} [json-pointer:{at}/type]"
        return
    if kind != "image":
        yield from _long(element.get("action_id"), 255, f"{at}/action_id")
        if element.get("action_id") == "":
            yield f"must be more than 0 characters [json-pointer:{at}/action_id]"
    if "confirm" in element:
        yield from _confirm(element["confirm"], f"{at}/confirm")
    yield from check(element, at)


def _confirm(value: JSON, at: str) -> Iterator[str]:
    yield from check_object(value.get("title"), f"{at}/title", 100, kinds=("plain_text",))
    yield from check_object(value.get("text"), f"{at}/text", 300)
    yield from check_object(value.get("confirm"), f"{at}/confirm", 30, kinds=("plain_text",))
    yield from check_object(value.get("deny"), f"{at}/deny", 30, kinds=("plain_text",))


def _button(element: JSON, at: str) -> Iterator[str]:
    yield from check_object(element.get("text"), f"{at}/text", 75, kinds=("plain_text",))
    yield from _long(element.get("value"), 2000, f"{at}/value")
    yield from _long(element.get("url"), 3000, f"{at}/url")
    yield from _long(element.get("accessibility_label"), 75, f"{at}/accessibility_label")
    if element.get("style") not in {None, "primary", "danger"}:
        yield f"must be primary or danger [json-pointer:{at}/style]"


def _options(element: JSON, at: str, most: int, least: int = 1) -> Iterator[str]:
    options = element.get("options")
    if not isinstance(options, list) or not least <= len(options) <= most:
        yield f"must have {least} to {most} items [json-pointer:{at}/options]"
        return
    values = [one.get("value") for one in options]
    if len(values) != len(set(values)):
        yield f"two options have the same value [json-pointer:{at}/options]"
    for index, one in enumerate(options):
        place = f"{at}/options/{index}"
        yield from check_object(one.get("text"), f"{place}/text", 75)
        if not isinstance(one.get("value"), str):
            yield f"missing required field: value [json-pointer:{place}]"
        yield from _long(one.get("value"), 150, f"{place}/value")
        if "description" in one:
            yield from check_object(one["description"], f"{place}/description", 75)


def _select(element: JSON, at: str) -> Iterator[str]:
    if "placeholder" in element:
        yield from check_object(element["placeholder"], f"{at}/placeholder", 150, kinds=("plain_text",))
    if element["type"] in {"static_select", "multi_static_select"} and "option_groups" not in element:
        yield from _options(element, at, 100)


def _overflow(element: JSON, at: str) -> Iterator[str]:
    yield from _options(element, at, 5)


def _few(element: JSON, at: str) -> Iterator[str]:
    yield from _options(element, at, 10)


def _text_input(element: JSON, at: str) -> Iterator[str]:
    if "placeholder" in element:
        yield from check_object(element["placeholder"], f"{at}/placeholder", 150, kinds=("plain_text",))
    for name in ("min_length", "max_length"):
        if not 0 <= int(element.get(name, 0)) <= 3000:
            yield f"must be 0 to 3000 [json-pointer:{at}/{name}]"
    yield from _long(element.get("initial_value"), int(element.get("max_length", 3000)), f"{at}/initial_value")


def _picture(element: JSON, at: str) -> Iterator[str]:
    if not element.get("alt_text"):
        yield f"missing required field: alt_text [json-pointer:{at}]"
    if not element.get("image_url") and not element.get("slack_file"):
        yield f"missing required field: image_url [json-pointer:{at}]"


def _feedback(element: JSON, at: str) -> Iterator[str]:
    for name in ("positive_button", "negative_button"):
        button = element.get(name)
        if not isinstance(button, dict):
            yield f"missing required field: {name} [json-pointer:{at}]"
        else:
            yield from check_object(button.get("text"), f"{at}/{name}/text", 75, kinds=("plain_text",))
            yield from _long(button.get("value"), 2000, f"{at}/{name}/value")


_UNCHECKED = frozenset(
    [
        "datepicker",
        "datetimepicker",
        "timepicker",
        "email_text_input",
        "number_input",
        "url_text_input",
        "rich_text_input",
        "file_input",
        "icon_button",
        "workflow_button",
    ]
)
_CHECKS: dict[str, Callable[[JSON, str], Iterator[str]]] = {
    "button": _button,
    "checkboxes": _few,
    "feedback_buttons": _feedback,
    "image": _picture,
    "overflow": _overflow,
    "plain_text_input": _text_input,
    "radio_buttons": _few,
}
