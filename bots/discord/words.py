"""How the bot's own answers read: help, the state of a chat, lists. Pure; in Discord's Markdown.

Next: `commands.py`.
"""

from collections.abc import Sequence
from typing import Final

from bots.discord.servers import link
from bots.words import BUSY, MODES, count, state
from core.domain.chat import Chat, ChatSettings
from core.domain.message import Message
from core.domain.turn import Turn
from core.surfaces.discord.components import line
from core.surfaces.discord.escaping import code

TITLE_CHARS: Final = 80

IN_THREAD_HELP: Final = """\
Whatever you write in this thread reaches the agent. Besides:
• `!stop` — stop what it does
• `!status` — what it does, what waits, how it is set
• `!model <name>` — which model from the next turn on; `!model default` for the usual one
• `!mode ask | auto | plan | bypass` — what it may do without asking
• `!queue` — what waits; `!queue on | off | interrupt` — what becomes of messages while it works
• `!mentions on | off` — listen only when mentioned
• `!invite @name` — let somebody answer its questions
• `!new <what to do>` — begin a new chat in this channel
• `!aside …` — a message for people, not for the agent
• `!help` — this"""

SLASH_HELP: Final = """\
Mention me in a channel, or write to me directly, and I begin a chat in a thread. Or:
• `/threadwork ask` — begin a chat in this channel, or ask in this thread
• `/threadwork stop` — stop what the agent does
• `/threadwork status` — what goes on in this thread or channel
• `/threadwork list` — your chats
• `/threadwork model`, `mode`, `queue`, `settings` — how the chat of this thread is set
• `/threadwork help` — this
In a message's menu, under Apps, Ask Threadwork begins a chat about that message.
In the thread of a chat, write `!help`."""


def status(chat: Chat, turn: Turn | None, waiting: int) -> str:
    """The state of a chat, in some lines."""
    lines = [f"**{line(chat.title, TITLE_CHARS)}** — {state(turn)}"]
    if waiting:
        lines.append(f"{count(waiting, 'message')} {'waits' if waiting == 1 else 'wait'} to be taken up.")
    lines += [settings(chat.settings), f"{count(chat.turns, 'turn')} so far, ${chat.cost_usd:.2f}."]
    return "\n".join(lines)


def settings(of: ChatSettings) -> str:
    """How a chat is set."""
    lines = [f"Mode `{of.mode}`: it {MODES[of.mode]}. Model: {code(of.model) if of.model else 'the usual one'}."]
    lines.append(BUSY[of.busy] + (" It listens only when mentioned." if of.mention_only else ""))
    return "\n".join(lines)


def waiting(queued: Sequence[Message], of: ChatSettings) -> str:
    """What waits to be taken up, in order."""
    lines = [f"{number}. {line(one.author_name, 50)}: {line(one.text, 200)}" for number, one in enumerate(queued, 1)]
    return "\n".join(["**Waiting:**", *lines] if lines else ["Nothing waits.", BUSY[of.busy]])


def listed(rows: Sequence[tuple[Chat, Turn | None]]) -> str:
    """Chats, one a line, with links, as many as fit into a message."""
    return "\n".join(
        f"• {line(chat.title, TITLE_CHARS)} <{link(chat.place)}> — {state(turn)}, ${chat.cost_usd:.2f}"
        for chat, turn in rows
    )
