"""Lines that are typed or piped, read without a thread: one that waits for a line would hold up the program's end.

Next: `lines.py`, which talks in them.
"""

import asyncio
import os
from typing import Final

_PIECE: Final = 1 << 16


class TypedLines:
    """What comes in at a file descriptor, line by line."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""
        self._is_over = False

    async def next(self) -> str | None:
        """The next line without its end; None when there are no more."""
        while b"\n" not in self._rest and not self._is_over:
            await self._something_to_read()
            piece = os.read(self._descriptor, _PIECE)
            self._rest += piece
            self._is_over = not piece
        line, end, self._rest = self._rest.partition(b"\n")
        return line.decode(errors="replace") if line or end else None

    async def _something_to_read(self) -> None:
        loop = asyncio.get_running_loop()
        is_there = asyncio.Event()
        try:
            loop.add_reader(self._descriptor, is_there.set)
        except PermissionError:
            return  # A file, which never keeps anyone waiting.
        try:
            await is_there.wait()
        finally:
            loop.remove_reader(self._descriptor)
