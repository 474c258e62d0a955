"""Writing to the agent: a run that lost its chat says nothing to it any more."""

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from claude_agent_sdk import CLIConnectionError

from core.errors import Fenced, Unavailable
from worker.agent.transport import JournalTransport

WORD = '{"type":"user"}\n'


@dataclass(slots=True)
class Scripted:
    """A sandbox and a hold on the chat. The first `failing` words get no answer; the chat is lost after `turns`."""

    turns: int
    failing: int = 0
    tried: list[str] = field(default_factory=list)

    async def send_stdin(self, pid: int, data: str) -> None:
        self.tried.append(data)
        if len(self.tried) <= self.failing:
            raise Unavailable("the sandbox", "no answer")

    async def confirm(self) -> None:
        self.turns -= 1
        if self.turns < 0:
            raise Fenced("another run has the chat")


async def _deliver(_: object) -> None: ...


def transport(on: Scripted) -> JournalTransport:
    return JournalTransport(
        cast("Any", on),
        pid=1,
        run_dir="/run",
        offset=0,
        pending=(),
        deliver=_deliver,
        confirm=on.confirm,
        is_new=False,
    )


async def test_a_run_whose_chat_was_taken_says_nothing_to_the_agent() -> None:
    on = Scripted(turns=0)
    writing = transport(on)
    with pytest.raises(CLIConnectionError) as refused:
        await writing.write(WORD)

    assert on.tried == []
    assert isinstance(refused.value.__cause__, Fenced)
    assert not writing.is_ready()


async def test_a_word_that_got_no_answer_is_not_repeated_once_the_chat_was_taken() -> None:
    on = Scripted(turns=1, failing=1)
    with pytest.raises(CLIConnectionError):
        await transport(on).write(WORD)

    assert on.tried == [WORD]


async def test_a_word_that_got_no_answer_is_repeated_while_the_chat_is_ours() -> None:
    on = Scripted(turns=2, failing=1)
    await transport(on).write(WORD)

    assert on.tried == [WORD, WORD]
