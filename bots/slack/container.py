"""The agent's container: what Slack shows around a chat with the app, where the app is one of its agents.

A thread there is a chat like any other. Besides: what one may begin with, the chat's title in the list of threads, and
"is working…" until the first post of a turn, which takes it away by itself
(https://docs.slack.dev/reference/methods/assistant.threads.setStatus). None of it is needed: what Slack refuses is not
tried again for a while, and nothing else comes of that. Next: `taking.py`.
"""

import time
from typing import Final

import structlog

from bots.slack.parse import ContainerOpened
from bots.slack.workspaces import Workspace
from core.domain.chat import Place
from core.domain.states import MessageState
from core.errors import ThreadworkError
from core.ports import Accepted, Stores
from core.surfaces.slack.blocks import one_line

log = structlog.get_logger(__name__)
WORKING: Final = "is working…"
GREETING: Final = "What shall I do? For example:"
# At most four: https://docs.slack.dev/reference/methods/assistant.threads.setSuggestedPrompts
PROMPTS: Final = (
    ("What can you do?", "What can you do for me here, and what will you ask me about first?"),
    ("Write and run a script", "Write fizzbuzz.py, run it, and show me what it prints."),
    ("Look at a repository", "Ask me which repository to clone, then tell me how it is built and tested."),
    ("Look into a file", "Ask me for a file, then tell me what is in it and what is odd about it."),
)
_TITLE: Final = 100
_REFUSED_S: Final = 600.0


class Container:
    """What is shown around chats."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._refused_until: dict[str, float] = {}

    async def opened(self, opened: ContainerOpened, workspace: Workspace) -> None:
        """Suggest what to begin with, where nothing was begun yet."""
        if self._is_refused(workspace) or await self._stores.chats.by_key(opened.place.key) is not None:
            return
        place = opened.place
        try:
            await workspace.web.suggest(place.channel, place.thread, GREETING, PROMPTS)
        except ThreadworkError as error:
            self._note(workspace, place, error)

    async def taken(self, place: Place, accepted: Accepted, title: str, workspace: Workspace) -> None:
        """Show that a message is worked on, and what its chat is called."""
        if self._is_refused(workspace):
            return
        try:
            if await self._stores.turns.unfinished(accepted.chat.id) is None:
                await self._show_working(place, accepted, workspace)
            if accepted.is_new_chat and (line := one_line(title, _TITLE)):
                await workspace.web.entitle(place.channel, place.thread, line)
        except ThreadworkError as error:
            self._note(workspace, place, error)

    async def _show_working(self, place: Place, accepted: Accepted, workspace: Workspace) -> None:
        await workspace.web.set_status(place.channel, place.thread, WORKING)
        recent = await self._stores.messages.recent(accepted.chat.id)
        now = next((one for one in recent if one.id == accepted.message.id), None)
        if now is None or now.state is not MessageState.QUEUED:
            # A worker was quicker: its post is there, and would not take away what came after it.
            await workspace.web.set_status(place.channel, place.thread, "")

    def _is_refused(self, workspace: Workspace) -> bool:
        return self._refused_until.get(workspace.team, 0.0) > time.monotonic()

    def _note(self, workspace: Workspace, place: Place, error: ThreadworkError) -> None:
        log.info("container_not_set", chat=place.key, why=str(error)[:300])
        if not error.retryable:
            self._refused_until[workspace.team] = time.monotonic() + _REFUSED_S
