"""Bringing what the agent leaves in its outbox into the thread, at the end of a turn.

Whatever lies there is untrusted: only regular files that are no links are taken, the listing and each file are read
within limits, names are shown in a form that cannot act. Each file is a post of its own in the ledger of posts, in a
slot named by what it holds, so a successor of a dead run sends none twice. What went is remembered by an event; later
turns share a file again only once it changed. What does not go is said to the people. Next: `posting.py`.
"""

import asyncio
import hashlib
import posixpath
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

import structlog

from core.domain import events as e
from core.domain.attachment import shown_name, size_words
from core.domain.chat import AgentSeat
from core.errors import Fenced, SandboxError, SurfaceError, ThreadworkError, TooLarge
from core.ports import Payload, Sandbox, Turns
from worker.agent.options import OUTBOX, WORKSPACE
from worker.limits import Limits
from worker.posting import Posting
from worker.telling import Telling

log = structlog.get_logger(__name__)
_LIST_S: Final = 20.0
_LISTED_CHARS: Final = 1 << 18
_FOLDER: Final = posixpath.join(WORKSPACE, OUTBOX)
# One record a file: size, when its inode last changed, inode, path. Hidden files are the agent's own business.
_LIST: Final = (
    f"if [ -d {_FOLDER} ] && [ ! -L {_FOLDER} ]; then cd {_FOLDER} && find . -mindepth 1 -maxdepth 4 "
    r"\( -name '.*' -prune \) -o -type f -printf '%s\t%C@\t%i\t%P\0' 2>/dev/null; fi"
)


@dataclass(frozen=True, slots=True)
class Left:
    """A file in the outbox. `stamp` is another one once the file was written to."""

    path: str
    size: int
    stamp: str

    @property
    def name(self) -> str:
        return shown_name(self.path)


@dataclass(slots=True)
class _Round:
    """One turn's sharing: how many more files may go, and what is to be said of the others."""

    telling: Telling
    seat: AgentSeat
    room: int
    waiting: int = 0
    why: list[str] = field(default_factory=list)


