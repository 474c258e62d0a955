"""How the bot's own answers read: help, the state of a chat, lists. Pure; in Slack's mrkdwn.

Next: `commands.py`.
"""

from collections.abc import Sequence
from typing import Final

from bots.slack.workspaces import Workspace
from bots.words import BUSY, MODES, count, state
from core.domain.chat import Chat, ChatSettings
from core.domain.turn import Turn
from core.surfaces.slack.escaping import escape

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


def slash_help(command: str) -> str:
    """What the slash command can do."""
    return f"""\
Mention me in a channel, or write to me directly, and I begin a chat in a thread. Or:
• `{command} ask <what to do>` — begin a chat in this channel
• `{command} status` — what goes on in this channel
• `{command} list` — your chats
• `{command} settings` — how new chats are set
• `{command} help` — this
In the thread of a chat, write `!help`: Slack has no slash commands there."""


def status(chat: Chat, turn: Turn | None, waiting: int) -> str:
    """The state of a chat, in some lines."""
    lines = [f"*{escape(chat.title)}* — {state(turn)}"]
    if waiting:
        lines.append(f"{count(waiting, 'message')} {'waits' if waiting == 1 else 'wait'} to be taken up.")
    lines += [settings(chat.settings), f"{count(chat.turns, 'turn')} so far, ${chat.cost_usd:.2f}."]
    return "\n".join(lines)


def settings(of: ChatSettings) -> str:
    """How a chat is set."""
    lines = [
        f"Mode `{of.mode}`: it {MODES[of.mode]}. Model: {f'`{escape(of.model)}`' if of.model else 'the usual one'}."
    ]
    lines.append(BUSY[of.busy] + (" It listens only when mentioned." if of.mention_only else ""))
    return "\n".join(lines)


def listed(rows: Sequence[tuple[Chat, Turn | None]], workspace: Workspace) -> str:
    """Chats, one a line, with links."""
    return "\n".join(f"• {link(chat, workspace)} — {state(turn)}, ${chat.cost_usd:.2f}" for chat, turn in rows)


def link(chat: Chat, workspace: Workspace) -> str:
    """A chat's title, leading to its thread."""
    title = escape(chat.title).replace("|", "¦").replace("\n", " ")
    return f"<{workspace.link(chat.place.channel, chat.place.thread)}|{title}>"
