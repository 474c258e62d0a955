"""The real CLI plays with the scripted model, through the gateway, with tools that really run."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.bare_cli import BareCli, Line, bare_cli
from threadwork.offline_model.server import serve_offline_model
from worker.gateway.app import GatewaySettings, serve_gateway
from worker.gateway.credential import Credential
from worker.gateway.tokens import mint_token

SECRET = b"0123456789abcdef0123456789abcdef"
FIZZBUZZ = "write fizzbuzz.py and run it"
WITHIN_S = 30.0


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="tw", dir="/tmp"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@contextlib.asynccontextmanager
async def a_session(folder: Path, *arguments: str, **changes: Any) -> AsyncIterator[BareCli]:
    """A CLI whose only way to a model is the gateway's socket, and behind that the scripted model."""
    delay_s = changes.pop("delay_s", 0)
    environment = {
        "ANTHROPIC_BASE_URL": "http://gateway",
        "ANTHROPIC_UNIX_SOCKET": str(folder / "gw" / "s"),
        "ANTHROPIC_API_KEY": mint_token(SECRET, "c1"),
        **changes.pop("environment", {}),
    }
    async with serve_offline_model(delay_s=delay_s) as url:
        settings = GatewaySettings(Credential("api_key", "none"), SECRET, url, folder / "gw" / "s")
        arguments = ("--model", "offline-scripted", *arguments)
        async with serve_gateway(settings), bare_cli(folder, environment, *arguments, **changes) as cli:
            yield cli


def used(cli: BareCli) -> list[str]:
    return [block["name"] for line in cli.lines for block in content_of(line) if block["type"] == "tool_use"]


def said(cli: BareCli) -> str:
    return "\n".join(block["text"] for line in cli.lines for block in content_of(line) if block["type"] == "text")


def content_of(line: Line) -> list[Line]:
    content: list[Line] = line["message"]["content"] if line["type"] == "assistant" else []
    return content


async def test_a_program_is_written_run_mended_and_run_again(folder: Path) -> None:
    async with a_session(folder) as cli:
        result = await cli.turn(FIZZBUZZ)

    assert used(cli) == ["Write", "Bash", "Edit", "Bash"]
    assert [request["tool_name"] for request in cli.asked] == ["Write", "Bash", "Edit", "Bash"]
    assert said(cli).count("scripted model, not Claude") == 1
    assert result["result"].startswith("### Done")
    assert not result["is_error"]
    program = folder / "work" / "fizzbuzz.py"
    output = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=True).stdout
    assert output.splitlines()[14] == "FizzBuzz"
    assert output.strip() in result["result"]


async def test_the_answers_say_which_model_they_are_from(folder: Path) -> None:
    async with a_session(folder) as cli:
        result = await cli.turn("hello")

    assert {line["message"]["model"] for line in cli.lines if line["type"] == "assistant"} == {"offline-scripted"}
    assert list(result["modelUsage"]) == ["offline-scripted"]
    assert result["usage"]["output_tokens"] > 0


@pytest.mark.parametrize(
    ("tasks", "tool", "loads"), [("1", "TaskCreate", "TaskCreate,TaskUpdate"), ("0", "TodoWrite", "TodoWrite")]
)
async def test_the_task_list_is_kept_with_whichever_tool_the_cli_has(
    folder: Path, tasks: str, tool: str, loads: str
) -> None:
    environment = {"CLAUDE_CODE_ENABLE_TODO_TOOLS": "1", "CLAUDE_CODE_ENABLE_TASKS": tasks}
    async with a_session(folder, environment=environment) as cli:
        result = await cli.turn(FIZZBUZZ)

    assert used(cli)[:2] == ["ToolSearch", tool]
    assert used(cli)[-1] in {"TaskUpdate", "TodoWrite"}
    assert result["result"].startswith("### Done")
    assert f"select:{loads}" in json.dumps(cli.lines)


async def test_a_denied_command_does_not_run_and_the_report_says_so(folder: Path) -> None:
    def deny_bash(request: Mapping[str, Any]) -> Line:
        if request["tool_name"] == "Bash":
            return {"behavior": "deny", "message": "Not now, thank you."}
        return {"behavior": "allow", "updatedInput": request["input"]}

    async with a_session(folder, on_ask=deny_bash) as cli:
        result = await cli.turn(FIZZBUZZ)

    assert used(cli) == ["Write", "Bash"]
    assert "`Bash` did not run" in result["result"]
    assert "Not now, thank you." in result["result"]
    assert "return number\n" in (folder / "work" / "fizzbuzz.py").read_text()


