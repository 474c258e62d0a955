"""The scripted model as a program: `python -m threadwork.offline_model [--port N] [--delay SECONDS]`.

Prints `offline-model http://127.0.0.1:PORT` when it listens, and stops on SIGTERM. Next: `server.py`.
"""

import argparse
import asyncio
import signal

from threadwork.offline_model.server import DELAY_S, serve_offline_model


async def run(port: int, delay_s: float) -> None:
    """Serves until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with serve_offline_model(port, delay_s=delay_s) as url:
        print(f"offline-model {url}", flush=True)
        await stopped.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m threadwork.offline_model", description="A scripted model.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--delay", type=float, default=DELAY_S, help="seconds between pieces (default %(default).3f)")
    chosen = parser.parse_args()
    asyncio.run(run(chosen.port, chosen.delay))
