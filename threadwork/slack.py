"""`threadwork slack`: the Slack bot as a program of its own. Several may run side by side."""

import sys
from pathlib import Path

from core.settings import Settings
from threadwork.beat import beating
from threadwork.parts import serve, watched


def print_manifest(settings: Settings) -> None:
    """The manifest of the Slack app that these settings are for."""
    from bots.slack.manifest import manifest_yaml

    sys.stdout.write(manifest_yaml(command=settings.slack_command))


async def run_slack(settings: Settings, beat: Path | None = None) -> int:
    """Take in what Slack sends until told to stop; says it is ready once Slack is connected."""
    from bots.slack.app import open_slack

    with watched("slack", settings) as traces:
        await serve("slack", open_slack(settings, traces), beating(beat))
    return 0
