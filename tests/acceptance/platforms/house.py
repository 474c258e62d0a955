"""The program that all of these tests share: `threadwork up` with every bot, on doubles of the platforms and the model.

The doubles run in the tests' own loop, so nothing here may block it. `open_house` is the whole of it.
"""

import asyncio
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from tests.acceptance.program import PATIENCE_S, STOP_S, Installation, Up, command_of, free_port, installation
from tests.doubles.anthropic import AnthropicDouble
from tests.doubles.discord import DiscordDouble
from tests.doubles.slack import SlackDouble
from tests.processes import descendants

# How often the double takes a reaction in a channel.
REACTION_S = 0.25
KEY = "sk-ant-api03-made-up-for-the-platforms"


@dataclass(slots=True)
class House:
    """What runs, and the doubles around it."""

    installed: Installation
    up: Up
    model: AnthropicDouble
    slack: SlackDouble
    discord: DiscordDouble
    slack_pages: str
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def number(self) -> int:
        """One that was not given before."""
        return next(self._numbers)

    def pid(self, command: str) -> int | None:
        """The process of the stack that runs this command of the program."""
        return next((pid for pid in descendants(self.up.pid) if f"threadwork {command}" in command_of(pid)), None)

    async def kill(self, command: str) -> None:
        """Kill a program of the stack; returns once another has been started in its place."""
        killed = self.pid(command)
        assert killed is not None, f"no {command} runs"
        os.kill(killed, signal.SIGKILL)
        await until(lambda: self.pid(command) not in {None, killed})

    def log(self) -> str:
        """The last lines that the program said."""
        return "\n".join(self.up.err.read_text().splitlines()[-30:])


async def until(is_so: Callable[[], object], limit_s: float = PATIENCE_S) -> None:
    """Wait until something is so."""
    ends_at = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < ends_at, "it did not come about in time"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def open_house(**more: str) -> AsyncIterator[House]:
    """Everything, up, with `more` settings. At the end the doubles must have had nothing to complain of."""
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(AnthropicDouble(credential=KEY))
        slack = await stack.enter_async_context(SlackDouble())
        # The app belongs to one, which is there before anybody installs it.
        slack.workspace("T0")
        discord = await stack.enter_async_context(DiscordDouble())
        # The limit on a channel's reactions is the bot user's, and only the answers to reactions tell of it, each to the
        # process that asked (https://docs.discord.com/developers/topics/rate-limits#header-format). Bot and worker share
        # a budget, but a call that a busy machine delays may meet the other's: `_never_at_once` holds them to the wait.
        discord.allow("429")
        port = free_port()
        settings = {
            "ANTHROPIC_BASE_URL": model.url,
            "ANTHROPIC_API_KEY": KEY,
            "SLACK_APP_TOKEN": slack.app_token,
            "SLACK_API_URL": slack.api_url,
            # A workspace for each test: they do not share Slack's limits.
            "SLACK_CLIENT_ID": slack.options.client_id,
            "SLACK_CLIENT_SECRET": slack.options.client_secret,
            "SLACK_PORT": str(port),
            **discord.env,
            "THREADWORK_MODE": "ask",
            "THREADWORK_LINGER_S": "2",
            **more,
        }
        installed = stack.enter_context(installation(**settings))
        up = await stack.enter_async_context(_up(installed))
        yield House(installed, up, model, slack, discord, f"http://127.0.0.1:{port}")
        assert model.violations == []
        _never_at_once(discord)


def _never_at_once(discord: DiscordDouble) -> None:
    """Nothing but reactions was refused as too much, and nobody who was refused came again before it might."""
    refused: dict[str, list[float]] = {}
    for one in discord.violations:
        if one.code == "429" and one.call is not None:
            assert "/reactions/" in one.call.path, one
            refused.setdefault(one.call.path.split("/messages/")[0], []).append(one.call.at)
    for channel, times in refused.items():
        # Within the time that a channel takes one reaction in, each of the two processes may be refused once.
        assert all(third - first > REACTION_S for first, third in zip(times, times[2:], strict=False)), (channel, times)


@asynccontextmanager
async def _up(installed: Installation) -> AsyncIterator[Up]:
    """`threadwork up`, once it said `ready`."""
    out, err = installed.folder / "up.out", installed.folder / "up.err"
    with out.open("w") as stdout, err.open("w") as stderr:
        process = installed.start("up", stdout=stdout, stderr=stderr)
    try:
        await until(lambda: out.read_text() or process.poll() is not None)
        assert process.poll() is None, err.read_text()
        yield Up(process, out, err)
    finally:
        process.terminate()
        try:
            await until(lambda: process.poll() is not None, STOP_S)
        except AssertionError:
            process.kill()
            process.wait()
