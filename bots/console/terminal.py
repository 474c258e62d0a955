"""Talking at a terminal: what goes on above, a line to type on below, questions answered with a key.

prompt-toolkit keeps the line editor at the bottom through resizes and pastes; what is finished scrolls up for good and
the turn under way is redrawn in place. Typing while it works steers. Ctrl-C stops the turn, and twice leaves. Without
a terminal (`can_draw` is false) lines are read and printed plainly. Next: `screen.py`, `answering.py`.
"""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import aclosing, suppress
from typing import Final
from uuid import UUID

from prompt_toolkit.application import Application, run_in_terminal
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import ANSI
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import HSplit, Layout, Window
from prompt_toolkit.layout.controls import BufferControl, FormattedTextControl
from prompt_toolkit.layout.dimension import Dimension
from prompt_toolkit.layout.processors import BeforeInput

from bots.console import screen
from bots.console.answering import PROMPTS, Answering, Typing
from bots.console.app import ConsoleChat, Seen
from bots.console.lines import talk_in_lines
from bots.console.safe import plain
from core.domain import events as e
from core.domain.approval import ApprovalId, Decision
from core.domain.chat import Chat, ChatSettings
from core.domain.states import ApprovalState
from core.domain.turn import TurnId
from core.domain.view import View, fold
from core.errors import ThreadworkError
from core.ports import Cursor

_TWICE_S: Final = 2.0
_KEYS: Final = "aAydnrekoDREKO0123456789"
_ALONE_S: Final = 0.3


async def talk(chat: ConsoleChat, settings: ChatSettings, *, can_draw: bool, banner: str, colour: bool) -> int:
    """Talk until the person leaves; the exit code. `banner` is said first."""
    if not can_draw:
        return await talk_in_lines(chat, settings, banner)
    return await Terminal(chat, settings, banner, colour=colour).run()


