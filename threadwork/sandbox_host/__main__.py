"""The sandbox host as a program; prints `sandbox-host URL` when it serves, stops on SIGTERM."""

import argparse
import asyncio
import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Final

from core.errors import ThreadworkError
from core.observing.program import observed
from threadwork.sandbox_host.app import HostSettings, Limits, run_host
from threadwork.sandbox_host.settings import DEFAULT_LIMITS

_PR_SET_PDEATHSIG: Final = 1


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
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--data-dir", type=Path, required=True, help="where sandboxes keep their files")
    parser.add_argument("--gateway-dir", type=Path, help="a folder that every sandbox sees at /run/threadwork")
    parser.add_argument("--api-key", help="what X-API-KEY must be; by default E2B_API_KEY, or no key at all")
    parser.add_argument("--memory-mb", type=int, default=DEFAULT_LIMITS.memory_mb, help="of each sandbox; 0: no limit")
    parser.add_argument("--disk-mb", type=int, default=DEFAULT_LIMITS.disk_mb, help="of each sandbox; 0: no limit")
    parser.add_argument("--processes", type=int, default=DEFAULT_LIMITS.processes, help="of each sandbox; 0: no limit")
    parser.add_argument("--unsafe-no-isolation", action="store_true", help="run plain processes, without any wall")
    parser.add_argument("--die-with-parent", action="store_true", help="end when the program that started this ends")
    given = parser.parse_args()
    if given.die_with_parent:
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            return 1
    settings = HostSettings(
        data_dir=given.data_dir,
        gateway_dir=given.gateway_dir,
        port=given.port,
        api_key=given.api_key or os.environ.get("E2B_API_KEY") or None,
        is_isolated=not given.unsafe_no_isolation,
        limits=Limits(given.memory_mb or None, given.disk_mb or None, given.processes or None),
    )
    try:
        with observed(
            "sandbox-host", os.environ, style=os.environ.get("THREADWORK_LOG_FORMAT", "text"), has_legs=False
        ):
            asyncio.run(serve(settings))
    except ThreadworkError as error:
        sys.stderr.write(f"sandbox-host: {error.words}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"sandbox-host: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