async def test_a_file_from_before_is_written_anew(folder: Path) -> None:
    (folder / "work").mkdir()
    (folder / "work" / "fizzbuzz.py").write_text("print('old')\n")
    async with a_session(folder) as cli:
        result = await cli.turn(FIZZBUZZ)

    assert used(cli) == ["Write", "Bash", "Edit", "Bash"]
    assert result["result"].startswith("### Done")


async def test_the_same_can_be_asked_twice_in_one_chat(folder: Path) -> None:
    async with a_session(folder) as cli:
        await cli.turn(FIZZBUZZ)
        result = await cli.turn(FIZZBUZZ)
        memory = await cli.turn("what did I ask before?")

    assert result["result"].startswith("### Done")
    assert said(cli).count("not Claude") == 1
    assert memory["result"].count(FIZZBUZZ) == 2


async def test_a_question_with_options_gets_its_answer(folder: Path) -> None:
    def answer(request: Mapping[str, Any]) -> Line:
        asked = request["input"]["questions"]
        answers = {question["question"]: question["options"][1]["label"] for question in asked}
        return {"behavior": "allow", "updatedInput": {**request["input"], "answers": answers}}

    async with a_session(folder, on_ask=answer) as cli:
        result = await cli.turn("ask me something")

    assert "Shell" in result["result"]
    assert "Readme" in result["result"]


@pytest.mark.parametrize(("mode", "prompt"), [("plan", FIZZBUZZ), ("default", "make a plan")])
async def test_a_plan_is_shown_for_approval_and_then_carried_out(folder: Path, mode: str, prompt: str) -> None:
    async with a_session(folder, "--permission-mode", mode) as cli:
        result = await cli.turn(prompt)

    plans = [request["input"]["plan"] for request in cli.asked if request["tool_name"] == "ExitPlanMode"]
    assert len(plans) == 1
    assert plans[0].startswith("# Write FizzBuzz")
    assert result["result"].startswith("### Done")


async def test_words_while_it_works_are_acknowledged(folder: Path) -> None:
    async with a_session(folder) as cli:
        await cli.say(FIZZBUZZ)
        # The tool waits for its permission, which is given after these words are.
        await cli.wait_for(lambda line: any(block["type"] == "tool_use" for block in content_of(line)))
        await cli.say("and mind the gap")
        result = await cli.wait_for(lambda line: line["type"] == "result")

    assert said(cli).count("You say: “and mind the gap”") == 1
    assert result["result"].startswith("### Done")


async def test_a_turn_can_be_interrupted_and_the_next_one_works(folder: Path) -> None:
    async with a_session(folder, "--include-partial-messages", delay_s=0.05) as cli:
        await cli.say("a long answer")
        await cli.wait_for(lambda line: line["type"] == "stream_event")
        await cli.interrupt()
        stopped = await cli.wait_for(lambda line: line["type"] == "result")
        result = await cli.turn("run `echo still here`")

    assert stopped["is_error"]
    assert "still here" in result["result"]


async def test_what_the_cli_asks_beside_the_session_gets_a_plain_answer() -> None:
    title = {"type": "json_schema", "schema": {"type": "object", "properties": {"title": {"type": "string"}}}}
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "<session>hi</session>"}]}
    async with (
        asyncio.timeout(WITHIN_S),
        serve_offline_model(delay_s=0) as url,
        aiohttp.ClientSession(url) as client,
        client.post("/v1/messages", json={**body, "output_config": {"format": title}}) as named,
        client.post("/v1/messages", json=body) as plain,
        client.post("/v1/messages/count_tokens", json=body) as counted,
        client.get("/v1/models") as models,
        client.head("/api/hello") as probe,
        client.post("/v1/messages", data=b"{") as broken,
    ):
        assert json.loads((await named.json())["content"][0]["text"]) == {"title": "Scripted session"}
        assert "not Claude" in (await plain.json())["content"][0]["text"]
        assert (await counted.json())["input_tokens"] > 0
        assert (await models.json())["data"][0]["id"] == "offline-scripted"
        assert (probe.status, broken.status) == (200, 400)


async def test_the_program_says_where_it_listens_and_stops_on_a_signal() -> None:
    program = await asyncio.create_subprocess_exec(
        *("setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "threadwork.offline_model", "--port", "0"),
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"]},
        cwd=Path(__file__).parents[2],
    )
    try:
        async with asyncio.timeout(WITHIN_S):
            assert program.stdout is not None
            name, url = (await program.stdout.readline()).decode().split()
            assert name == "offline-model"
            async with aiohttp.ClientSession(url) as client, client.get("/v1/models") as models:
                assert models.status == 200
            program.send_signal(signal.SIGTERM)
            assert await program.wait() == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            program.kill()
