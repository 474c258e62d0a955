"""The rules of buttons, selects, layouts and modals, as https://docs.discord.com/developers/components/reference has them.

Each check adds a `Problem` and goes on, so that one refusal names every mistake. `content_rules.py` calls this for messages.
"""

from collections.abc import Callable
from typing import Any

from tests.doubles.discord.errors import Problem
from tests.doubles.discord.world import JSON, walk

ROW, BUTTON, SELECT, INPUT, SECTION, TEXT, THUMBNAIL, GALLERY, FILE, SEPARATOR, CONTAINER, LABEL = (
    1, 2, 3, 4, 9, 10, 11, 12, 13, 14, 17, 18,
)  # fmt: skip
UPLOAD, RADIO, CHECKBOXES, CHECKBOX = 19, 21, 22, 23
SELECTS = {3, 5, 6, 7, 8}
_TOP_V2 = {ROW, SECTION, TEXT, GALLERY, FILE, SEPARATOR, CONTAINER}
_IN_CONTAINER = _TOP_V2 - {CONTAINER}
_MOST = 40  # components of a V2 message, the nested ones included
_MOST_TEXT = 4000  # characters of all text displays together


class Checks:
    """Collects problems under a path."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, path: tuple[str, ...], code: str, message: str) -> None:
        self.problems.append(Problem(path, code, message))

    def length(self, path: tuple[str, ...], value: Any, most: int, *, least: int = 0, required: bool = False) -> None:
        """A text field: absent is fine unless required."""
        if value is None:
            if required:
                self.add(path, "BASE_TYPE_REQUIRED", "This field is required")
        elif not isinstance(value, str):
            self.add(path, "STRING_TYPE_CONVERT", "Could not interpret the value as string.")
        elif not least <= len(value) <= most:
            self.add(path, "BASE_TYPE_BAD_LENGTH", f"Must be between {least} and {most} in length.")

    def count(self, path: tuple[str, ...], value: Any, least: int, most: int) -> list[Any]:
        rows = value if isinstance(value, list) else []
        if not least <= len(rows) <= most:
            self.add(path, "BASE_TYPE_BAD_LENGTH", f"Must be between {least} and {most} in length.")
        return rows


def check_components(components: Any, *, v2: bool) -> list[Problem]:
    """Problems of a message's components."""
    checks = Checks()
    path = ("components",)
    rows = checks.count(path, components, 0, _MOST if v2 else 5)
    for index, component in enumerate(rows):
        kind = component.get("type")
        here = (*path, str(index))
        if kind not in (_TOP_V2 if v2 else {ROW}):
            checks.add(
                (*here, "type"),
                "UNION_TYPE_CHOICES",
                f"Value of field type must be one of the top-level types, not {kind}.",
            )
            continue
        _component(checks, here, component)
    _whole(checks, rows, v2=v2)
    return checks.problems


def _whole(checks: Checks, rows: list[JSON], *, v2: bool) -> None:
    path = ("components",)
    every = list(walk(rows))
    custom_ids = [part["custom_id"] for part in every if part.get("custom_id")]
    for custom_id in {one for one in custom_ids if custom_ids.count(one) > 1}:
        checks.add(path, "COMPONENT_CUSTOM_ID_DUPLICATED", f"Component custom id cannot be duplicated: {custom_id}")
    numbers = [part["id"] for part in every if part.get("id")]
    if len(numbers) != len(set(numbers)):
        checks.add(path, "COMPONENT_ID_DUPLICATED", "Component id cannot be duplicated")
    if v2 and len(every) > _MOST:
        checks.add(path, "BASE_TYPE_MAX_LENGTH", f"Must be {_MOST} or fewer components, nested ones included.")
    if v2 and sum(len(str(part.get("content", ""))) for part in every if part.get("type") == TEXT) > _MOST_TEXT:
        checks.add(path, "COMPONENT_MAX_TEXT", f"All text displays together must be {_MOST_TEXT} or fewer in length.")


def _component(checks: Checks, path: tuple[str, ...], component: JSON) -> None:
    kind = component.get("type")
    check = _CHECKS.get(kind) if isinstance(kind, int) else None
    if check is None:
        checks.add((*path, "type"), "BASE_TYPE_CHOICES", f"Unknown component type {kind}.")
    else:
        check(checks, path, component)


def _children(
    checks: Checks, path: tuple[str, ...], rows: Any, allowed: set[int], *, least: int = 1, most: int
) -> None:
    for index, child in enumerate(checks.count((*path, "components"), rows, least, most)):
        here = (*path, "components", str(index))
        if child.get("type") not in allowed:
            checks.add((*here, "type"), "UNION_TYPE_CHOICES", f"Component type {child.get('type')} may not stand here.")
        else:
            _component(checks, here, child)


