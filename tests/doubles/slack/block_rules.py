"""Block Kit's limits, as https://docs.slack.dev/reference/block-kit gives them, and the unwritten one on all texts.

`check_blocks` raises what Slack would answer; the words name the place. `page_blocks.py` draws what passed.
"""

from collections.abc import Iterator
from typing import Literal

from tests.doubles.slack.element_rules import check_element, check_object, field_name
from tests.doubles.slack.errors import SlackError
from tests.doubles.slack.record import JSON
from tests.doubles.slack.store import texts_of

Surface = Literal["message", "modal", "home"]
MARKDOWN_TOTAL = 12_000
# Reported, not documented: https://github.com/slackapi/bolt-js/issues/2509
ALL_TEXT = 13_200
_TYPES: dict[Surface, frozenset[str]] = {
    "message": frozenset(
        [
            "actions",
            "context",
            "context_actions",
            "divider",
            "file",
            "header",
            "image",
            "input",
            "markdown",
            "plan",
            "rich_text",
            "section",
            "table",
            "task_card",
            "video",
        ]
    ),
    "modal": frozenset(["actions", "context", "divider", "header", "image", "input", "rich_text", "section", "video"]),
    "home": frozenset(["actions", "context", "divider", "header", "image", "input", "rich_text", "section", "video"]),
}
_MOST = {"message": 50, "modal": 100, "home": 100}


def check_blocks(blocks: object, surface: Surface = "message") -> list[JSON]:
    """The blocks, if Slack would take them.

    Raises SlackError with invalid_blocks, invalid_blocks_format or msg_blocks_too_long.
    """
    if not isinstance(blocks, list) or any(not isinstance(one, dict) for one in blocks):
        raise SlackError("invalid_blocks_format")
    errors = list(_errors(blocks, surface))
    if errors:
        raise SlackError("invalid_blocks", *errors)
    if surface == "message":
        if sum(len(one["text"]) for one in blocks if one["type"] == "markdown") > MARKDOWN_TOTAL:
            raise SlackError("msg_blocks_too_long", f"markdown blocks hold more than {MARKDOWN_TOTAL} together")
        if (total := sum(map(len, texts_of(blocks)))) > ALL_TEXT:
            raise SlackError("msg_blocks_too_long", f"{total} characters in all blocks")
    return blocks


def _errors(blocks: list[JSON], surface: Surface) -> Iterator[str]:
    if len(blocks) > _MOST[surface]:
        yield f"no more than {_MOST[surface]} items allowed [json-pointer:/blocks]"
    seen_ids: set[str] = set()
    for index, block in enumerate(blocks):
        at = f"/blocks/{index}"
        kind = block.get("type")
        if kind not in _TYPES[surface]:
            yield f"unsupported type: {kind} [json-pointer:{at}/type]"
            continue
        if (block_id := block.get("block_id")) is not None:
            if not isinstance(block_id, str) or not 1 <= len(block_id) <= 255:
                yield f"block_id must be 1 to 255 characters [json-pointer:{at}/block_id]"
            elif block_id in seen_ids:
                yield f"`block_id` {block_id} already exists [json-pointer:{at}/block_id]"
            seen_ids.add(str(block_id))
        check = _CHECKS.get(str(kind))
        if check is not None:
            yield from check(block, at)
        yield from _duplicate_actions(block, at)
    if sum(1 for one in blocks if one.get("type") == "table") > 1:
        yield "only_one_table_allowed [json-pointer:/blocks]"


def _duplicate_actions(block: JSON, at: str) -> Iterator[str]:
    elements = block.get("elements", []) if block.get("type") in {"actions", "context_actions"} else []
    ids = [str(one["action_id"]) for one in elements if isinstance(one, dict) and one.get("action_id")]
    for repeated in sorted({one for one in ids if ids.count(one) > 1}):
        yield f"`action_id` {repeated} already exists [json-pointer:{at}/elements]"


def _section(block: JSON, at: str) -> Iterator[str]:
    if "text" not in block and "fields" not in block:
        yield f"missing required field: text [json-pointer:{at}]"
    if "text" in block:
        yield from check_object(block["text"], f"{at}/text", 3000)
    fields = block.get("fields", [])
    if len(fields) > 10:
        yield f"no more than 10 items allowed [json-pointer:{at}/fields]"
    for index, one in enumerate(fields):
        yield from check_object(one, f"{at}/fields/{index}", 2000)
    if "accessory" in block:
        yield from check_element(block["accessory"], f"{at}/accessory")


def _actions(block: JSON, at: str) -> Iterator[str]:
    elements = block.get("elements")
    most = 5 if block["type"] == "context_actions" else 25
    if not isinstance(elements, list) or not 1 <= len(elements) <= most:
        yield f"must have 1 to {most} items [json-pointer:{at}/elements]"
        return
    for index, one in enumerate(elements):
        yield from check_element(one, f"{at}/elements/{index}")


def _context(block: JSON, at: str) -> Iterator[str]:
    elements = block.get("elements")
    if not isinstance(elements, list) or not 1 <= len(elements) <= 10:
        yield f"must have 1 to 10 items [json-pointer:{at}/elements]"
        return
    for index, one in enumerate(elements):
        if one.get("type") == "image":
            yield from _image(one, f"{at}/elements/{index}")
        else:
            # The docs give no limit for texts in a context; those of a section are not exceeded there.
            yield from check_object(one, f"{at}/elements/{index}", 3000)


