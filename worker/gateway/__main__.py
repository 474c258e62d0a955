"""The gateway as a program: `python -m worker.gateway --socket PATH [--host H] [--port N]`.

The credential, ANTHROPIC_BASE_URL and THREADWORK_SECRET_KEY (32 bytes in base64, which sign the chats' tokens) come
from the environment. Prints `gateway ready` when it listens, logs to stderr, stops on SIGTERM. Next: `app.py`.
"""

import argparse
import asyncio
import base64
import binascii
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from core.errors import Misconfigured, ThreadworkError
from core.observing.program import observed
from worker.gateway.app import DEFAULT_UPSTREAM, GatewaySettings, serve_gateway
from worker.gateway.credential import VARIABLES, find_credential

SECRET_BYTES = 32


def settings_from(arguments: argparse.Namespace, environment: Mapping[str, str]) -> GatewaySettings:
    """The settings of this process. Raises Misconfigured with the name of what is wrong and the mend."""
    credential = find_credential(environment)
    if credential is None:
        raise Misconfigured(f"no credential for the model API: set one of {', '.join(VARIABLES)}")
    try:
        secret = base64.b64decode(environment.get("THREADWORK_SECRET_KEY", ""), validate=True)
    except binascii.Error:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise Misconfigured("THREADWORK_SECRET_KEY must be 32 bytes in base64; `openssl rand -base64 32` makes one")
    return GatewaySettings(
        credential=credential,
        secret=secret,
        upstream=environment.get("ANTHROPIC_BASE_URL") or DEFAULT_UPSTREAM,
        socket_path=arguments.socket,
        host=arguments.host,
        port=arguments.port,
    )


async def run(settings: GatewaySettings) -> None:
    """Serves until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with serve_gateway(settings) as gateway:
        where = [str(gateway.socket_path)] if gateway.socket_path else []
        where += [f"{settings.host}:{gateway.port}"] if gateway.port is not None else []
        sys.stdout.write(f"gateway ready {' '.join(where)}\n")
        sys.stdout.flush()
        await stopped.wait()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m worker.gateway", description="The model proxy for sandboxes.")
    parser.add_argument("--socket", type=Path, help="unix socket to listen on")
    parser.add_argument("--host", default="127.0.0.1", help="address of the port (default %(default)s)")
    parser.add_argument("--port", type=int, help="TCP port to listen on; 0 takes a free one")
    arguments = parser.parse_args()
    if arguments.socket is None and arguments.port is None:
        parser.error("say where to listen: --socket, --port or both")
    try:
        with observed("gateway", os.environ, style=os.environ.get("THREADWORK_LOG_FORMAT", "text"), has_legs=False):
            asyncio.run(run(settings_from(arguments, os.environ)))
    except ThreadworkError as failure:
        sys.stderr.write(f"gateway: {failure.words}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