class Terminal:
    """One sitting at a terminal."""

    def __init__(self, chat: ConsoleChat, settings: ChatSettings, banner: str, *, colour: bool) -> None:
        self._chat = chat
        self._settings = settings
        self._banner = banner
        self._colour = colour
        self._turn: TurnId | None = None
        self._view: View | None = None
        self._asks: list[Answering] = []
        self._tick = 0
        self._interrupted_at = float("-inf")
        self._word = ""
        self._started = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._buffer = Buffer(multiline=False, history=InMemoryHistory(), accept_handler=self._accept)
        self._app: Application[int] = self._application()

    # ------------------------------------------------------------ the screen

    def _application(self) -> Application[int]:
        above = Window(
            FormattedTextControl(self._above), wrap_lines=False, dont_extend_height=True, height=Dimension(min=0)
        )
        line = Window(
            BufferControl(self._buffer, input_processors=[BeforeInput(self._prompt)]),
            wrap_lines=True,
            dont_extend_height=True,
            height=Dimension(min=1, max=10),
        )
        below = Window(
            FormattedTextControl(self._below), wrap_lines=True, dont_extend_height=True, height=Dimension(min=1)
        )
        return Application(
            layout=Layout(HSplit([above, line, below]), focused_element=line),
            key_bindings=self._keys(),
            full_screen=False,
            erase_when_done=True,
            mouse_support=False,
        )

    def _above(self) -> ANSI:
        """The turn under way and its question, cut at the top to what fits."""
        rows, columns = self._app.output.get_size()
        text = ""
        if self._view is not None:
            text = screen.to_text(screen.turn(self._view, tick=self._tick), columns, colour=self._colour)
        if self._asks:
            asked = self._asks[0]
            card = screen.question(asked.approval, index=asked.index, chosen=asked.chosen)
            text += "\n" + screen.to_text(card, columns, colour=self._colour)
        lines = text.splitlines()
        room = max(3, rows - 3 - len(self._words_below()))
        return ANSI("\n".join(lines[-room:]))

    def _prompt(self) -> str:
        return PROMPTS[self._asks[0].typing if self._asks else Typing.MESSAGE]

    def _words_below(self) -> list[str]:
        """What may be pressed just now, or what went wrong, in as many lines as it takes."""
        if self._word:
            words = self._word
        elif self._asks:
            words = self._asks[0].hint
        elif self._view is not None:
            words = "type to steer · Ctrl-C stops"
        else:
            words = "Enter sends · Ctrl-C leaves"
        return screen.keys(words, self._app.output.get_size().columns - 1)

    def _below(self) -> ANSI:
        dim, end = ("\x1b[2m", "\x1b[0m") if self._colour else ("", "")
        return ANSI(dim + "\n".join(self._words_below()) + end)

    # ------------------------------------------------------------ keys

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()
        is_asked = Condition(lambda: bool(self._asks) and self._asks[0].typing is Typing.MESSAGE)
        is_empty = Condition(lambda: not self._buffer.text)

        for key in _KEYS:

            @keys.add(key, filter=is_asked & is_empty)
            def _(event: KeyPressEvent) -> None:
                self._buffer.insert_text(event.data)
                self._spawn(self._press_if_alone(event.data))

        @keys.add("enter", filter=is_asked & is_empty)
        def _(_event: KeyPressEvent) -> None:
            self._press("enter")

        @keys.add("escape", filter=Condition(lambda: bool(self._asks)))
        def _(_event: KeyPressEvent) -> None:
            first = self._asks[0]
            self._asks[0] = Answering(first.approval, first.index, first.chosen, first.answers)
            self._buffer.reset()

        @keys.add("c-c")
        def _(_event: KeyPressEvent) -> None:
            self._interrupt()

        @keys.add("c-d", filter=is_empty)
        def _(event: KeyPressEvent) -> None:
            event.app.exit(result=0)

        return keys

    async def _press_if_alone(self, key: str) -> None:
        """A key decides only by itself: as the first letter of a word it is the beginning of a message."""
        await asyncio.sleep(_ALONE_S)
        if self._buffer.text == key and self._asks and self._asks[0].typing is Typing.MESSAGE:
            self._buffer.reset()
            self._press(key)

    def _press(self, key: str) -> None:
        self._asks[0] = self._asks[0].key(key)
        if self._asks[0].typing is not Typing.MESSAGE:
            self._buffer.text = self._asks[0].prefill
            self._buffer.cursor_position = len(self._buffer.text)
        self._decide_if_done()

    def _accept(self, buffer: Buffer) -> bool:
        text = buffer.text
        if self._asks and self._asks[0].typing is not Typing.MESSAGE:
            self._asks[0] = self._asks[0].typed(text)
            if self._asks[0].typing is Typing.EDIT:
                self._word = "That is not the JSON it must be; mend it, or press Escape."
                return True
            self._word = ""
            self._decide_if_done()
            return False
        if self._asks and len(text) == 1 and text in _KEYS:
            buffer.reset()
            self._press(text)
            return bool(buffer.text)
        if text.strip():
            self._spawn(self._say(text))
        return False

    def _interrupt(self) -> None:
        now = time.monotonic()
        if self._view is None or now - self._interrupted_at < _TWICE_S:
            self._app.exit(result=0)
            return
        self._interrupted_at = now
        self._word = "Stopping… press Ctrl-C again to leave."
        self._spawn(self._stop())

    # ------------------------------------------------------------ doing

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        if self._tasks is not None:
            self._tasks.create_task(self._told(work))

    async def _told(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except ThreadworkError as error:
            self._word = error.words
        self._app.invalidate()

    async def _say(self, text: str) -> None:
        is_steering = self._view is not None
        await self._chat.say(text, self._settings)
        if not is_steering:
            await self._print(f"› {plain(text)}", dim=True)
        self._word = ""
        self._started.set()

    async def _stop(self) -> None:
        if not await self._chat.stop():
            self._word = "Nothing to stop."

    def _decide_if_done(self) -> None:
        decision = self._asks[0].decision
        if decision is not None:
            approval = self._asks.pop(0).approval
            self._buffer.reset()
            self._spawn(self._decide(str(approval.id), decision))

    async def _decide(self, approval_id: str, decision: Decision) -> None:
        await self._chat.decide(approval_id, decision)

    async def run(self) -> int:
        """Talk until the person leaves."""
        await self._print_now(self._banner)
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                watching = tasks.create_task(self._watch())
                ticking = tasks.create_task(self._animate())
                code = await self._app.run_async()
                watching.cancel()
                ticking.cancel()
                self._tasks = None
        finally:
            with suppress(Exception):
                await self._print_now("")
        return code

    async def _animate(self) -> None:
        while True:
            await asyncio.sleep(0.12)
            if self._view is not None:
                self._tick += 1
                self._app.invalidate()

    async def _watch(self) -> None:
        chat, cursor = await self._beginning()
        async with aclosing(self._chat.watch(chat, cursor)) as seen:
            async for item in seen:
                await self._see(item)

    async def _beginning(self) -> tuple[Chat, Cursor]:
        """The chat and where to watch from: a turn that runs already is drawn as it stands."""
        chat = await self._chat.find()
        if chat is None:
            await self._started.wait()
            chat = await self._chat.find()
            assert chat is not None  # noqa: S101 - something was said in it
            return chat, Cursor("")
        cursor = await self._chat.cursor(chat)
        turn = await self._chat.stores.turns.unfinished(chat.id)
        if turn is not None:
            for recorded in await self._chat.stores.turns.events(turn.id):
                await self._see(Seen(turn.id, recorded.event))
        return chat, cursor

    async def _see(self, item: Seen) -> None:
        if item.turn_id != self._turn or self._view is None:
            if isinstance(item.event, e.TurnFinished) and item.turn_id == self._turn:
                return
            self._turn, self._view = item.turn_id, View()
        self._view = fold(self._view, item.event)
        match item.event:
            case e.ApprovalAsked():
                await self._ask(item.event.approval_id)
            case e.ApprovalSettled():
                self._asks = [ask for ask in self._asks if str(ask.approval.id) != item.event.approval_id]
                if item.event.words and item.event.state is not ApprovalState.WITHDRAWN:
                    await self._print(f"  {plain(item.event.words)}", dim=True)
            case e.TurnFinished():
                await self._end(self._view)
            case _:
                pass
        self._app.invalidate()

    async def _ask(self, approval_id: str) -> None:
        approval = await self._chat.stores.approvals.get(ApprovalId(UUID(approval_id)))
        if approval.state is ApprovalState.PENDING:
            self._asks.append(Answering(approval))

    async def _end(self, view: View) -> None:
        self._view, self._asks, self._word = None, [], ""
        columns = self._app.output.get_size().columns
        text = screen.to_text(screen.turn(view), columns, colour=self._colour)
        await self._print_now(text + "\n")

    async def _print(self, text: str, *, dim: bool = False) -> None:
        await self._print_now(f"\x1b[2m{text}\x1b[0m" if dim and self._colour else text)

    async def _print_now(self, text: str) -> None:
        """Print above the live part, to stay."""
        await run_in_terminal(lambda: print(text))  # noqa: T201 - this is the terminal
