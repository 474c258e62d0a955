"""`threadwork files`: what is in a chat's sandbox, from outside."""

import sys

from core.domain.chat import Place, Platform
from core.errors import BadInput, NotFound
from core.settings import Settings
from core.store.stores import open_stores
from threadwork.stack import borrowed_stack
from worker.agent.options import WORKSPACE
from worker.sandbox.provider import E2BProvider, SandboxServer


async def run_files(settings: Settings, name: str, path: str | None) -> int:
    """List the workspace of console chat `name`, or write one of its files to stdout as it is."""
    async with (
        borrowed_stack(settings.threadwork_data_dir) as stack,
        open_stores(settings.database_url or stack.database_url, pool_size=1) as stores,
    ):
        chat = await stores.chats.by_key(Place(Platform.CONSOLE, "local", "", name).key)
        if chat is None:
            raise NotFound(f"There is no chat named {name}. Begin one with: threadwork chat --name {name}")
        if chat.seat.sandbox_id is None:
            raise NotFound(f"The chat {name} has no sandbox yet; it gets one with its first turn.")
        key = settings.e2b_api_key.get_secret_value() if settings.e2b_api_key else stack.e2b_api_key
        server = SandboxServer(
            key, settings.e2b_api_url or stack.e2b_api_url, settings.e2b_sandbox_url or stack.e2b_sandbox_url
        )
        sandbox = await E2BProvider(server).connect(chat.seat.sandbox_id, time_s=300)
        if path is None:
            for found, is_folder, size in await sandbox.list_files(WORKSPACE, depth=10):
                shown = found.removeprefix(WORKSPACE).lstrip("/")
                print(f"{'-' if is_folder else size:>10}  {shown}{'/' if is_folder else ''}")
            return 0
        wanted = path if path.startswith("/") else f"{WORKSPACE}/{path}"
        try:
            data = await sandbox.read_file(wanted)
        except FileNotFoundError:
            raise BadInput(f"There is no file {path} in {name}. See what is there: threadwork files {name}") from None
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    return 0
