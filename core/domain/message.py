"""What a person said: cleaning it, and telling the agent.

Text from outside is cleaned once, at the door: NUL and lone surrogates would break Postgres and JSON, and
a very long one is cut with a note. Next: `turn.py`.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NewType
from uuid import UUID

from core.domain.chat import ChatId
from core.domain.states import MessageState
from core.errors import BadInput

MessageId = NewType("MessageId", UUID)

# Begins the id of what was written on the admin page: no platform has such a message, so none can show a receipt.
FROM_PAGE: Final = "web-"
MAX_CHARS: Final = 400_000
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class FileIn:
    """A file a person attached: its name, where to fetch it, its size in bytes."""

    name: str
    url: str
    size: int
    media_type: str = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Message:
    """A message as stored.

    `key` is the platform's identity of it; `turn_id` is set once it was delivered; `receipt` is what its author was
    last shown on it.
    """

    id: MessageId
    chat_id: ChatId
    key: str
    external_id: str
    author_name: str
    text: str
    state: MessageState
    files: tuple[FileIn, ...]
    turn_id: UUID | None
    created_at: datetime
    receipt: str | None = None


def clean(text: str, *, has_files: bool = False) -> str:
    """Make a person's text safe to store and send: no NUL, no lone surrogates, no control characters.

    Returns the text without surrounding white space. Raises `BadInput` for one that says nothing, unless
    files came with it, or that is longer than `MAX_CHARS` characters.
    """
    cleaned = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
    if not cleaned and not has_files:
        raise BadInput("That message has no text I can read. Write what you want done.")
    if len(cleaned) > MAX_CHARS:
        raise BadInput(
            f"That message is {len(cleaned):,} characters long; {MAX_CHARS:,} is the most I can take. "
            "Send it as a file instead."
        )
    return cleaned
