"""`python -m tests.doubles.slack --port 8902`: the double as a program, with a page to watch and verbs to drive it.

Prints the environment that points the program at it, one NAME=value a line, then `ready`. `control.py` lists the verbs.
"""

import argparse
import asyncio
import contextlib
import ctypes
import signal

from tests.doubles.slack.control import Control
from tests.doubles.slack.double import SlackDouble


async def serve(port: int, *, workspaces: list[str], rates_scale: float | None, events_url: str | None) -> None:
    """Run until told to stop. `rates_scale` None: no rate limits."""
    double = SlackDouble(port=port, rates=rates_scale is not None, rates_scale=rates_scale or 1.0)
    Control(double).install()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, stop.set)
    # What was broken is on /_control/violations; a program that is being stopped has nobody to raise to.
    with contextlib.suppress(AssertionError):
        async with double:
            for name in workspaces:
                double.workspace(name).person("ann")
            if events_url:
                double.send_events_to(events_url)
                print(f"SLACK_SIGNING_SECRET={double.signing_secret}")
            for name, value in double.env(workspaces[0]).items():
                print(f"{name}={value}")
            print(f"watch {double.origin}/\nready", flush=True)
            await stop.wait()


def die_with_parent() -> None:
    """Be told to stop when the process that started this one ends, however it ends (Linux)."""
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)


def main() -> None:
    parser = argparse.ArgumentParser(description="A Slack on loopback")
    parser.add_argument("--port", type=int, default=8902)
    parser.add_argument("--workspace", action="append", help="a workspace's id; may be given again (default T1)")
    parser.add_argument("--rates-scale", type=float, default=1.0, help="multiply the rate limits; 0 lifts them")
    parser.add_argument("--events-url", help="send events by signed HTTP instead of sockets")
    parser.add_argument("--with-parent", action="store_true", help="stop when the starting process ends")
    given = parser.parse_args()
    if given.with_parent:
        die_with_parent()
    asyncio.run(
        serve(
            given.port,
            workspaces=given.workspace or ["T1"],
            rates_scale=given.rates_scale or None,
            events_url=given.events_url,
        )
    )


if __name__ == "__main__":
    main()
