"""Block Kit as HTML, in Slack's look: the very blocks the program sent. Used by `page.py`; texts are in `page_text.py`."""

import html
from typing import Any

from tests.doubles.slack.page_text import emoji, markdown, mrkdwn, plain
from tests.doubles.slack.store import JSON, Team

_STATUS = {"pending": "○", "in_progress": "◐", "complete": "✓", "error": "✕"}


class Drawing:
    """Draws blocks of one message or view. `target` is what a click names: "ts" of a message or "view" with an id."""

    def __init__(self, team: Team, target: JSON) -> None:
        self.team = team
        self._target = "".join(f' data-{name}="{html.escape(str(value))}"' for name, value in target.items())

    def blocks(self, blocks: list[JSON]) -> str:
        return "".join(self.block(one) for one in blocks)

    def block(self, block: JSON) -> str:
        draw = getattr(self, f"_draw_{block['type']}", None)
        return draw(block) if draw else f'<div class="unknown">[{html.escape(str(block["type"]))}]</div>'

    def text(self, value: JSON | None) -> str:
        if not value:
            return ""
        if value["type"] == "mrkdwn":
            return mrkdwn(value["text"], self.team)
        return plain(value["text"])

    # -- blocks ------------------------------------------------------------------------------------------------

    def _draw_section(self, block: JSON) -> str:
        fields = "".join(f"<div>{self.text(one)}</div>" for one in block.get("fields", []))
        grid = f'<div class="fields">{fields}</div>' if fields else ""
        side = f'<div class="side">{self.element(block["accessory"])}</div>' if block.get("accessory") else ""
        return f'<div class="section"><div class="grow">{self.text(block.get("text"))}{grid}</div>{side}</div>'

    def _draw_markdown(self, block: JSON) -> str:
        return f'<div class="markdown">{markdown(block["text"], self.team)}</div>'

    def _draw_header(self, block: JSON) -> str:
        return f'<div class="title">{self.text(block["text"])}</div>'

    def _draw_divider(self, _: JSON) -> str:
        return "<hr>"

    def _draw_context(self, block: JSON) -> str:
        parts = [
            _image(one, "tiny") if one["type"] == "image" else f'<div class="small">{self.text(one)}</div>'
            for one in block["elements"]
        ]
        return f'<div class="context">{"".join(parts)}</div>'

    def _draw_actions(self, block: JSON) -> str:
        return f'<div class="actions">{"".join(self.element(one) for one in block["elements"])}</div>'

    _draw_context_actions = _draw_actions

    def _draw_image(self, block: JSON) -> str:
        title = f'<div class="caption">{self.text(block.get("title"))}</div>' if block.get("title") else ""
        return f"{title}{_image(block, 'picture')}"

    def _draw_table(self, block: JSON) -> str:
        settings = block.get("column_settings") or []
        rows = []
        for index, row in enumerate(block["rows"]):
            tag = "td" if index else "th"
            cells = []
            for column, cell in enumerate(row):
                align = (settings[column] or {}).get("align", "left") if column < len(settings) else "left"
                rich = cell["type"] == "rich_text"
                inner = self._draw_rich_text(cell) if rich else html.escape(str(cell.get("text", cell.get("value"))))
                cells.append(f'<{tag} style="text-align:{html.escape(align)}">{inner}</{tag}>')
            rows.append(f"<tr>{''.join(cells)}</tr>")
        return f"<table>{''.join(rows)}</table>"

    def _draw_plan(self, block: JSON) -> str:
        tasks = "".join(self._draw_task_card(one) for one in block.get("tasks", []))
        return f'<div class="plan"><div class="caption">{plain(block["title"])}</div>{tasks}</div>'

    def _draw_task_card(self, block: JSON) -> str:
        status = block.get("status", "pending")
        more = "".join(
            f'<div class="small">{_words(block[name])}</div>' for name in ("details", "output") if block.get(name)
        )
        mark = _STATUS.get(status, "○")
        title = plain(block.get("title", ""))
        return f'<div class="task {html.escape(status)}"><span>{mark}</span><div>{title}{more}</div></div>'

    def _draw_input(self, block: JSON) -> str:
        element = block["element"]
        name = html.escape(str(block.get("block_id")))
        hint = f'<div class="small">{self.text(block["hint"])}</div>' if block.get("hint") else ""
        optional = ' <span class="small">(optional)</span>' if block.get("optional") else ""
        if element["type"] == "plain_text_input":
            first = html.escape(element.get("initial_value") or "")
            shade = html.escape((element.get("placeholder") or {}).get("text", ""))
            if element.get("multiline"):
                field = f'<textarea data-input="{name}" rows="6" placeholder="{shade}">{first}</textarea>'
            else:
                field = f'<input data-input="{name}" value="{first}" placeholder="{shade}">'
        else:
            field = self.element(element).replace("<select ", f'<select data-input="{name}" ', 1)
        return f"<label>{self.text(block['label'])}{optional}</label>{field}{hint}"

    def _draw_rich_text(self, block: JSON) -> str:
        return "".join(self._rich(one) for one in block["elements"])

    # -- rich text ---------------------------------------------------------------------------------------------

    def _rich(self, part: JSON) -> str:
        inner = "".join(self._rich(one) for one in part.get("elements", []))
        match part["type"]:
            case "rich_text_section":
                return f"<div>{inner}</div>"
            case "rich_text_preformatted":
                return f"<pre><code>{inner.replace('<br>', chr(10))}</code></pre>"
            case "rich_text_quote":
                return f"<blockquote>{inner}</blockquote>"
            case "rich_text_list":
                tag = "ol" if part.get("style") == "ordered" else "ul"
                items = "".join(f"<li>{self._rich(one)}</li>" for one in part["elements"])
                return f'<{tag} class="in{int(part.get("indent", 0))}">{items}</{tag}>'
            case "text":
                return _styled(html.escape(part["text"], quote=False).replace("\n", "<br>"), part.get("style") or {})
            case "link":
                link = html.escape(part["url"])
                return _styled(
                    f'<a href="{link}">{html.escape(part.get("text") or part["url"])}</a>', part.get("style") or {}
                )
            case "emoji":
                return html.escape(emoji(part["name"]))
            case "user":
                return mrkdwn(f"<@{part['user_id']}>", self.team).removeprefix("<div>").removesuffix("</div>")
            case "channel":
                return mrkdwn(f"<#{part['channel_id']}>", self.team).removeprefix("<div>").removesuffix("</div>")
            case "broadcast":
                return f'<span class="mention loud">@{html.escape(part["range"])}</span>'
            case other:
                return f"[{html.escape(other)}]"

    # -- elements ----------------------------------------------------------------------------------------------

    def element(self, one: JSON) -> str:
        """A button, choice or picture."""
        name = html.escape(str(one.get("action_id", "")))
        match one["type"]:
            case "button":
                style = html.escape(one.get("style") or "plain")
                return f'<button class="button {style}" data-click="{name}"{self._target}>{self.text(one["text"])}</button>'
            case "image":
                return _image(one, "thumbnail")
            case "feedback_buttons":
                buttons = (one["positive_button"], one["negative_button"])
                return "".join(
                    f'<button class="button plain thumb" data-click="{name}" '
                    f'data-value="{html.escape(button["text"]["text"])}"{self._target}>{mark}</button>'
                    for button, mark in zip(buttons, "👍👎", strict=True)
                )
            case "overflow" | "static_select" | "radio_buttons" | "checkboxes" | "multi_static_select":
                return self._choice(one, name)
            case other:
                shade = (one.get("placeholder") or {}).get("text", other.replace("_", " "))
                return f'<span class="button plain">{html.escape(shade)} ▾</span>'

    def _choice(self, one: JSON, name: str) -> str:
        shade = "⋯" if one["type"] == "overflow" else (one.get("placeholder") or {}).get("text", "Choose…")
        first = (one.get("initial_option") or {}).get("value")
        rows = [f'<option value="" disabled{"" if first else " selected"}>{html.escape(shade)}</option>']
        options = list(one.get("options") or [])
        options += [option for group in one.get("option_groups") or [] for option in group["options"]]
        for option in options:
            chosen = " selected" if option["value"] == first else ""
            label = html.escape(option["text"]["text"])
            rows.append(f'<option value="{html.escape(option["value"])}"{chosen}>{label}</option>')
        kind = "menu" if one["type"] == "overflow" else "choice"
        return f'<select class="{kind}" data-select="{name}"{self._target}>{"".join(rows)}</select>'


def _styled(inner: str, style: JSON) -> str:
    for name, tag in (("code", "code"), ("bold", "strong"), ("italic", "em"), ("strike", "s")):
        if style.get(name):
            inner = f"<{tag}>{inner}</{tag}>"
    return inner


def _image(one: JSON, kind: str) -> str:
    link = html.escape(one.get("image_url") or (one.get("slack_file") or {}).get("url", ""))
    return f'<img class="{kind}" src="{link}" alt="{html.escape(one["alt_text"])}">'


def _words(value: Any) -> str:
    """The text of a task's details, which may be rich text."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return "".join(_words(one) for one in [value.get("text"), *value.get("elements", [])] if one)
    return ""