def _row(checks: Checks, path: tuple[str, ...], row: JSON) -> None:
    children = row.get("components") or []
    kinds = {child.get("type") for child in children}
    if kinds & SELECTS:
        _children(checks, path, children, SELECTS, most=1)
    else:
        _children(checks, path, children, {BUTTON, INPUT}, most=1 if INPUT in kinds else 5)


def _button(checks: Checks, path: tuple[str, ...], button: JSON) -> None:
    style = button.get("style")
    checks.length((*path, "label"), button.get("label"), 80)
    if not button.get("label") and not button.get("emoji") and style != 6:
        checks.add((*path, "label"), "BUTTON_COMPONENT_INVALID", "A button needs a label or an emoji.")
    if style in {1, 2, 3, 4}:
        checks.length((*path, "custom_id"), button.get("custom_id"), 100, least=1, required=True)
        if button.get("url"):
            checks.add(
                (*path, "url"), "BUTTON_COMPONENT_CUSTOM_ID_AND_URL", "A button cannot have both a custom id and a url."
            )
    elif style == 5:
        checks.length((*path, "url"), button.get("url"), 512, least=1, required=True)
        if button.get("custom_id"):
            checks.add(
                (*path, "custom_id"), "BUTTON_COMPONENT_CUSTOM_ID_AND_URL", "A link button cannot have a custom id."
            )
    elif style != 6:
        checks.add((*path, "style"), "BASE_TYPE_CHOICES", "Value must be one of (1, 2, 3, 4, 5, 6).")


def _select(checks: Checks, path: tuple[str, ...], select: JSON) -> None:
    checks.length((*path, "custom_id"), select.get("custom_id"), 100, least=1, required=True)
    checks.length((*path, "placeholder"), select.get("placeholder"), 150)
    least, most = select.get("min_values", 1), select.get("max_values", 1)
    if not 0 <= least <= 25 or not 1 <= most <= 25 or least > most:
        checks.add((*path, "max_values"), "NUMBER_TYPE_MAX", "min_values and max_values must lie in 0-25, in order.")
    if select["type"] == SELECT:
        _options(checks, path, select, 25)
        if most > len(select.get("options") or []):
            checks.add((*path, "max_values"), "SELECT_COMPONENT_MAX_VALUES", "max_values is larger than the options.")


def _options(checks: Checks, path: tuple[str, ...], owner: JSON, most: int, *, least: int = 1) -> None:
    options = checks.count((*path, "options"), owner.get("options"), least, most)
    for index, option in enumerate(options):
        here = (*path, "options", str(index))
        checks.length((*here, "label"), option.get("label"), 100, least=1, required=True)
        checks.length((*here, "value"), option.get("value"), 100, least=1, required=True)
        checks.length((*here, "description"), option.get("description"), 100)
    values = [option.get("value") for option in options]
    if len(values) != len(set(values)):
        checks.add(
            (*path, "options"), "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED", "The specified option value is already used"
        )


def _section(checks: Checks, path: tuple[str, ...], section: JSON) -> None:
    _children(checks, path, section.get("components"), {TEXT}, most=3)
    accessory = section.get("accessory")
    if not isinstance(accessory, dict) or accessory.get("type") not in {BUTTON, THUMBNAIL}:
        checks.add((*path, "accessory"), "BASE_TYPE_REQUIRED", "A section needs a button or a thumbnail beside it.")
    else:
        _component(checks, (*path, "accessory"), accessory)


def _text(checks: Checks, path: tuple[str, ...], text: JSON) -> None:
    checks.length((*path, "content"), text.get("content"), _MOST_TEXT, least=1, required=True)


def _media(checks: Checks, path: tuple[str, ...], media: Any, *, attachment_only: bool = False) -> None:
    url = media.get("url") if isinstance(media, dict) else None
    schemes = ("attachment://",) if attachment_only else ("attachment://", "http://", "https://")
    if not isinstance(url, str) or not url.startswith(schemes):
        checks.add((*path, "url"), "URL_TYPE_INVALID_SCHEME", f"Scheme must be one of {schemes}.")


def _gallery(checks: Checks, path: tuple[str, ...], gallery: JSON) -> None:
    for index, item in enumerate(checks.count((*path, "items"), gallery.get("items"), 1, 10)):
        _media(checks, (*path, "items", str(index), "media"), item.get("media"))
        checks.length((*path, "items", str(index), "description"), item.get("description"), 1024)