def _header(block: JSON, at: str) -> Iterator[str]:
    yield from check_object(block.get("text"), f"{at}/text", 150, kinds=("plain_text",))


def _image(block: JSON, at: str) -> Iterator[str]:
    if not block.get("alt_text") or len(block["alt_text"]) > 2000:
        yield f"alt_text must be 1 to 2000 characters [json-pointer:{at}/alt_text]"
    if not block.get("image_url") and not block.get("slack_file"):
        yield f"missing required field: image_url [json-pointer:{at}]"
    if len(block.get("image_url") or "") > 3000:
        yield f"must be less than 3001 characters [json-pointer:{at}/image_url]"


def _markdown(block: JSON, at: str) -> Iterator[str]:
    text = block.get("text")
    if not isinstance(text, str) or not text.strip():
        yield f"missing required field: text [json-pointer:{at}]"
    elif len(text) > MARKDOWN_TOTAL:
        yield f"must be less than {MARKDOWN_TOTAL + 1} characters [json-pointer:{at}/text]"


def _input(block: JSON, at: str) -> Iterator[str]:
    yield from check_object(block.get("label"), f"{at}/label", 2000, kinds=("plain_text",))
    if "hint" in block:
        yield from check_object(block["hint"], f"{at}/hint", 2000, kinds=("plain_text",))
    yield from check_element(block.get("element"), f"{at}/element")


def _table(block: JSON, at: str) -> Iterator[str]:
    rows = block.get("rows")
    if not isinstance(rows, list) or not 1 <= len(rows) <= 100:
        yield f"must have 1 to 100 rows [json-pointer:{at}/rows]"
        return
    if any(not isinstance(row, list) or not 1 <= len(row) <= 20 for row in rows):
        yield f"must have 1 to 20 cells in each row [json-pointer:{at}/rows]"
    elif any(cell.get("type") not in {"raw_text", "raw_number", "rich_text"} for row in rows for cell in row):
        yield f"cells must be raw_text or rich_text [json-pointer:{at}/rows]"
    elif any(cell.get("type") == "raw_text" and not cell.get("text") for row in rows for cell in row):
        yield f"cells must hold at least 1 character [json-pointer:{at}/rows]"
    if sum(map(len, texts_of(rows))) > 10_000:
        yield f"must be less than 10001 characters [json-pointer:{at}/rows]"
    if len(block.get("column_settings", [])) > 20:
        yield f"no more than 20 items allowed [json-pointer:{at}/column_settings]"


def _rich_text(block: JSON, at: str) -> Iterator[str]:
    kinds = {"rich_text_section", "rich_text_list", "rich_text_preformatted", "rich_text_quote"}
    for index, one in enumerate(block.get("elements", [])):
        if one.get("type") not in kinds:
            yield f"unsupported type: {one.get('type')} [json-pointer:{at}/elements/{index}/type]"
    if "elements" not in block:
        yield f"missing required field: elements [json-pointer:{at}]"


_CHECKS = {
    "actions": _actions,
    "context": _context,
    "context_actions": _actions,
    "header": _header,
    "image": _image,
    "input": _input,
    "markdown": _markdown,
    "rich_text": _rich_text,
    "section": _section,
    "table": _table,
}


def check_view(view: object) -> JSON:
    """A modal or home view, if Slack would take it. Raises SlackError with invalid_arguments."""
    if not isinstance(view, dict) or view.get("type") not in {"modal", "home"}:
        raise SlackError("invalid_arguments", "view.type must be modal or home [json-pointer:/view/type]")
    errors: list[str] = []
    kind: Surface = view["type"]
    if kind == "modal":
        errors += check_object(view.get("title"), "/view/title", 24, kinds=("plain_text",))
        for name in ("submit", "close"):
            if name in view:
                errors += check_object(view[name], f"/view/{name}", 24, kinds=("plain_text",))
        has_input = any(one.get("type") == "input" for one in view.get("blocks", []))
        if has_input and "submit" not in view:
            errors.append("missing required field: submit [json-pointer:/view]")
    limits = {"private_metadata": 3000, "callback_id": 255, "external_id": 255}
    for name, most in limits.items():
        if len(view.get(name) or "") > most:
            errors.append(f"must be less than {most + 1} characters [json-pointer:/view/{name}]")
    if not isinstance(view.get("blocks"), list) or not all(isinstance(one, dict) for one in view["blocks"]):
        errors.append("missing required field: blocks [json-pointer:/view]")
    else:
        errors += [one.replace("json-pointer:", "json-pointer:/view") for one in _errors(view["blocks"], kind)]
    names = [
        field_name(one) for one in view.get("blocks") or [] if isinstance(one, dict) and one.get("type") == "input"
    ]
    if len(names) != len(set(names)):
        errors.append("two inputs have the same block_id and action_id [json-pointer:/view/blocks]")
    if errors:
        raise SlackError("invalid_arguments", *errors)
    return view
