"""Which reaction stands for which receipt on a person's message.

The bot puts the first, `QUEUED`, the moment it has the message; the worker replaces it from then on.
"""

from collections.abc import Mapping
from typing import Final

from core.ports import Receipt

EMOJI: Final[Mapping[Receipt, str]] = {
    Receipt.QUEUED: "eyes",
    Receipt.WORKING: "hourglass_flowing_sand",
    Receipt.STEERED: "arrow_heading_up",
    Receipt.ANSWERED: "white_check_mark",
    Receipt.FAILED: "x",
    Receipt.STOPPED: "octagonal_sign",
    Receipt.DROPPED: "wastebasket",
}
