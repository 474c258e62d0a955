"""The scripted Anthropic API itself: that it plays its scripts to the real CLI, and catches what breaks the rules."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.doubles.anthropic import (
    AnthropicDouble,
    Cut,
    Garbage,
    Gate,
    Refusal,
    Reply,
    Text,
    Thinking,
    script_prompt,
    text_reply,
    tool_reply,
)
from tests.doubles.anthropic.fixtures import anthropic
from tests.doubles.anthropic.script import find_place, parse_reply
from tests.integration.bare_cli import Line, bare_cli

__all__ = ["anthropic"]

WITHIN_S = 30.0
VERSION = {"anthropic-version": "2023-06-01"}
TOOL = [{"tool": "Bash", "input": {"command": "echo one"}}]
# The CLI asks before this one, and reads what was said before it reads the answer.
ASKED = {"tool": "Bash", "input": {"command": "touch one"}}


def environment(double: AnthropicDouble) -> dict[str, str]:
    return {"ANTHROPIC_BASE_URL": double.url, "ANTHROPIC_API_KEY": "placeholder"}


async def ask(double: AnthropicDouble, *, headers: Mapping[str, str] = VERSION, **changes: Any) -> tuple[int, Line]:
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}], **changes}
    async with (
        asyncio.timeout(WITHIN_S),
        aiohttp.ClientSession(double.url) as client,
        client.post("/v1/messages", json=body, headers=headers) as answer,
    ):
        return answer.status, await answer.json()


def texts(lines: Sequence[Line]) -> list[str]:
    blocks = [b for line in lines if line["type"] == "assistant" for b in line["message"]["content"]]
    return [b["text"] for b in blocks if b["type"] == "text"]


async def test_a_prompt_carries_its_own_script(anthropic: AnthropicDouble, tmp_path: Path) -> None:
    script = script_prompt([{"text": "first"}, *TOOL], [*TOOL, *TOOL], [{"thinking": "hm"}, {"text": "last"}], say="go")
    async with bare_cli(tmp_path, environment(anthropic)) as cli:
        result = await cli.turn(script)

    assert texts(cli.lines) == ["first", "last"]
    assert result["result"] == "last"
    assert len(anthropic.messages) == 3
    assert anthropic.messages[0].headers["x-api-key"] == "placeholder"


async def test_each_turn_has_its_own_script_and_none_is_played_twice(
    anthropic: AnthropicDouble, tmp_path: Path
) -> None:
    async with bare_cli(tmp_path, environment(anthropic)) as cli:
        results = [
            (await cli.turn(text))["result"]
            for text in (script_prompt(TOOL, [{"text": "one"}]), "no script", script_prompt([{"text": "two"}]))
        ]

    assert results == ["one", "Nothing was scripted.", "two"]


async def test_a_script_survives_a_resumed_session(anthropic: AnthropicDouble, tmp_path: Path) -> None:
    async with bare_cli(tmp_path, environment(anthropic)) as cli:
        first = await cli.turn(script_prompt(TOOL, [{"text": "one"}]))
    async with bare_cli(tmp_path, environment(anthropic), "--resume", first["session_id"]) as cli:
        second = await cli.turn(script_prompt(TOOL, TOOL, [{"text": "two"}]))

    assert second["result"] == "two"


async def test_words_in_the_middle_do_not_disturb_a_script(anthropic: AnthropicDouble, tmp_path: Path) -> None:
    async with bare_cli(tmp_path, environment(anthropic)) as cli:
        await cli.say(script_prompt([{"gate": "first"}, ASKED], [{"text": "two"}, *TOOL], [{"text": "three"}]))
        await anthropic.wait_at("first")
        await cli.say("by the way")
        anthropic.open("first")
        await cli.wait_for(lambda line: line["type"] == "result")

    assert texts(cli.lines)[:2] == ["two", "three"]
    assert "by the way" in json.dumps(anthropic.messages[1].body["messages"])


async def test_words_in_the_middle_may_bring_a_script(anthropic: AnthropicDouble, tmp_path: Path) -> None:
    async with bare_cli(tmp_path, environment(anthropic)) as cli:
        await cli.say(script_prompt([{"gate": "first"}, ASKED], [{"text": "never said"}]))
        await anthropic.wait_at("first")
        await cli.say(script_prompt(TOOL, [{"text": "steered"}]))
        anthropic.open("first")
        result = await cli.wait_for(lambda line: line["type"] == "result")

    assert result["result"] == "steered"


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 529, "retry_after": 0},
        {"cut": True},
        {"garbage": "event: content_block_delta\ndata: {nonsense\n\n"},
    ],
)
async def test_a_fault_passes_when_the_client_tries_again(
    anthropic: AnthropicDouble, tmp_path: Path, fault: dict[str, Any]
) -> None:
    async with bare_cli(tmp_path, environment(anthropic)) as cli:
        result = await cli.turn(script_prompt([fault, {"text": "after"}]))

    assert (result["is_error"], result["result"]) == (False, "after")
    assert len(anthropic.messages) == 2


async def test_a_refusal_for_good_ends_the_turn(anthropic: AnthropicDouble, tmp_path: Path) -> None:
    once = {**environment(anthropic), "CLAUDE_CODE_MAX_RETRIES": "1"}
    async with bare_cli(tmp_path, once) as cli:
        result = await cli.turn(script_prompt([{"status": 401, "message": "who are you", "times": 0}]))

    assert (result["is_error"], result["api_error_status"]) == (True, 401)
    assert [line["error_status"] for line in cli.lines if line.get("subtype") == "api_retry"] == [401]


async def test_five_megabytes_come_whole(anthropic: AnthropicDouble, tmp_path: Path) -> None:
    async with bare_cli(tmp_path, environment(anthropic)) as cli:
        result = await cli.turn(script_prompt([{"text": "0123456789", "size": 5_000_000}]))

    assert len(result["result"]) == 5_000_000


async def test_a_hanging_answer_waits_for_its_client(anthropic: AnthropicDouble, tmp_path: Path) -> None:
    async with bare_cli(tmp_path, environment(anthropic), "--include-partial-messages") as cli:
        await cli.say(script_prompt([{"text": "half"}, {"hang": True, "times": 0}]))
        await cli.wait_for(lambda line: line["type"] == "assistant")
        assert anthropic.messages[0].answer == ""
        await cli.interrupt()
        result = await cli.wait_for(lambda line: line["type"] == "result")

    assert result["is_error"]
    await anthropic.wait_until(lambda: anthropic.messages[0].answer == "client left")


async def test_queued_answers_go_before_scripts(anthropic: AnthropicDouble) -> None:
    anthropic.queue.extend(
        [Refusal(429, "slow down", retry_after_s=3), tool_reply("Bash", command="ls"), text_reply("b")]
    )

    status, error = await ask(anthropic)
    assert (status, error["error"]["type"]) == (429, "rate_limit_error")
    assert (await ask(anthropic))[1]["stop_reason"] == "tool_use"
    assert (await ask(anthropic))[1]["content"] == [{"type": "text", "text": "b"}]
    assert (await ask(anthropic))[1]["content"][0]["text"] == "Nothing was scripted."


async def test_a_gate_opened_early_holds_nothing(anthropic: AnthropicDouble) -> None:
    anthropic.open("g")
    anthropic.queue.append(Reply((Gate("g"), Text("through"))))

    assert (await ask(anthropic))[1]["content"][0]["text"] == "through"


def results(*ids: str) -> Line:
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": i, "content": "x"} for i in ids]}


def calls(*ids: str) -> Line:
    return {"role": "assistant", "content": [{"type": "tool_use", "id": i, "name": "Bash", "input": {}} for i in ids]}


HI: Line = {"role": "user", "content": "hi"}
BROKEN: Mapping[str, tuple[Any, str]] = {
    "no messages": ([], "at least one message"),
    "a model begins": ([{"role": "assistant", "content": "x"}], "first message"),
    "a strange role": ([HI, {"role": "tool", "content": "x"}], "unexpected role"),
    "an empty text": ([{"role": "user", "content": [{"type": "text", "text": ""}]}], "non-empty"),
    "an answer without a call": ([HI, results("a")], "unexpected `tool_use_id`"),
    "an answer to another call": ([HI, calls("a"), results("b")], "unexpected `tool_use_id`"),
    "a call without an answer": ([HI, calls("a"), HI], "without `tool_result`"),
    "one of two calls answered": ([HI, calls("a", "b"), results("a")], "without `tool_result`"),
    "a call used twice": ([HI, calls("a"), results("a"), calls("a"), results("a")], "must be unique"),
    "a late answer": ([HI, calls("a"), HI, calls("b"), results("a", "b")], "without `tool_result`"),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_broken_conversation_is_refused_and_kept(case: str) -> None:
    messages, complaint = BROKEN[case]
    async with AnthropicDouble() as double:
        status, error = await ask(double, messages=messages)

    assert (status, error["error"]["type"]) == (400, "invalid_request_error")
    assert any(complaint in violation for violation in double.violations)


async def test_a_broken_request_is_refused_and_kept() -> None:
    async with AnthropicDouble() as double:
        assert (await ask(double, headers={}))[0] == 400
        assert (await ask(double, max_tokens=0))[0] == 400
        assert (await ask(double, model=None))[0] == 400

    assert [v.split(":")[0] for v in double.violations] == ["anthropic-version", "max_tokens", "model"]


async def test_good_conversations_break_no_rule(anthropic: AnthropicDouble) -> None:
    system = {"role": "system", "content": "x"}
    for messages in (
        [HI, calls("a", "b"), results("a"), results("b"), system, HI],
        [HI, system, calls("a"), results("a")],
    ):
        assert (await ask(anthropic, messages=messages))[0] == 200


async def test_the_wrong_credential_is_refused() -> None:
    async with AnthropicDouble(credential="right") as double:
        assert (await ask(double))[0] == 401
        assert (await ask(double, headers={**VERSION, "x-api-key": "wrong"}))[0] == 401
        assert (await ask(double, headers={**VERSION, "x-api-key": "right"}))[0] == 200
        assert (await ask(double, headers={**VERSION, "Authorization": "Bearer right"}))[0] == 200


@pytest.mark.parametrize(
    ("prompt", "complaint"), [("@@[[nonsense]]@@", "cannot be read"), ('@@[[{"texd": "a"}]]@@', "texd")]
)
async def test_a_script_that_cannot_be_read_is_kept_as_a_mistake(prompt: str, complaint: str) -> None:
    async with AnthropicDouble() as double:
        await ask(double, messages=[{"role": "user", "content": prompt}])

    assert complaint in double.violations[0]


async def test_a_script_that_is_too_short_is_kept_as_a_mistake() -> None:
    begun: list[Line] = [{"role": "user", "content": script_prompt(TOOL)}, calls("a"), results("a")]
    async with AnthropicDouble() as double:
        await ask(double, messages=begun)

    assert "no response 2" in double.violations[0]


def test_the_place_in_a_script_follows_from_the_messages() -> None:
    script: Line = {"role": "user", "content": [{"type": "text", "text": script_prompt(TOOL)}]}
    said: Line = {"role": "assistant", "content": [{"type": "text", "text": "x"}]}
    reminder: Line = {"role": "user", "content": "<system-reminder>x</system-reminder>"}
    both: Line = {"role": "assistant", "content": [*said["content"], *calls("c")["content"]]}

    def number(*messages: Line) -> int | None:
        place = find_place(messages)
        return place.number if place else None

    assert number(HI) is None
    assert number(HI, said, script) == 0
    assert number(script, calls("a", "b"), results("a"), results("b")) == 1
    assert number(script, calls("a"), results("a"), both, results("c")) == 2
    assert number(script, calls("a"), results("a"), script, calls("b"), results("b")) == 1
    assert number(script, said, reminder) == 0
    assert number(script, said, HI) is None


def test_every_block_of_a_script_has_its_value() -> None:
    reply = parse_reply(
        [{"thinking": "t"}, {"cut": 1}, {"garbage": "g", "times": 2}, {"delay": 0.5}, {"text": "ab", "size": 5}]
    )

    assert reply == Reply((Thinking("t"), Cut(1), Garbage("g", 2), Text("ababa")), 0.5)
    assert reply.at_attempt(2).steps == (Thinking("t"), Garbage("g", 2), Text("ababa"))
    assert reply.at_attempt(3).steps == (Thinking("t"), Text("ababa"))


async def test_the_program_is_driven_over_http(tmp_path: Path) -> None:
    program = await asyncio.create_subprocess_exec(
        *("setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "tests.doubles.anthropic", "--credential", "k"),
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"]},
        cwd=Path(__file__).parents[2],
    )
    try:
        async with asyncio.timeout(WITHIN_S):
            assert program.stdout is not None
            name, url = (await program.stdout.readline()).decode().split()
            assert name == "anthropic-double"
            headers = {**VERSION, "x-api-key": "k"}
            body = {"model": "m", "max_tokens": 5, "messages": [HI]}
            async with aiohttp.ClientSession(url, headers=headers) as client, asyncio.TaskGroup() as tasks:
                await client.post("/_queue", json=[[{"gate": "held"}, {"text": "late"}], [{"status": 500}]])

                async def post() -> tuple[int, Line]:
                    async with client.post("/v1/messages", json=body) as answer:
                        return answer.status, await answer.json()

                held = tasks.create_task(post())
                async with client.get("/_gate/held") as reached:
                    assert reached.status == 200
                await client.post("/_gate/held/open")
                assert (await held)[1]["content"][0]["text"] == "late"
                assert (await post())[0] == 500
                async with client.get("/_requests") as seen, client.get("/_violations") as broken:
                    assert [r["path"] for r in await seen.json()] == ["/v1/messages"] * 2
                    assert await broken.json() == []
            program.send_signal(signal.SIGTERM)
            assert await program.wait() == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            program.kill()