class Outbox:
    """The outbox of one chat."""

    def __init__(self, posting: Posting, turns: Turns, sandbox: Sandbox, limits: Limits) -> None:
        self._posting = posting
        self._turns = turns
        self._sandbox = sandbox
        self._limits = limits

    async def share(self, telling: Telling, seat: AgentSeat) -> None:
        """Share what is new; whatever fails, the turn goes on to its end. Raises `Fenced` only.

        `seat` is stored with the events: it must not lie past the line that ends the turn, or a successor would never
        hear of that end.
        """
        if not telling.view.steps and not telling.view.hidden_steps:
            # Without a tool nothing was left; a short answer is not kept waiting for a look.
            return
        sharing = _Round(telling, seat, self._limits.share_files - len(telling.view.files))
        try:
            await self._share_all(sharing)
        except TimeoutError:
            sharing.why.append("it took too long; what is missing goes with my next answer")
        except Fenced:
            raise
        except ThreadworkError as error:
            log.warning("outbox_not_shared", code=error.code, why=str(error))
            is_refused = isinstance(error, SurfaceError) and not error.retryable
            sharing.why.append(error.words if is_refused else "the sandbox or the platform does not answer")
        if sharing.waiting:
            some = f"{sharing.waiting} more {'file' if sharing.waiting == 1 else 'files'}"
            sharing.why.append(f"{some} wait for my next answers, {self._limits.share_files} at most go with one")
        for why in sharing.why:
            words = f"Not all files of {OUTBOX}/ are shared: {why.rstrip('.')}."
            if words not in telling.view.notices:
                await telling.tell([e.Noticed(words)], seat)

    async def _share_all(self, sharing: _Round) -> None:
        ends_at = asyncio.get_running_loop().time() + self._limits.share_s
        async with asyncio.timeout_at(ends_at):
            found = await self._found()
            told = await self._turns.handed_over(sharing.telling.turn.chat_id) if found else {}
        for file in found:
            before = told.get(file.path)
            if before is not None and before.stamp == file.stamp:
                continue
            if sharing.room <= 0:
                sharing.waiting += 1
                continue
            async with asyncio.timeout_at(ends_at):
                event = await self._share(sharing.telling, file, before)
            if event is not None:
                sharing.room -= 1
                await sharing.telling.tell([event], sharing.seat)

    async def _share(
        self, telling: Telling, file: Left, before: e.FileShared | e.FileKept | None
    ) -> e.FileShared | e.FileKept | None:
        """Share one file; what to tell of it, if there is anything new to tell."""
        try:
            data = await self._read(file)
            digest = hashlib.sha256(data).hexdigest()
            if isinstance(before, e.FileShared) and before.digest == digest:
                return None
            slot = f"file:{hashlib.sha256(f'{file.path} {digest}'.encode()).hexdigest()[:32]}"
            payload = self._posting.surface.render_file(file.name, data)
            await self._send(telling, slot, payload)
        except TooLarge as error:
            return e.FileKept(file.path, file.name, file.size, file.stamp, error.words.rstrip("."))
        except (FileNotFoundError, SandboxError) as error:
            # Gone since it was listed, or no file any more.
            log.warning("file_not_read", why=str(error))
            return e.FileKept(file.path, file.name, file.size, file.stamp, "it cannot be read")
        return e.FileShared(file.path, file.name, len(data), digest, file.stamp)

    async def _read(self, file: Left) -> bytes:
        if "\N{REPLACEMENT CHARACTER}" in file.path:
            raise TooLarge("its name is no text")
        limit = await self._posting.file_limit()
        most = min(self._limits.share_bytes, limit.most_bytes)
        if file.size > most:
            mends = ["ask me for it in parts, or smaller", limit.mend if limit.most_bytes == most else ""]
            mend = "; ".join(filter(None, mends))
            raise TooLarge(f"it has {size_words(file.size)}, and {size_words(most)} are the most here: {mend}")
        data = await self._sandbox.read_file(posixpath.join(_FOLDER, file.path), most)
        if not data:
            raise TooLarge("it is empty")
        return data

    async def _send(self, telling: Telling, slot: str, payload: Payload) -> None:
        """Send a file, trying again what may pass, for as long as the round may take."""
        delay = 0.2
        while True:
            try:
                await self._posting.put_file(telling.turn.id, slot, payload)
            except ThreadworkError as error:
                if not error.retryable:
                    raise
                log.warning("file_not_sent", code=error.code, why=str(error)[:300], again_in_s=delay)
                await asyncio.sleep(max(delay, getattr(error, "retry_after_s", 0.0)))
                delay = min(delay * 2, 5.0)
            else:
                return

    async def _found(self) -> Sequence[Left]:
        """The files in the outbox, by path; of very many, those that the first part of the listing names."""
        text = ""
        async with aclosing(self._sandbox.follow(_LIST, time_s=_LIST_S)) as pieces:
            async for piece in _at_most(pieces, _LISTED_CHARS):
                text += piece
        return sorted(filter(None, map(_read_record, text.split("\0")[:-1])), key=lambda file: file.path)


async def _at_most(pieces: AsyncIterator[str], chars: int) -> AsyncIterator[str]:
    async for piece in pieces:
        yield piece
        chars -= len(piece)
        if chars <= 0:
            return


def _read_record(record: str) -> Left | None:
    """One file of the listing. A name cannot forge another record: none holds a NUL."""
    size, _, rest = record.partition("\t")
    changed, _, rest = rest.partition("\t")
    inode, _, path = rest.partition("\t")
    if not (size.isascii() and size.isdigit() and path) or ".." in path.split("/") or path.startswith("/"):
        return None
    return Left(path, int(size), f"{size}-{changed}-{inode}"[:80])
