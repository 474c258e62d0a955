"""The same post without markup, for when Slack refuses its blocks: the whole text, and the buttons.

Pure. `client.py` sends this once in place of blocks that were refused.
"""

import html
import re
from collections.abc import Iterator
from typing import Any, Final

from core.surfaces.slack.blocks import Block, cut_escaped, plain, texts_of

_NOTICE: Final = 300
_DATE: Final = re.compile(r"<!date\^\d+\^[^|>]*\|([^>]*)>")


def plainly(body: dict[str, Any]) -> dict[str, Any]:
    """A body whose texts are plain sections and whose buttons are as they were."""
    blocks = list[Block]()
    for block in body["blocks"]:
        if block["type"] == "actions":
            blocks.append(block)
            continue
        blocks += [one for text in _texts(block) for one in plain(text)]
        if "accessory" in block:
            blocks.append({"type": "actions", "elements": [block["accessory"]]})
    return {"text": cut_escaped(body["text"], _NOTICE), "blocks": blocks}


def _texts(block: Block) -> Iterator[str]:
    is_mrkdwn = block["type"] in ("section", "context")
    told = {name: value for name, value in block.items() if name != "accessory"}
    for text in texts_of(told):
        yield html.unescape(_DATE.sub(r"\1", text)) if is_mrkdwn else text
