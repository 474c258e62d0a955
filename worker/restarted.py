"""After the agent's program was started again in mid-turn: what people and the agent are told of it.

Next: `wording.py`, which has the words; `run_chat.py`, which starts it.
"""

from dataclasses import replace

from core.domain import events as e
from core.errors import AgentError
from worker.agent import process
from worker.hold import Hold
from worker.sandbox.seating import Seated
from worker.telling import Telling
from worker.tools import Tools
from worker.wording import after_restart


async def tell_of_restart(
    tools: Tools, hold: Hold, telling: Telling, seated: Seated, why: str
) -> tuple[str | None, set[str]]:
    """Count the restart and tell people; what the agent must be told, and the messages its memory already holds.

    No note: its memory has nothing of this turn. A message that the resumed memory holds is not to be said again: the
    CLI would ignore it, and wait for ever. Raises `AgentError` when it was started too often; `why`, if that is known.
    """
    turns, seat = tools.stores.turns, seated.seat
    restarts = await turns.restarted(hold.fence, telling.turn.id)
    if restarts > tools.limits.restarts:
        raise AgentError(f"The agent's program ended unexpectedly {restarts} times. {why}".strip())
    telling.turn = replace(telling.turn, restarts=restarts)
    if not seated.is_resumed or seat.session_id is None:
        words = "The agent's program was lost with its memory of this thread; I start on your message anew."
        await telling.tell([e.AgentRestarted(words)], seat)
        return None, set()
    known = set()
    for message in await tools.stores.messages.of_turn(telling.turn.id):
        if await process.knows_message(seated.sandbox, seat.session_id, str(message.id)):
            known.add(str(message.id))
    asked = {ask.tool_use_id for ask in telling.asks.values()}
    running = telling.view.running_steps
    told: list[e.RunEvent] = [e.AgentRestarted("The agent's program was interrupted and has been started again.")]
    told += [e.ToolFailed(tool.id, "interrupted", tool.parent) for tool in running if tool.id not in asked]
    await telling.tell(told, seat)
    return (after_restart(running, list(telling.asks.values())) if known else None), known
