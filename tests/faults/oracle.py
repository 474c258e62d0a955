"""The judge: reads the database, the journal, the surface's record and the workspace, and names what is broken."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from core.domain import events as e
from core.domain.states import ApprovalState, MessageState, TurnState, is_final
from tests.faults.drive import People, Played
from tests.faults.platforms.platform import Ending

SETTLE_S: Final = 15.0


async def judge(people: People, played: Played, sandboxes: Path, *, may_lose_processes: bool) -> list[str]:
    """Every invariant that does not hold in this chat, in words."""
    broken: list[str] = []
    tags = {number: tag for tag, number in played.said.items()}
    chat_id = played.chat_id
    if chat_id is None:
        return await _on_screen(played, Ending((), (), (), ()))
    chat = await people.stores.chats.get(chat_id)
    messages = await people.stores.messages.recent(chat_id)
    turns = list(reversed(await people.stores.turns.recent(chat_id)))
    events = {turn.id: await people.stores.turns.events(turn.id) for turn in turns}
    approvals = {turn.id: await people.stores.approvals.of_turn(turn.id) for turn in turns}

    # 1: no message is lost or answered twice.
    refused = played.room.refused
    if len(messages) + refused != len(played.chat.said):
        broken.append(f"1: {len(messages)} messages and {refused} refused for {len(played.chat.said)} said")
    taken_up: Counter[str] = Counter()
    for turn in turns:
        for recorded in events[turn.id]:
            match recorded.event:
                case e.TurnStarted():
                    taken_up.update(recorded.event.message_ids)
                case e.MessageSteered():
                    taken_up[recorded.event.message_id] += 1
                case _:
                    pass
    for message in messages:
        tag = tags.get(message.external_id)
        if tag is None:
            broken.append(f"1: message {message.external_id} was never said")
        if not is_final(message.state):
            broken.append(f"1: message {tag} is {message.state}")
        if message.state is MessageState.FAILED and not may_lose_processes:
            broken.append(f"1: message {tag} failed")
        answers = [turn for turn in turns if f"Done {tag}." in turn.text]
        if len(answers) > 1:
            broken.append(f"1: message {tag} was answered {len(answers)} times")
        # Messages that joined one turn get one answer: the model's, to the last of them.
        company = {tags.get(other.external_id) for other in messages if other.turn_id == message.turn_id}
        texts = [text for turn in turns if turn.id == message.turn_id for text in _texts(events[turn.id])]
        is_answered = any(f"Done {name}." in text for name in company for text in texts)
        if message.state is MessageState.ANSWERED and not is_answered:
            broken.append(f"1: message {tag} is answered without an answer")

    # 2: numbering without holes, and nothing after the end.
    for turn in turns:
        seqs = [recorded.seq for recorded in events[turn.id]]
        if seqs != list(range(1, len(seqs) + 1)):
            broken.append(f"2: turn {turn.number} has events {seqs}")
        ends = [recorded for recorded in events[turn.id] if isinstance(recorded.event, e.TurnFinished)]
        # 3: exactly one end, and it is shown.
        if len(ends) != 1 or events[turn.id][-1] is not ends[0]:
            broken.append(f"3: turn {turn.number} has {len(ends)} ends")
        if turn.state not in {TurnState.DONE, TurnState.FAILED, TurnState.STOPPED} or not turn.is_shown:
            broken.append(f"3: turn {turn.number} is {turn.state}, shown: {turn.is_shown}")
        if turn.state is TurnState.FAILED and not may_lose_processes:
            broken.append(f"3: turn {turn.number} failed: {turn.error}")

    # 4: no question twice, none decided by a stale or second click.
    asked = [approval for turn in turns for approval in approvals[turn.id]]
    for tag, times in Counter(str(approval.input.get("command")) for approval in asked).items():
        if times > 1:
            broken.append(f"4: {tag} was asked {times} times")
    for approval in asked:
        if approval.state is ApprovalState.PENDING:
            broken.append(f"4: {approval.line} is still open")
        if approval.decided_by not in {None, "Ann", "ann"}:
            broken.append(f"4: {approval.line} was decided by {approval.decided_by}")

    # 5: on screen is what was last rendered, once.
    rows = [post for turn in turns for post in await people.stores.posts.of_turn(turn.id)]
    on_screen = await _on_screen(played, Ending(turns, messages, asked, rows))

    home = sandboxes / str(chat.seat.sandbox_id)
    broken += _effects(played, asked, _outcomes(events), home, may_lose_processes=may_lose_processes)
    broken += _journal(events, home)
    return [f"{played.chat.name} (seed {played.chat.seed}): {words}" for words in broken] + on_screen


async def _on_screen(played: Played, ending: Ending) -> list[str]:
    """What is wrong there once a bot that is still putting something right has had the time to."""
    clock = asyncio.get_running_loop().time
    until = clock() + SETTLE_S
    while (broken := await played.room.broken(ending)) and clock() < until:
        await asyncio.sleep(0.5)
    return [f"{played.chat.name} (seed {played.chat.seed}): {words}" for words in broken]


def _texts(events: Any) -> Iterator[str]:
    return (recorded.event.text for recorded in events if isinstance(recorded.event, e.TextWritten))


def _outcomes(events: Any) -> dict[str, str]:
    """What came of each tool call, by its id: what the agent was told."""
    told = [recorded.event for turn in events.values() for recorded in turn]
    return {event.id: event.output for event in told if isinstance(event, e.ToolFinished | e.ToolFailed)}


def _effects(
    played: Played, asked: Any, outcomes: dict[str, str], sandbox: Path, *, may_lose_processes: bool
) -> Iterator[str]:
    """What was allowed ran once, and what was denied never."""
    file = sandbox / "home" / "work" / "effects"
    ran = Counter(file.read_text().split()) if file.exists() else Counter[str]()
    commands = {command.tag: command for said in played.chat.said for command in said.commands}
    allowed = {
        tag: outcomes.get(approval.tool_use_id, "nothing came of it")
        for tag in commands
        for approval in asked
        if f"echo {tag} >>" in str(approval.input.get("command")) and approval.state is ApprovalState.ALLOWED
    }
    for tag, times in ran.items():
        if times > 1:
            yield f"1: command {tag} ran {times} times"
        if tag not in allowed:
            yield f"4: command {tag} ran and was not allowed"
    if not may_lose_processes and not played.was_stopped:
        for tag in allowed.keys() - ran.keys():
            yield f"1: command {tag} was allowed and did not run: {allowed[tag][:300]!r}"


def _journal(events: Any, sandbox: Path) -> Iterator[str]:
    """Every block the agent wrote is recorded once, in order, and nothing else is."""
    written: list[str] = []
    called: list[str] = []
    runs = sandbox / "home" / ".threadwork" / "run"
    for run in sorted(runs.iterdir(), key=lambda path: int(path.name)) if runs.exists() else ():
        for raw in (run / "out.jsonl").read_bytes().split(b"\n")[:-1]:
            try:
                line = json.loads(raw)
            except ValueError:
                continue
            if line.get("type") == "assistant" and line.get("parent_tool_use_id") is None:
                for block in line["message"]["content"]:
                    if block["type"] == "text" and block["text"].strip():
                        written.append(block["text"])
                    if block["type"] == "tool_use":
                        called.append(block["id"])
    stored = [recorded.event for turn in events.values() for recorded in turn]
    texts = [event.text for event in stored if isinstance(event, e.TextWritten)]
    tools = [event.id for event in stored if isinstance(event, e.ToolStarted)]
    if texts != written:
        yield f"2: the journal has texts {_brief(written)}, recorded are {_brief(texts)}"
    if tools != called:
        yield f"2: the journal has calls {called}, recorded are {tools}"


def _brief(texts: list[str]) -> list[str]:
    return [text[:30] for text in texts]
