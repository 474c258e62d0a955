"""`python -m tests.doubles.discord --port 8901`: the double as a program, with a page to watch and verbs to drive it.

Prints the environment that points the program at it, one NAME=value a line, then `ready`. `control.py` lists the verbs.
"""

import argparse
import asyncio
import contextlib
import ctypes
import signal

from tests.doubles.discord.control import Control
from tests.doubles.discord.double import TOKEN, DiscordDouble


async def serve(port: int, *, token: str, guild: str, message_content: bool) -> None:
    double = DiscordDouble(port=port, token=token, message_content=message_content)
    Control(double).install()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, stop.set)
    # What was broken is on /_control/violations; a program that is being stopped has nobody to raise to.
    with contextlib.suppress(AssertionError):
        async with double:
            double.guild(guild)
            for name, value in double.env.items():
                print(f"{name}={value}")
            print(f"watch {double.posting.origin}/\nready", flush=True)
            await stop.wait()


def die_with_parent() -> None:
    """Be told to stop when the process that started this one ends, however it ends (Linux)."""
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)


def main() -> None:
    parser = argparse.ArgumentParser(description="A Discord on loopback")
    parser.add_argument("--port", type=int, default=8901)
    parser.add_argument("--token", default=TOKEN)
    parser.add_argument("--guild", default="G1")
    parser.add_argument("--without-message-content", action="store_true")
    parser.add_argument("--with-parent", action="store_true", help="stop when the starting process ends")
    given = parser.parse_args()
    if given.with_parent:
        die_with_parent()
    asyncio.run(
        serve(given.port, token=given.token, guild=given.guild, message_content=not given.without_message_content)
    )


if __name__ == "__main__":
    main()
