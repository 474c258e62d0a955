"""Where schedules are played: the console, and Slack and Discord with the bot as a program and the double as the platform.

`platform.py` has what a place to play must offer, `screen.py` what is judged the same on Slack and Discord, and one
module a platform how people act there, what breaks there, and what its double has on record.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final

from tests.faults.platforms.console import open_console
from tests.faults.platforms.discord import open_discord
from tests.faults.platforms.platform import Platform
from tests.faults.platforms.slack import open_slack

OPEN: Final[Mapping[str, Callable[[int], AbstractAsyncContextManager[Platform]]]] = {
    "console": open_console,
    "slack": open_slack,
    "discord": open_discord,
}
