"""`threadwork files`: what is in a chat's sandbox, from outside."""

import posixpath
import re
import shlex
import sys
from contextlib import suppress

from bots.console.safe import plain
from core.domain.chat import Place, Platform
from core.errors import BadInput, NotFound, SandboxError, SandboxLost, SandboxPaused
from core.ports import Sandbox
from core.settings import Settings
from core.store.stores import open_stores
from threadwork.stack import borrowed_stack
from worker.agent.options import WORKSPACE
from worker.sandbox.provider import E2BProvider, SandboxServer


async def run_files(settings: Settings, name: str, path: str | None) -> int:
    """List the workspace of console chat `name` or another of its folders, or write a file to stdout as it is."""
    async with (
        borrowed_stack(settings.threadwork_data_dir) as stack,
        open_stores(settings.database_url or stack.database_url, pool_size=1) as stores,
    ):
        chat = await stores.chats.by_key(Place(Platform.CONSOLE, "local", "", name).key)
        if chat is None:
            begin = shlex.join(["threadwork", "chat", f"--name={name}"])
            raise NotFound(f"There is no chat named {name}. Begin one with: {begin}")
        if chat.seat.sandbox_id is None:
            raise NotFound(f"The chat {name} has no sandbox yet; it gets one with its first turn.")
        key = settings.e2b_api_key.get_secret_value() if settings.e2b_api_key else stack.e2b_api_key
        server = SandboxServer(
            key, settings.e2b_api_url or stack.e2b_api_url, settings.e2b_sandbox_url or stack.e2b_sandbox_url
        )
        sandbox = await E2BProvider(server).connect(chat.seat.sandbox_id, time_s=300)
        await show(sandbox, name, path or ".")
    return 0


async def show(sandbox: Sandbox, name: str, path: str) -> None:
    """Write the file at `path` to stdout, or list the folder there. Relative paths are of the workspace.

    Raises `BadInput` when there is nothing, or nothing that may be read.
    """
    wanted = posixpath.normpath(posixpath.join(WORKSPACE, path))
    try:
        data = await sandbox.read_file(wanted)
    except FileNotFoundError:
        look = shlex.join(["threadwork", "files", name])
        raise BadInput(f"There is no file {path} in {name}. See what is there: {look}") from None
    except (SandboxLost, SandboxPaused):
        raise
    except SandboxError as error:
        # What a server says of a folder is its own affair; whether it lists one is not.
        with suppress(FileNotFoundError, SandboxError):
            await _list(sandbox, wanted)
            return
        raise BadInput(f"{path} in {name} cannot be read: {_why(error, wanted)}.") from error
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


async def _list(sandbox: Sandbox, folder: str) -> None:
    """Print what is in a folder, by paths that can be asked for: of the workspace all below it, for it has an end."""
    depth = 10 if f"{folder}/".startswith(f"{WORKSPACE}/") else 1
    for found, is_folder, size in await sandbox.list_files(folder, depth=depth):
        shown = plain(found.removeprefix(f"{WORKSPACE}/"))
        print(f"{'-' if is_folder else size:>10}  {shown}{'/' if is_folder else ''}")


def _why(error: SandboxError, path: str) -> str:
    """What the server said, without its status and what we say ourselves."""
    said = re.sub(r"^\d{3}: ", "", str(error)).removesuffix(f": {path}")
    return "the agent's user has no permission" if "permission denied" in said.lower() else said.rstrip(".")
