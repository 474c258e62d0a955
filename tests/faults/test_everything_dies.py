"""The power is cut over an open question; an hour later it still stands, and one click answers it."""

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest

from core.domain.approval import Decision, Verdict
from core.domain.chat import ChatSettings, Mode, Place, Platform
from core.domain.states import ApprovalState, TurnState
from tests.doubles.anthropic import script_prompt
from tests.faults.drive import People, people
from tests.faults.platforms.console import ANN
from tests.faults.stack import running

PLACE = Place(Platform.CONSOLE, "local", "", "night")
COMMAND = "echo once >> effects"
# Ids of their own: the model's double begins to count anew when everything does.
PROMPT = script_prompt(
    [{"tool": "Bash", "input": {"command": COMMAND}, "id": "toolu_before"}],
    [{"tool": "Bash", "input": {"command": COMMAND}, "id": "toolu_after"}],
    [{"text": "It ran."}],
    say="Run it.",
)


async def _cards(crowd: People) -> list[tuple[str, str]]:
    posts = await crowd.threads.posts(PLACE.key)
    return [(post.id, post.body["state"]) for post in posts if post.body["kind"] == "tool"]


def _is_remembered(sandboxes: Path) -> bool:
    transcripts = sandboxes.glob("*/home/.claude/projects/*/*.jsonl")
    return any('"id":"toolu_before"' in transcript.read_text() for transcript in transcripts)


@pytest.mark.timeout(400)
async def test_a_question_outlives_everything() -> None:
    folder = Path(tempfile.mkdtemp(prefix="twf"))
    try:
        async with running(folder, 7) as stack, people(stack.postgres.url, stack.valkey.url) as crowd:
            accepted = await crowd.intake.accept(PLACE, ANN, "m1", PROMPT, settings=ChatSettings(mode=Mode.ASK))
            async with asyncio.timeout(60):
                while not await _cards(crowd):
                    await asyncio.sleep(0.1)
            (asked,) = await crowd.stores.approvals.pending(accepted.chat.id)
            before = await _cards(crowd)
            async with asyncio.timeout(60):
                # The CLI writes its memory a little after it asked; without it the script would come out of step.
                while not _is_remembered(stack.sandboxes_dir):
                    await asyncio.sleep(0.1)
            await stack.kill_everything()

        async with running(folder, 8, skew_s=3600) as stack, people(stack.postgres.url, stack.valkey.url) as crowd:
            (still,) = await crowd.stores.approvals.pending(accepted.chat.id)
            assert still.id == asked.id
            assert await _cards(crowd) == before

            await crowd.intake.decide(still.id, Decision(Verdict.ALLOW), ANN)
            async with asyncio.timeout(150):
                while (turn := (await crowd.stores.turns.recent(accepted.chat.id))[0]).state is not TurnState.DONE:
                    await asyncio.sleep(0.1)
                while not turn.is_shown:
                    turn = await crowd.stores.turns.get(turn.id)
                    await asyncio.sleep(0.1)

            chat = await crowd.stores.chats.get(accepted.chat.id)
            work = stack.sandboxes_dir / str(chat.seat.sandbox_id) / "home" / "work"
            assert (work / "effects").read_text() == "once\n"
            (settled,) = await crowd.stores.approvals.of_turn(turn.id)
            assert (settled.id, settled.state) == (asked.id, ApprovalState.ALLOWED)
            assert await _cards(crowd) == [(before[0][0], "allowed")]
            assert turn.text == "It ran."
    finally:
        shutil.rmtree(folder, ignore_errors=True)
