"""The legs of a run, with the real run, sandbox and CLI: also where several runs work on one turn."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from core.domain import events as e
from core.domain.chat import Mode
from core.domain.legs import Leg, LegName, intake_key, run_key, turn_key
from core.domain.states import TurnState
from core.errors import RateLimited
from core.ports import Call
from tests.stage import ScriptedChat, Stage, at_gate, bash, says
from tests.stage.surface import Refuse
from worker.run_chat import run_chat
from worker.tracing import traced

WAIT_S = 60
LOOP = "until [ -e go ]; do python3 -c 'import time; time.sleep(0.05)'; done"


class Legs:
    """`core.ports.Traces` that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Leg] = []

    def add(self, leg: Leg) -> None:
        self.told.append(leg)

    def of(self, name: LegName) -> list[Leg]:
        return [leg for leg in self.told if leg.name is name]

    def outcomes(self, name: LegName) -> list[object]:
        return [leg.facts["outcome"] for leg in self.of(name)]


@pytest.fixture
def legs() -> Legs:
    return Legs()


@asynccontextmanager
async def run_of(stage: Stage, chat: ScriptedChat, legs: Legs) -> AsyncIterator["asyncio.Task[None]"]:
    """A run of the chat that tells its legs, as a worker has it; it comes to its end with the block."""

    async def run() -> None:
        async with traced(stage.tools, legs) as tools:
            await run_chat(tools, chat.id)

    task = asyncio.create_task(run())
    try:
        async with asyncio.timeout(WAIT_S):
            yield task
            await asyncio.wait((task,))
    finally:
        task.cancel()
        await asyncio.wait((task,))
    if not task.cancelled():
        task.result()


def one_trace(legs: Legs, trace: UUID, epochs: Sequence[int]) -> None:
    assert {leg.trace for leg in legs.told} == {trace}
    assert {leg.facts["epoch"] for leg in legs.told} == set(epochs)
    assert len({leg.facts["turn"] for leg in legs.told}) == 1
    assert all(leg.facts["tenant"] and leg.facts["chat"] and leg.began_at <= leg.ended_at for leg in legs.told)


async def test_two_runs_of_a_turn_are_in_one_trace(stage: Stage, chat: ScriptedChat, legs: Legs) -> None:
    stage.desk.is_open = False
    message = await chat.say("Write.", [says("First words."), at_gate("end"), says("Last words.")])
    async with run_of(stage, chat, legs) as first:
        await chat.until(e.TextStreamed)
        first.cancel()
    async with run_of(stage, chat, legs):
        stage.model.open("end")
        await chat.is_done()

    (turn,) = await chat.turns()
    one_trace(legs, message.id, epochs=[1, 2])
    assert legs.outcomes(LegName.RUN) == ["handed_over", "done"]
    assert [leg.key for leg in legs.of(LegName.RUN)] == [run_key(turn.id, 1), run_key(turn.id, 2)]
    assert {leg.parent for leg in legs.of(LegName.RUN)} == {turn_key(turn.id)}
    assert [leg.facts["is_new"] for leg in legs.of(LegName.SANDBOX)] == [True, False]
    assert [leg.facts["is_new"] for leg in legs.of(LegName.AGENT)] == [True, False]
    assert len(legs.of(LegName.QUEUE)) == len(legs.of(LegName.FIRST_TEXT)) == 1
    (whole,) = legs.of(LegName.TURN)
    assert (whole.key, whole.parent, whole.links) == (turn_key(turn.id), intake_key(message.id), [])
    assert (whole.facts["outcome"], whole.facts["messages"], whole.is_failed) == ("done", 1, False)
    assert whole.began_at == turn.started_at.timestamp()


async def test_a_question_is_one_leg_though_the_turn_was_parked(stage: Stage, legs: Legs) -> None:
    stage.limit(park_after_s=0.0)
    stage.desk.is_open = False
    chat = stage.chat(mode=Mode.ASK)
    message = await chat.say("Work.", [bash("echo x >> ran")], [says("Done.")])
    async with run_of(stage, chat, legs):
        asked = await chat.asks()
        await chat.is_in_state(TurnState.WAITING)
    assert legs.outcomes(LegName.RUN) == ["parked"]
    await chat.decide(asked)
    async with run_of(stage, chat, legs):
        await chat.is_done("Done.")

    one_trace(legs, message.id, epochs=[1, 2])
    (question,) = legs.of(LegName.APPROVAL)
    settled = await stage.stores.approvals.get(asked.id)
    assert settled.decided_at is not None
    assert (question.began_at, question.ended_at) == (asked.asked_at.timestamp(), settled.decided_at.timestamp())
    assert (question.facts["outcome"], question.facts["kind"]) == ("allowed", "tool")
    assert legs.outcomes(LegName.RUN) == ["parked", "done"]


async def test_messages_that_join_a_turn_are_linked_to_it(stage: Stage, chat: ScriptedChat, legs: Legs) -> None:
    stage.desk.is_open = False
    first = await chat.say("Work.", [bash(LOOP)], [says("Both done.")])
    async with run_of(stage, chat, legs):
        await chat.until(e.ToolStarted)
        second = await chat.say("And mind the gap.")
        await chat.until(e.MessageSteered)
        await chat.runs("touch /home/user/work/go")
        await chat.is_done("Both done.")

    (turn,) = legs.of(LegName.TURN)
    assert (turn.trace, turn.links, turn.facts["messages"]) == (first.id, [second.id], 2)


async def test_a_run_that_breaks_says_so(stage: Stage, chat: ScriptedChat, legs: Legs) -> None:
    stage.desk.is_open = False
    await chat.say("Write.", [says("Words."), at_gate("never")])

    async def run() -> None:
        async with traced(stage.tools, legs) as tools:
            task = asyncio.create_task(run_chat(tools, chat.id))
            await chat.until(e.TextStreamed)
            task.cancel()
            await asyncio.wait((task,))
            raise RuntimeError("nobody knows why")

    with pytest.raises(RuntimeError):
        await run()

    (leg,) = legs.of(LegName.RUN)
    assert (leg.facts["outcome"], leg.is_failed) == ("failed", True)


async def test_a_platform_that_refuses_a_post_is_seen(stage: Stage, chat: ScriptedChat, legs: Legs) -> None:
    stage.desk.is_open = False
    await chat.say("Greet.", [says("Hello.")])
    stage.surface.fail(Call.SEND, Refuse(RateLimited(0.1)))
    async with run_of(stage, chat, legs):
        await chat.is_done("Hello.")

    refused = [leg for leg in legs.of(LegName.POST) if leg.is_failed]
    assert [leg.facts["error"] for leg in refused] == ["rate_limited"]
    assert {leg.parent for leg in legs.of(LegName.POST)} == {legs.of(LegName.RUN)[0].key}
