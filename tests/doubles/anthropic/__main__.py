"""The double as a program: `python -m tests.doubles.anthropic [--port N] [--credential KEY]`.

Prints `anthropic-double http://127.0.0.1:PORT` when it listens. A test drives it by `GET /_requests`,
`GET /_violations`, `GET /_gate/NAME` (answers once a response is held there), `POST /_gate/NAME/open`, and
`POST /_queue` with a JSON list of responses, each a list of blocks as in a prompt's script.
"""

import argparse
import asyncio
import signal

from tests.doubles.anthropic.server import AnthropicDouble


async def serve(port: int, credential: str | None) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with AnthropicDouble(credential=credential, port=port) as double:
        print(f"anthropic-double {double.url}", flush=True)
        await stopped.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A scripted Anthropic Messages API on loopback.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--credential", default=None, help="refuse every other credential with 401")
    chosen = parser.parse_args()
    asyncio.run(serve(chosen.port, chosen.credential))