def _thumbnail(checks: Checks, path: tuple[str, ...], thumbnail: JSON) -> None:
    _media(checks, (*path, "media"), thumbnail.get("media"))


def _file(checks: Checks, path: tuple[str, ...], file: JSON) -> None:
    _media(checks, (*path, "file"), file.get("file"), attachment_only=True)


def _separator(checks: Checks, path: tuple[str, ...], separator: JSON) -> None:
    if separator.get("spacing", 1) not in {1, 2}:
        checks.add((*path, "spacing"), "BASE_TYPE_CHOICES", "Value must be one of (1, 2).")


def _container(checks: Checks, path: tuple[str, ...], container: JSON) -> None:
    _children(checks, path, container.get("components"), _IN_CONTAINER, most=_MOST)
    colour = container.get("accent_color")
    if colour is not None and not 0 <= colour <= 0xFFFFFF:
        checks.add((*path, "accent_color"), "NUMBER_TYPE_MAX", "int value should be less than or equal to 16777215.")


def _input(checks: Checks, path: tuple[str, ...], field: JSON) -> None:
    checks.length((*path, "custom_id"), field.get("custom_id"), 100, least=1, required=True)
    checks.length((*path, "label"), field.get("label"), 45)
    checks.length((*path, "placeholder"), field.get("placeholder"), 100)
    checks.length((*path, "value"), field.get("value"), 4000)
    if field.get("style") not in {1, 2}:
        checks.add((*path, "style"), "BASE_TYPE_CHOICES", "Value must be one of (1, 2).")
    if not 0 <= (field.get("min_length") or 0) <= 4000 or not 1 <= (field.get("max_length") or 4000) <= 4000:
        checks.add((*path, "max_length"), "NUMBER_TYPE_MAX", "Lengths must be 4000 or less.")


def _label(checks: Checks, path: tuple[str, ...], label: JSON) -> None:
    checks.length((*path, "label"), label.get("label"), 45, least=1, required=True)
    checks.length((*path, "description"), label.get("description"), 100)
    inner = label.get("component")
    if not isinstance(inner, dict) or inner.get("type") not in {INPUT, UPLOAD, RADIO, CHECKBOXES, CHECKBOX} | SELECTS:
        checks.add((*path, "component"), "BASE_TYPE_REQUIRED", "A label needs an input.")
    else:
        _component(checks, (*path, "component"), inner)


def _choice(checks: Checks, path: tuple[str, ...], group: JSON) -> None:
    checks.length((*path, "custom_id"), group.get("custom_id"), 100, least=1, required=True)
    if group["type"] != CHECKBOX:
        _options(checks, path, group, 10, least=2 if group["type"] == RADIO else 1)


def _upload(checks: Checks, path: tuple[str, ...], upload: JSON) -> None:
    checks.length((*path, "custom_id"), upload.get("custom_id"), 100, least=1, required=True)
    if not 0 <= upload.get("min_values", 1) <= 10 or not 1 <= upload.get("max_values", 1) <= 10:
        checks.add((*path, "max_values"), "NUMBER_TYPE_MAX", "0 to 10 files.")


_CHECKS: dict[int, Callable[[Checks, tuple[str, ...], JSON], None]] = {
    ROW: _row, BUTTON: _button, INPUT: _input, SECTION: _section, TEXT: _text, THUMBNAIL: _thumbnail,
    GALLERY: _gallery, FILE: _file, SEPARATOR: _separator, CONTAINER: _container, LABEL: _label, UPLOAD: _upload,
    RADIO: _choice, CHECKBOXES: _choice, CHECKBOX: _choice, **dict.fromkeys(SELECTS, _select),
}  # fmt: skip


def check_modal(modal: JSON) -> list[Problem]:
    """Problems of a modal that answers an interaction."""
    checks = Checks()
    path = ("data",)
    checks.length((*path, "title"), modal.get("title"), 45, least=1, required=True)
    checks.length((*path, "custom_id"), modal.get("custom_id"), 100, least=1, required=True)
    rows = checks.count((*path, "components"), modal.get("components"), 1, 5)
    for index, component in enumerate(rows):
        here = (*path, "components", str(index))
        if component.get("type") not in {ROW, TEXT, LABEL}:
            checks.add(
                (*here, "type"), "UNION_TYPE_CHOICES", "A modal holds labels, text displays and rows of one input."
            )
        else:
            _component(checks, here, component)
    _whole(checks, rows, v2=False)
    return checks.problems
