"""The console as a surface: posts go into a console thread, which a terminal may be watching.

Its calls are cheap, but each is a write to the database, so progress keeps to two edits a second; the terminal
draws the text as it streams from the bus. Next: `bots/console`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from core.domain.approval import Approval
from core.domain.chat import Place, Platform
from core.domain.view import View
from core.errors import PostGone
from core.ports import Allowance, Call, ConsoleThreads, FileLimit, Payload, Receipt
from core.surfaces.console import render

_PACE_S: Final = 0.5


class ConsoleSurface:
    """`core.ports.Surface` for console chats."""

    platform = Platform.CONSOLE

    def __init__(self, threads: ConsoleThreads) -> None:
        self._threads = threads

    def render(self, view: View) -> Sequence[Payload]:
        """One post, whatever its length."""
        return render.render(view)

    def render_approval(self, approval: Approval) -> Sequence[Payload]:
        """One post."""
        return render.render_approval(approval)

    async def file_limit(self, place: Place) -> FileLimit:  # noqa: ARG002 - the same everywhere
        """No limit of its own: files are named here, and stay where they are."""
        return FileLimit(1 << 40)

    def render_file(self, name: str, data: bytes) -> Payload:
        """One post that names it."""
        return render.render_file(name, data)

    def allowance(self, place: Place, call: Call) -> Allowance:
        """Two progress edits a second for each chat; nothing else is limited in earnest."""
        return Allowance(f"console:{place.thread}:{call}", per_minute=240, burst=20, pace_s=_PACE_S)

    async def send(self, place: Place, payload: Payload, mark: str) -> str:
        """Post; the same mark twice is one post."""
        return await self._threads.put(place.key, mark, payload.body)

    async def find(self, place: Place, mark: str, since: datetime) -> str | None:  # noqa: ARG002 - the port's shape
        """The post with this mark."""
        return await self._threads.by_mark(place.key, mark)

    async def edit(self, place: Place, external_id: str, payload: Payload) -> None:
        """Change a post. Raises `PostGone`."""
        if not await self._threads.replace(external_id, payload.body):
            raise PostGone(f"{place.key} has no post {external_id}")

    async def delete(self, place: Place, external_id: str) -> None:  # noqa: ARG002 - the port's shape
        """Take a post away; one that is gone is no error."""
        await self._threads.remove(external_id)

    def looks_alike(self, receipt: Receipt, before: Receipt | None) -> bool:
        """Never: a terminal has a word for each."""
        return receipt is before

    async def receipt(self, place: Place, message: str, receipt: Receipt, before: Receipt | None) -> None:  # noqa: ARG002
        """Show a receipt on a person's message."""
        await self._threads.put_receipt(place.key, message, receipt.value)
