"""Which reaction stands for which receipt on a person's message.

The bot puts the first, `QUEUED`, the moment it has the message; the worker replaces it from then on.
"""

from collections.abc import Mapping
from typing import Final

from core.ports import Receipt

# Queued and working look the same, which saves two calls a message.
EMOJI: Final[Mapping[Receipt, str]] = {
    Receipt.QUEUED: "👀",
    Receipt.WORKING: "👀",
    Receipt.STEERED: "💬",
    Receipt.ANSWERED: "✅",
    Receipt.FAILED: "❌",
    Receipt.STOPPED: "🛑",
    Receipt.DROPPED: "🚫",
}
