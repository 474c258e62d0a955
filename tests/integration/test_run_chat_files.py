"""Files that people attach: in the sandbox before the agent reads of them, each where its prompt says."""

from dataclasses import replace
from typing import Final

from core.domain import events as e
from core.domain.chat import ChatSettings, Place, Platform
from core.domain.message import FileIn
from core.errors import SurfaceError, TooLarge
from tests.doubles.anthropic import script_prompt
from tests.stage import ScriptedChat, Stage, bash, says
from tests.stage.chat import ANN
from worker.agent.options import WORKSPACE
from worker.inbox import MOST_BYTES, MOST_FILES

CONTENT: Final = {"good": b"all is well\n", "other": b"something else\n"}


class Source:
    """`core.ports.FileSource` with what this test knows of."""

    async def fetch(self, place: Place, file: FileIn, limit: int) -> bytes:
        assert limit == MOST_BYTES
        if file.size > limit:
            raise TooLarge("it is too large")
        if file.url not in CONTENT:
            raise SurfaceError("it is deleted")
        return CONTENT[file.url]


async def _say(stage: Stage, chat: ScriptedChat, key: str, command: str, *files: FileIn) -> str:
    """Send files with a request to run a command; what that printed."""
    stage.tools = replace(stage.tools, files={Platform.CONSOLE: Source()})
    stage.desk.tools = stage.tools
    text = script_prompt([bash(command)], [says(f"Done {key}.")], say="Look.")
    accepted = await stage.intake.accept(chat.place, ANN, key, text, files, settings=ChatSettings(), title="Files")
    chat._id = accepted.chat.id
    found = await chat.until(e.ToolFinished)
    await chat.is_done(f"Done {key}.")
    return found.output


async def test_a_file_is_in_the_sandbox_before_the_agent_reads_of_it(stage: Stage, chat: ScriptedChat) -> None:
    file = FileIn("notes.txt", "good", 12)
    assert await _say(stage, chat, "1", "cat inbox/*/notes.txt", file) == "all is well"
    request = str(stage.model.requests[0].body)
    assert "[Threadwork] Attached, in your workspace: inbox/" in request
    await _say(stage, chat, "2", "cat inbox/*/notes.txt | sort", replace(file, url="other"))
    assert await chat.runs(f"cat {WORKSPACE}/inbox/*/notes.txt | sort") == "all is well\nsomething else\n"


async def test_what_cannot_be_had_is_said_to_the_agent(stage: Stage, chat: ScriptedChat) -> None:
    files = [
        FileIn("big.bin", "good", MOST_BYTES + 1),
        FileIn("gone.txt", "gone", 5),
        FileIn("../../etc/../x.txt", "good", 12),
        FileIn("x.txt", "other", 15),
    ]
    printed = await _say(stage, chat, "1", "cd inbox/* && ls", *files, FileIn("x.txt", "good", 12))
    assert printed.split() == ["5-x.txt", "_.._etc_.._x.txt", "x.txt"]
    request = str(stage.model.requests[0].body)
    assert "Attached, but not to be had: big.bin: it is too large" in request
    assert "Attached, but not to be had: gone.txt: it is deleted" in request


async def test_of_very_many_files_the_first_are_brought(stage: Stage, chat: ScriptedChat) -> None:
    files = [FileIn(f"{number}.txt", "good", 12) for number in range(MOST_FILES + 5)]
    assert await _say(stage, chat, "1", "ls inbox/* | wc -l", *files) == str(MOST_FILES)
    assert "24.txt: too many at once" in str(stage.model.requests[0].body)
