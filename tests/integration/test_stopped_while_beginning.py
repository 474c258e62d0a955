"""A bot that waits for its platform ends when it is told to, as one that is ready does."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

WAIT_S = 60
# Port 1 is nobody's.
AWAY = "http://127.0.0.1:1/"
BOTS = {
    "slack": {"SLACK_BOT_TOKEN": "xoxb-1-2-abc", "SLACK_APP_TOKEN": "xapp-1-A-1-abc", "SLACK_API_URL": AWAY},
    "discord": {"DISCORD_TOKEN": "MTIz.abc.def", "DISCORD_API_URL": AWAY, "DISCORD_GATEWAY_URL": "ws://127.0.0.1:1/"},
}


@pytest.mark.parametrize("bot", BOTS)
async def test_a_bot_that_waits_for_its_platform_ends_when_told(bot: str, tmp_path: Path) -> None:
    servers = {"DATABASE_URL": "postgresql://u@127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1/0"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "threadwork", bot, "--data-dir", str(tmp_path)),
        env={"PATH": "/usr/bin:/bin", **servers, **BOTS[bot]},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(WAIT_S):
            while f"{bot}_not_reached".encode() not in (line := await process.stderr.readline()):
                assert line, "it ended by itself"
            process.send_signal(signal.SIGTERM)
            out, said = await process.communicate()
        assert (process.returncode, out) == (0, b""), said.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
