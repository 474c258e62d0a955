"""A worker is killed at a chosen moment of a turn; what the one that goes on makes of it.

Used by the test of takeovers and by `bench/takeover.py`, so that what is measured is what is proved.
"""

import asyncio
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text

from core.domain import events as e
from core.domain.approval import Decision, Verdict
from core.domain.chat import Chat, ChatId, ChatSettings, Mode, Place, Platform
from core.domain.states import is_final
from core.store.engine import open_engine, single
from tests.doubles.anthropic import script_prompt
from tests.faults.drive import People
from tests.faults.platforms.console import ANN
from tests.faults.stack import Stack

MOMENTS: Final = ("in mid-text", "in mid-tool", "in mid-question")
WITHIN_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of one turn. `told` is its transcript; `calls` how often the model was asked."""

    takeover_s: float
    agent_before: str
    agent_after: str
    told: list[Any]
    calls: int
    ran: int
    posts: int
    questions: int
    state: str


def _prompt(moment: str, tag: str) -> str:
    slow = f"for i in 1 2 3 4 5 6 7 8 9 10; do echo $i; python3 -c 'import time; time.sleep(0.2)'; done; echo {tag} >> effects"
    quick = f"echo {tag} >> effects"
    words = " ".join(f"w{number}" for number in range(120))
    match moment:
        case "in mid-text":
            replies: list[list[dict[str, Any]]] = [[{"delay": 0.02}, {"text": f"Long: {words}"}]]
        case "in mid-tool":
            replies = [[{"tool": "Bash", "input": {"command": slow}}], [{"text": "Tool done."}]]
        case _:
            replies = [[{"tool": "Bash", "input": {"command": quick}}], [{"text": "Question done."}]]
    return script_prompt(*replies, say=f"Do {tag}.")


async def play(stack: Stack, people: People, moment: str, tag: str, *, kill: bool) -> Taken:
    """Play one turn, killing its worker at that moment if asked to."""
    async with asyncio.timeout(WITHIN_S), open_engine(stack.postgres.url, pool_size=2) as engine:
        place = Place(Platform.CONSOLE, "local", "", tag)
        mode = Mode.ASK if moment == "in mid-question" else Mode.BYPASS
        accepted = await people.intake.accept(place, ANN, tag, _prompt(moment, tag), settings=ChatSettings(mode=mode))
        chat_id = accepted.chat.id
        await _reached(people, chat_id, moment)
        agent = _agent(stack, await people.stores.chats.get(chat_id))
        before = await _leased(engine, chat_id)
        took = 0.0
        if kill:
            at = time.monotonic()
            os.kill(int(before[1].rpartition(":")[2]), signal.SIGKILL)
            while (await _leased(engine, chat_id))[0] == before[0]:
                await asyncio.sleep(0.05)
            took = time.monotonic() - at
        await _decide(people, chat_id)
        await _ended(people, chat_id)
        turn = (await people.stores.turns.recent(chat_id))[0]
        chat = await people.stores.chats.get(chat_id)
        events = [recorded.event for recorded in await people.stores.turns.events(turn.id)]
        effects = stack.sandboxes_dir / str(chat.seat.sandbox_id) / "home" / "work" / "effects"
        return Taken(
            takeover_s=took,
            agent_before=agent,
            agent_after=_agent(stack, chat),
            told=[_plain(event, tag) for event in events],
            calls=sum(tag in seen.raw.decode(errors="replace") for seen in stack.model.messages),
            ran=effects.read_text().split().count(tag) if effects.exists() else 0,
            posts=sum(post.body["kind"] == "turn" for post in await people.threads.posts(place.key)),
            questions=len(await people.stores.approvals.of_turn(turn.id)),
            state=turn.state.value,
        )


async def _reached(people: People, chat_id: ChatId, moment: str) -> None:
    """Wait until the turn has come to that moment."""
    while True:
        await asyncio.sleep(0.05)
        turn = await people.stores.turns.unfinished(chat_id)
        if turn is None:
            continue
        events = [recorded.event for recorded in await people.stores.turns.events(turn.id)]
        if moment == "in mid-text" and any(isinstance(event, e.AgentReady) for event in events):
            # Its words come for some two seconds: this is in the midst of them.
            await asyncio.sleep(1.0)
            return
        if moment == "in mid-tool" and any(isinstance(event, e.ToolStarted) for event in events):
            return
        if moment == "in mid-question" and await people.stores.approvals.pending(chat_id):
            return


async def _decide(people: People, chat_id: ChatId) -> None:
    for approval in await people.stores.approvals.pending(chat_id):
        await people.intake.decide(approval.id, Decision(Verdict.ALLOW), ANN)


async def _ended(people: People, chat_id: ChatId) -> None:
    while True:
        await asyncio.sleep(0.1)
        turns = await people.stores.turns.recent(chat_id)
        if turns and all(is_final(turn.state) and turn.is_shown for turn in turns):
            return


async def _leased(engine: Any, chat_id: ChatId) -> tuple[int, str]:
    query = text("SELECT epoch, lease_worker FROM chats WHERE id = :id")
    async with single(engine) as connection:
        row = (await connection.execute(query, {"id": UUID(str(chat_id))})).one()
    return int(row.epoch), str(row.lease_worker or "")


def _agent(stack: Stack, chat: Chat) -> str:
    """Which process the agent is: its pid in the sandbox, and when that began."""
    folder = stack.sandboxes_dir / str(chat.seat.sandbox_id) / "home"
    run = Path(str(folder) + str(chat.seat.run_dir).removeprefix("/home/user"))
    with suppress(OSError):
        return f"{run.name}:{(run / 'cli.pid').read_text().strip()}"
    return "none"


def _plain(event: e.RunEvent, tag: str) -> Any:
    """An event without what differs from run to run."""
    body = e.to_json(event)
    for name in ("id", "approval_id", "session_id", "message_ids", "duration_s", "cost_usd", "usage", "number"):
        body.pop(name, None)
    return {key: str(value).replace(tag, "TAG") for key, value in body.items()}
