"""`threadwork web`: the admin page as a program of its own; and `threadwork admin login`, the way into it."""

import getpass
import os

from core.domain.access import Access, Rights
from core.errors import Misconfigured
from core.settings import Settings
from threadwork.parts import say_ready, stop_signal, watched
from threadwork.stack import read_stack


async def run_web(settings: Settings) -> int:
    """Serve the page until told to stop; says where it is once it is there."""
    from bots.web.app import open_web

    with watched("web", settings) as traces:
        stopped = stop_signal()
        async with open_web(settings, traces) as address:
            say_ready(f"web {address}")
            await stopped.wait()
    return 0


async def run_login(settings: Settings, *, name: str | None, tenants: list[str], is_viewer: bool) -> int:
    """Print a link that signs its reader in, once. `tenants`: `slack:T012345`, `discord:1234`; none: all of them."""
    from bots.web.app import PORT
    from core.store.engine import open_engine
    from core.store.sessions import PostgresSessions
    from core.store.tenants import find_tenants

    stack = read_stack(settings.threadwork_data_dir)
    database = settings.database_url or (stack.database_url if stack else None)
    if database is None:
        raise Misconfigured("Nothing runs here, and DATABASE_URL is not set. Start everything with: threadwork up")
    address = settings.threadwork_web_url or (stack.web_url if stack else None)
    if address is None and stack is not None and settings.database_url is None:
        raise Misconfigured("What runs here was started for a chat, without the page. Start it with: threadwork up")
    access = Access.VIEWER if is_viewer else Access.ADMIN
    async with open_engine(database, pool_size=1) as engine:
        if tenants:
            rights = Rights(tenants=dict.fromkeys(await find_tenants(engine, tenants), access))
        else:
            rights = Rights(everywhere=access)
        word = await PostgresSessions(engine).offer(name or _user_name(), rights)
    address = address or f"http://{settings.threadwork_web_host}:{settings.threadwork_web_port or PORT}"
    print(f"{address.rstrip('/')}/sign-in/{word}")
    return 0


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A uid without an entry in the password file, as in a container.
        return f"uid {os.getuid()}"
