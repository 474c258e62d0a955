"""The app's home tab: my chats, what they cost, how new ones are set. `home_view` is pure.

Next: `words.py`.
"""

from collections.abc import Sequence
from typing import Any, Final

from bots.slack import words
from bots.slack.slash import SHOWN, chats_of, with_turns
from bots.slack.workspaces import Workspace
from bots.words import count, state
from core.domain.chat import Chat, ChatSettings
from core.domain.turn import Turn
from core.ports import Stores
from core.surfaces.slack.blocks import context, section

Rows = Sequence[tuple[Chat, Turn | None]]
_DIVIDER: Final = {"type": "divider"}


async def show_home(user: str, workspace: Workspace, stores: Stores, defaults: ChatSettings, command: str) -> None:
    """Draw somebody's home tab as things are now."""
    mine = await chats_of(stores, workspace, user)
    rows = await with_turns(stores, mine[:SHOWN])
    await workspace.web.show_home(user, home_view(rows, mine, workspace, defaults, command))


def home_view(
    rows: Rows, mine: Sequence[Chat], workspace: Workspace, defaults: ChatSettings, command: str
) -> dict[str, Any]:
    """The tab. `rows` are the chats to list, `mine` all that count."""
    blocks: list[dict[str, Any]] = [_header("Your chats")]
    blocks += [_chat(chat, turn, workspace) for chat, turn in rows]
    if not rows:
        blocks.append(section("None yet. Mention me in a channel, or write to me under *Messages*."))
    blocks += [_DIVIDER, _header("Usage")]
    turns, spent = sum(chat.turns for chat in mine), sum(chat.cost_usd for chat in mine)
    blocks.append(section(f"{count(len(mine), 'chat')}, {count(turns, 'turn')}, ${spent:.2f}"))
    blocks += [_DIVIDER, _header("How new chats begin"), section(words.settings(defaults))]
    blocks.append(context(words.slash_help(command)))
    return {"type": "home", "blocks": blocks}


def _chat(chat: Chat, turn: Turn | None, workspace: Workspace) -> dict[str, Any]:
    when = f"<!date^{int(chat.active_at.timestamp())}^{{date_short_pretty}}, {{time}}|{chat.active_at:%Y-%m-%d %H:%M}>"
    return section(f"{words.link(chat, workspace)}\n{state(turn)} · {when} · ${chat.cost_usd:.2f}")


def _header(text: str) -> dict[str, Any]:
    return {"type": "header", "text": {"type": "plain_text", "text": text}}
