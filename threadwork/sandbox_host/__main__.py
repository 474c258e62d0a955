"""The sandbox host as a program; prints `sandbox-host URL` when it serves, stops on SIGTERM."""

import argparse
import asyncio
import ctypes
import os
import signal
import sys
from pathlib import Path

from core.errors import ThreadworkError
from threadwork.sandbox_host.app import HostSettings, run_host


async def serve(settings: HostSettings) -> None:
    """Serve until told to stop."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with run_host(settings) as address:
        print(f"sandbox-host {address.url}", flush=True)
        await stopped.wait()


def main() -> int:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m threadwork.sandbox_host")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--gateway-dir", type=Path)
    parser.add_argument("--unsafe-no-isolation", action="store_true")
    parser.add_argument("--die-with-parent", action="store_true")
    given = parser.parse_args()
    if given.die_with_parent:
        # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))
    settings = HostSettings(
        data_dir=given.data_dir,
        gateway_dir=given.gateway_dir,
        port=given.port,
        api_key=os.environ.get("E2B_API_KEY") or None,
        is_isolated=not given.unsafe_no_isolation,
    )
    try:
        asyncio.run(serve(settings))
    except ThreadworkError as error:
        sys.stderr.write(f"sandbox-host: {error.words}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
