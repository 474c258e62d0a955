"""Bringing what people attached into the chat's sandbox, where its prompt says it is.

Each message has a folder of its own, so a second `image.png` does not take the first one's place, and bringing a
message again writes the same files. What cannot be brought is said to the agent, which can tell the people.
Next: `wording.py`.
"""

import asyncio
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from core.domain.chat import Place, Platform
from core.domain.message import FileIn, Message
from core.errors import ThreadworkError
from core.ports import FileSource, Sandbox
from worker.agent.options import WORKSPACE

log = structlog.get_logger(__name__)
INBOX: Final = "inbox"
MOST_BYTES: Final = 25 * 1024 * 1024
MOST_FILES: Final = 20
# A run must go on, whatever a platform does.
BRING_S: Final = 90.0
_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f/\\:*?\"<>|]+")
_NAME_CHARS: Final = 120


@dataclass(frozen=True, slots=True)
class Brought:
    """One file: where it is in the workspace, or why it is not there."""

    name: str
    path: str
    why_not: str = ""


class Inbox:
    """The inbox of one chat. Files of a platform that has no source stay where they are."""

    def __init__(self, sources: Mapping[Platform, FileSource], sandbox: Sandbox, place: Place) -> None:
        self._source = sources.get(place.platform)
        self._sandbox = sandbox
        self._place = place

    async def bring(self, message: Message) -> Sequence[Brought]:
        """Bring a message's files. Raises what writing into the sandbox raises."""
        if not message.files:
            return ()
        brought: list[Brought] = []
        try:
            async with asyncio.timeout(BRING_S):
                for number, file in enumerate(message.files):
                    brought.append(await self._bring(message, number, file))
        except TimeoutError:
            left = message.files[len(brought) :]
            brought += [Brought(file.name, "", "it took too long") for file in left]
        return brought

    async def _bring(self, message: Message, number: int, file: FileIn) -> Brought:
        if self._source is None or number >= MOST_FILES:
            return Brought(file.name, "", "too many at once" if self._source else "files cannot be fetched here")
        path = f"{INBOX}/{message.id.hex[:8]}/{_name(message.files, number)}"
        try:
            data = await self._source.fetch(self._place, file, MOST_BYTES)
        except ThreadworkError as error:
            log.warning("file_not_brought", size=file.size, why=str(error))
            return Brought(file.name, "", error.words)
        await self._sandbox.write_file(posixpath.join(WORKSPACE, path), data)
        return Brought(file.name, path)


def _name(files: Sequence[FileIn], number: int) -> str:
    """A name that is safe in a folder, and none other's in the message."""
    names = [_UNSAFE.sub("_", file.name).strip(". ")[-_NAME_CHARS:] or "file" for file in files[: number + 1]]
    return f"{number + 1}-{names[-1]}" if names[-1] in names[:-1] else names[-1]
