"""What this machine must have: Python, a data folder, a secret, walls for sandboxes, the agent's program.

Nothing is left behind by looking, but for a file that is written and removed. Next: `servers.py`.
"""

import asyncio
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from core.crypto import FILE as SECRET_FILE
from core.crypto import decode_secret, find_secret
from core.errors import Misconfigured
from core.settings import Settings
from threadwork.checks.finding import Finding, bad, good, note
from threadwork.sandbox_host.bwrap import bundled_cli
from threadwork.sandbox_host.settings import HostSettings
from threadwork.sandbox_host.walls import find_walls

_OLDEST: Final = (3, 11)
_FULL_BYTES: Final = 500 << 20
_SCARCE_BYTES: Final = 5 << 30
_CLI_S: Final = 60.0
INOTIFY: Final = Path("/proc/sys/fs/inotify")
# A sandbox's reader of the journal and its watcher take an instance each, and other programs need some, too.
_WATCHES_OF_OTHERS: Final = 32
_WATCHES_OF_A_CHAT: Final = 2
_FEWEST_WATCHES: Final = 8192


def python() -> Finding:
    """The interpreter that runs this, and the system under it."""
    version = platform.python_version()
    if sys.version_info < _OLDEST:
        return bad("Python", f"{version} is too old", "Install Python 3.11 or newer, then: make setup")
    if sys.platform != "linux":
        return bad("Python", f"{version} on {sys.platform}", "Run Threadwork on Linux, for example in its container.")
    return good("Python", f"{version}, Linux {platform.release()}")


def data_folder(settings: Settings) -> Finding:
    """Whether there is a place for data, that can be written to and has room."""
    folder = settings.threadwork_data_dir
    mend = f"Choose another THREADWORK_DATA_DIR, or make it yours: sudo chown -R $(id -u) {folder}"
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        return bad("Data folder", f"{there} is not a folder", "Choose another THREADWORK_DATA_DIR.")
    try:
        with tempfile.NamedTemporaryFile(dir=there, prefix=".threadwork-"):
            pass
    except OSError as error:
        return bad("Data folder", f"{there} cannot be written to: {error.strerror}", mend)
    free = shutil.disk_usage(there).free
    said = f"{folder}, {free / (1 << 30):.1f} GB free"
    if free < _FULL_BYTES:
        return bad("Data folder", said, "Free some space: databases and sandboxes need 500 MB to begin with.")
    if free < _SCARCE_BYTES:
        return note("Data folder", said, "Free some space: sandboxes fill it.")
    return good("Data folder", said)


def secret(settings: Settings) -> Finding:
    """The secret that signs and encrypts."""
    folder = settings.threadwork_data_dir
    try:
        if settings.threadwork_secret_key:
            decode_secret(settings.threadwork_secret_key.get_secret_value())
            return good("Secret key", "THREADWORK_SECRET_KEY, 32 bytes")
        is_there = (folder / SECRET_FILE).exists()
        if is_there:
            find_secret(None, folder)
    except Misconfigured as error:
        return bad("Secret key", error.words)
    said = f"kept in {folder / SECRET_FILE}" if is_there else f"will be made in {folder / SECRET_FILE}"
    if settings.database_url:
        mend = "With processes on several machines, give all of them the same THREADWORK_SECRET_KEY."
        return note("Secret key", said, mend)
    return good("Secret key", said)


def walls(settings: Settings) -> Finding:
    """Whether sandboxes on this machine can be closed in."""
    if not settings.uses_own_sandboxes:
        return good("Sandboxes here", "not used: another server was named")
    if settings.threadwork_unsafe_no_isolation:
        mend = "Unset THREADWORK_UNSAFE_NO_ISOLATION, and install bubblewrap."
        return note("Sandboxes here", "NO ISOLATION: agents run as plain processes of yours", mend)
    try:
        found = find_walls(HostSettings(settings.threadwork_data_dir / "sandboxes"))
    except Misconfigured as error:
        return bad("Sandboxes here", error.words)
    owner = "a user of its own for each" if found.first_uid is not None else "a user namespace for each"
    kept_by = "the kernel" if found.cgroups.folder else "Threadwork, as well as it can"
    return good("Sandboxes here", f"bubblewrap, {owner}; limits kept by {kept_by}")


def watches(settings: Settings, limits: Path = INOTIFY) -> Finding:
    """Whether the kernel lets as many files be watched as the sandboxes here will want."""
    if not settings.uses_own_sandboxes:
        return good("File watches", "not needed")
    try:
        instances, files = (int((limits / f"max_user_{name}").read_text()) for name in ("instances", "watches"))
    except (OSError, ValueError):
        return note("File watches", "this kernel does not say how many it allows")
    chats = settings.threadwork_workers * settings.threadwork_max_chats
    wanted = chats * _WATCHES_OF_A_CHAT + _WATCHES_OF_OTHERS
    said = f"{instances} instances and {files} watches a user"
    if instances < wanted:
        mend = f"For {chats} chats at once: sudo sysctl -w fs.inotify.max_user_instances={wanted}"
        return note("File watches", said, mend)
    if files < _FEWEST_WATCHES:
        return note("File watches", said, "sudo sysctl -w fs.inotify.max_user_watches=65536")
    return good("File watches", said)


async def agent_program(settings: Settings, cli: Path | None = None) -> Finding:
    """The Claude CLI that came with the SDK, run once."""
    cli = cli or bundled_cli()
    mend = "Install the SDK's wheel for Linux anew: rm -rf .venv && make setup"
    if cli is None:
        return _missing(settings, "the SDK's wheel holds none that can be run", mend)
    with tempfile.TemporaryDirectory(prefix="tw") as home:
        try:
            process = await asyncio.create_subprocess_exec(
                cli,
                "--version",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env={"PATH": os.defpath, "HOME": home},
            )
        except OSError as error:
            return _missing(settings, f"{cli} cannot be run: {error.strerror}", mend)
        try:
            async with asyncio.timeout(_CLI_S):
                out, _ = await process.communicate()
        except TimeoutError:
            return _missing(settings, f"{cli} does not answer", mend)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    said = out.decode(errors="replace").strip().splitlines()
    if process.returncode != 0 or not said:
        last = said[-1][:200] if said else "nothing"
        return _missing(settings, f"{cli} ended with {process.returncode} and said: {last}", mend)
    return good("Agent's program", said[0][:100])


def _missing(settings: Settings, said: str, mend: str) -> Finding:
    """Without a program here, only a sandbox whose template holds one can do."""
    if settings.uses_own_sandboxes or not settings.e2b_template:
        return bad("Agent's program", said, mend)
    return note("Agent's program", f"{said}; E2B_TEMPLATE must hold one", mend)
