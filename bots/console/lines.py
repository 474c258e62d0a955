"""Talking in plain lines: for pipes, dumb terminals and `--plain`.

One line in is one message; what comes of it is printed as lines; a question is answered by a line. Ctrl-C stops the
turn, and twice leaves (`stopping.py`). Next: `play.py`, which does the talking.
"""

import sys
from functools import partial

from bots.console.answering import Answering, Typing
from bots.console.app import ConsoleChat
from bots.console.play import WIDTH, Player
from bots.console.safe import plain
from bots.console.screen import question, to_text
from bots.console.stopping import ctrl_c_stops
from bots.console.typed import TypedLines
from core.domain.approval import Approval, Decision
from core.domain.chat import ChatSettings
from core.errors import ThreadworkError


async def talk_in_lines(chat: ConsoleChat, settings: ChatSettings, banner: str) -> int:
    """Read lines until there are none; the exit code."""
    typed = TypedLines(sys.stdin.fileno())
    player = Player(chat, settings, partial(_answer, typed), as_json=False)
    with ctrl_c_stops(chat, _out):
        _out(banner)
        while (line := await _line(typed, "> ")) is not None:
            if not line.strip():
                continue
            try:
                await player.turn(line)
            except ThreadworkError as error:
                _out(error.words)
            except EOFError:
                _out("The question stays open; it waits for you in this chat.")
                return 0
            _out("")
    return 0


async def _answer(typed: TypedLines, approval: Approval) -> Decision | None:
    """Ask for a key, and a text where one is needed, until the question is decided. Raises `EOFError`."""
    asking = Answering(approval)
    while asking.decision is None:
        card = question(asking.approval, index=asking.index, chosen=asking.chosen)
        _out(to_text(card, WIDTH, colour=False))
        _out(asking.hint)
        line = await _line(typed, "? ")
        if line is None:
            raise EOFError
        asking = asking.key(line.strip() or "enter")
        if asking.typing is not Typing.MESSAGE:
            text = await _line(typed, f"{asking.typing}: ")
            asking = asking.typed(text or "")
    return asking.decision


async def _line(typed: TypedLines, prompt: str) -> str | None:
    if sys.stdin.isatty():
        sys.stdout.write(prompt)
        sys.stdout.flush()
    return await typed.next()


def _out(text: str) -> None:
    sys.stdout.write(plain(text) + "\n")
    sys.stdout.flush()
