"""Files of ours in Slack: the payload, and the two things about it that Slack does in its own way.

An upload has three steps: an address is asked for, the bytes go there, and the file is completed into the thread:
https://docs.slack.dev/messaging/working-with-files. The message that comes of it takes no metadata, so its mark is the
id of its block. That block is a section: Slack fails at others here (https://github.com/slackapi/python-slack-sdk/issues/1756).
Completing does not tell the message's ts, so a file's own id stands for its post. Next: `client.py`.
"""

import asyncio
import io
from collections.abc import Mapping
from typing import Any, Final

import aiohttp

from core.domain.attachment import size_words
from core.errors import TooLarge, Unavailable
from core.ports import Payload

UPLOAD_S: Final = 75.0
# https://slack.com/help/articles/201330736: a gigabyte.
MOST_BYTES: Final = 1_000_000_000
_BLOCK: Final = "threadwork_file_"


def render_file(name: str, data: bytes) -> Payload:
    """A file's post: its name and size, and the file. Plain text, in which nothing acts."""
    words = {"type": "plain_text", "text": f"{name} · {size_words(len(data))}", "emoji": False}
    return Payload({"blocks": [{"type": "section", "text": words}]}, {name: data}, is_file=True)


def marked(payload: Payload, mark: str) -> list[dict[str, Any]]:
    """The payload's blocks with the mark on them."""
    first, *others = payload.body["blocks"]
    return [{**first, "block_id": f"{_BLOCK}{mark}"}, *others]


def file_with(message: Mapping[str, Any], mark: str) -> str | None:
    """The id of a message's file, if the message has this mark."""
    blocks, files = message.get("blocks") or (), message.get("files") or ()
    if files and any(block.get("block_id") == f"{_BLOCK}{mark}" for block in blocks):
        return str(files[0].get("id"))
    return None


async def put_bytes(session: aiohttp.ClientSession, url: str, data: bytes) -> None:
    """Send a file's bytes to the address that Slack gave for them; nobody sees them before the file is completed."""
    kind, within = {"Content-Type": "application/octet-stream"}, aiohttp.ClientTimeout(total=UPLOAD_S)
    try:
        async with (
            asyncio.timeout(UPLOAD_S),
            session.post(url, data=io.BytesIO(data), headers=kind, timeout=within) as answer,
        ):
            status = answer.status
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unavailable("Slack", f"it did not take the file: {error!r}"[:200]) from error
    if status == 413:
        raise TooLarge("Slack finds it too large")
    if status >= 400:
        raise Unavailable("Slack", f"it answers a file with {status}")
