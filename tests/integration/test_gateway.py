"""The gateway between real clients (an HTTP client, and the CLI itself) and a scripted model API."""

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import stat
import sys
import tempfile
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs
from yarl import URL

from core.errors import Misconfigured, Unavailable
from tests.doubles.anthropic import (
    AnthropicDouble,
    Cut,
    Gate,
    Hang,
    Refusal,
    Reply,
    Text,
    script_prompt,
    text_reply,
)
from tests.doubles.anthropic.fixtures import anthropic
from tests.integration.bare_cli import bare_cli
from tests.integration.hosts import until
from worker.gateway.app import GatewaySettings, serve_gateway
from worker.gateway.credential import Credential
from worker.gateway.meter import Metered
from worker.gateway.tokens import mint_token

__all__ = ["anthropic"]

SECRET = b"0123456789abcdef0123456789abcdef"
REAL_KEY = "sk-real-and-secret"
CHAT = "3f0c9a52-7d1e-4b7a-9a55-1f2e3d4c5b6a"
TOKEN = mint_token(SECRET, CHAT)
WITHIN_S = 30.0
CLI_ENVIRONMENT = {"ANTHROPIC_BASE_URL": "http://gateway", "ANTHROPIC_API_KEY": TOKEN}


@dataclass(slots=True)
class Reached:
    """A gateway under test, and an HTTP client on its socket."""

    socket_path: Path
    client: aiohttp.ClientSession
    metered: list[Metered] = field(default_factory=list)

    def post(self, prompt: str = "hi", *, token: str = TOKEN, path: str = "/v1/messages", **changes: Any) -> Any:
        body = {"model": "m", "max_tokens": 10, "stream": True, "messages": [{"role": "user", "content": prompt}]}
        headers = {"x-api-key": token, "anthropic-version": "2023-06-01", **changes.pop("headers", {})}
        return self.client.post(URL(f"http://gateway{path}", encoded=True), json={**body, **changes}, headers=headers)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a unix socket's may have 107 bytes."""
    made = Path(tempfile.mkdtemp(prefix="tw", dir="/tmp"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@contextlib.asynccontextmanager
async def a_gateway(folder: Path, upstream: str, **changes: Any) -> AsyncIterator[Reached]:
    callbacks = {name: changes.pop(name) for name in ("allow", "on_metered") if name in changes}
    fields = {"credential": Credential("api_key", REAL_KEY), "socket_path": folder / "gw" / "s", **changes}
    settings = GatewaySettings(secret=SECRET, upstream=upstream, **fields)
    metered: list[Metered] = []
    connector = aiohttp.UnixConnector(str(settings.socket_path))
    async with (
        asyncio.timeout(90),
        serve_gateway(settings, **{"on_metered": metered.append, **callbacks}),
        aiohttp.ClientSession(connector=connector, auto_decompress=False) as client,
    ):
        assert settings.socket_path is not None
        yield Reached(settings.socket_path, client, metered)


@pytest.fixture
async def gateway(folder: Path, anthropic: AnthropicDouble) -> AsyncIterator[Reached]:
    anthropic.credential = REAL_KEY
    async with a_gateway(folder, anthropic.url) as reached:
        yield reached


async def test_an_answer_passes_byte_for_byte(gateway: Reached, anthropic: AnthropicDouble) -> None:
    body = {"model": "m", "max_tokens": 10, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    text = "grüße 🌍\n" * 30_000
    anthropic.queue.extend([text_reply(text), text_reply(text)])
    async with (
        aiohttp.ClientSession(headers={"x-api-key": REAL_KEY, "anthropic-version": "2023-06-01"}) as direct,
        direct.post(f"{anthropic.url}/v1/messages", json=body) as answer,
    ):
        straight = await answer.read()
    async with gateway.post() as answer:
        through = await answer.read()
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["request-id"] == "req_2"

    assert through == straight.replace(b"msg_1", b"msg_2")


async def test_the_first_words_come_while_the_rest_is_not_written_yet(
    gateway: Reached, anthropic: AnthropicDouble
) -> None:
    anthropic.queue.append(Reply((Text("early"), Gate("rest"), Text("late"))))
    async with gateway.post() as answer:
        came = b""
        while b"early" not in came:
            came += await answer.content.readany()
        assert b"late" not in came
        anthropic.open("rest")
        assert b"late" in await answer.content.read()


async def test_a_client_that_leaves_ends_the_request_upstream(gateway: Reached, anthropic: AnthropicDouble) -> None:
    anthropic.queue.append(Reply((Text("early"), Hang())))
    async with gateway.post() as answer:
        await answer.content.readany()
        answer.close()

    await anthropic.wait_until(lambda: anthropic.requests[0].answer == "client left")
    assert [m.output_tokens for m in gateway.metered] == [1]


async def test_a_client_that_leaves_before_the_answer_ends_the_request_too(
    gateway: Reached, anthropic: AnthropicDouble
) -> None:
    anthropic.queue.append(Reply((Gate("never"),)))
    asking = asyncio.ensure_future(gateway.post())
    await anthropic.wait_at("never")
    asking.cancel()

    await anthropic.wait_until(lambda: anthropic.requests[0].answer == "client left")


async def test_the_real_credential_goes_out_and_the_placeholder_does_not(
    gateway: Reached, anthropic: AnthropicDouble
) -> None:
    own = {
        "anthropic-beta": "b1,b2",
        "X-Own": "kept",
        "Cookie": "c=1",
        "Connection": "x-hop",
        "X-Hop": "1",
        "TE": "gzip",
    }
    async with gateway.post(headers=own, path="/v1/messages?beta=true&q=%2Fa+b") as answer:
        assert answer.status == 200

    seen = anthropic.requests[0]
    assert seen.headers["x-api-key"] == REAL_KEY
    assert TOKEN not in str(seen.headers)
    assert (seen.headers["x-own"], seen.headers["anthropic-beta"]) == ("kept", "b1,b2")
    assert not {"cookie", "x-hop", "te"} & set(seen.headers)
    assert seen.query == "beta=true&q=%2Fa+b"


async def test_a_placeholder_in_a_bearer_header_is_taken_too(gateway: Reached, anthropic: AnthropicDouble) -> None:
    headers = {"x-api-key": "", "Authorization": f"Bearer {TOKEN}"}
    async with gateway.post(headers=headers) as answer:
        assert answer.status == 200

    assert "authorization" not in anthropic.requests[0].headers


async def test_an_oauth_credential_goes_out_with_its_beta(folder: Path, anthropic: AnthropicDouble) -> None:
    anthropic.credential = "oat"
    async with (
        a_gateway(folder, anthropic.url, credential=Credential("oauth_token", "oat")) as gateway,
        gateway.post(headers={"anthropic-beta": "b1"}) as answer,
    ):
        assert answer.status == 200

    seen = anthropic.requests[0].headers
    assert (seen["authorization"], seen["anthropic-beta"]) == ("Bearer oat", "b1,oauth-2025-04-20")
    assert "x-api-key" not in seen


@pytest.mark.parametrize("token", ["", "tw-other.AAAA", REAL_KEY, mint_token(b"x" * 32, CHAT)])
async def test_a_wrong_token_is_refused_for_good_and_goes_nowhere(
    gateway: Reached, anthropic: AnthropicDouble, token: str
) -> None:
    async with gateway.post(token=token) as answer:
        error = await answer.json()

    assert (answer.status, answer.headers["x-should-retry"]) == (403, "false")
    assert error["error"]["type"] == "permission_error"
    assert anthropic.requests == []


async def test_counting_tokens_and_listing_models_pass_and_nothing_else_does(
    gateway: Reached, anthropic: AnthropicDouble
) -> None:
    headers = {"x-api-key": TOKEN}
    async with gateway.post(path="/v1/messages/count_tokens") as answer:
        assert (await answer.json())["input_tokens"] > 0
    async with gateway.client.get("http://gateway/v1/models", headers=headers) as answer:
        assert (await answer.json())["data"]
    for method, path in (
        ("GET", "/v1/files"),
        ("POST", "/v1/messages/batches"),
        ("DELETE", "/v1/messages"),
        ("POST", "/"),
    ):
        async with gateway.client.request(method, f"http://gateway{path}", headers=headers) as answer:
            assert (answer.status, (await answer.json())["error"]["type"]) == (404, "not_found_error")

    assert len(anthropic.requests) == 2


async def test_a_probe_is_answered_here(gateway: Reached, anthropic: AnthropicDouble) -> None:
    for method in ("GET", "HEAD"):
        async with gateway.client.request(method, "http://gateway/api/hello") as answer:
            assert answer.status == 200

    assert anthropic.requests == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"max_tokens": 5}', b"\xff"])
async def test_a_body_that_is_no_request_is_refused_here(
    gateway: Reached, anthropic: AnthropicDouble, body: bytes
) -> None:
    async with gateway.client.post("http://gateway/v1/messages", data=body, headers={"x-api-key": TOKEN}) as answer:
        assert (answer.status, (await answer.json())["error"]["type"]) == (400, "invalid_request_error")

    assert anthropic.requests == []


@pytest.mark.parametrize("status", [400, 429, 500, 529])
async def test_an_error_of_the_model_api_passes_as_it_is(
    gateway: Reached, anthropic: AnthropicDouble, status: int
) -> None:
    anthropic.queue.append(Refusal(status, "the api's own words", retry_after_s=7))
    async with gateway.post() as answer:
        error = await answer.json()

    assert (answer.status, answer.headers["retry-after"]) == (status, "7")
    assert error["error"]["message"] == "the api's own words"
    assert "x-should-retry" not in answer.headers
    assert [m.status for m in gateway.metered] == [status]


async def test_a_refused_credential_of_ours_is_not_tried_again(gateway: Reached, anthropic: AnthropicDouble) -> None:
    anthropic.credential = "another"
    async with gateway.post() as answer:
        assert (answer.status, answer.headers["x-should-retry"]) == (401, "false")


async def test_a_model_api_that_cannot_be_reached_is_an_error_the_cli_retries(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        free = listening.getsockname()[1]
    async with a_gateway(folder, f"http://127.0.0.1:{free}") as gateway, gateway.post() as answer:
        error = await answer.json()
        assert answer.status == 502
        assert "x-should-retry" not in answer.headers
        assert "cannot be reached" in error["error"]["message"]
        assert gateway.metered == []


async def test_a_model_api_that_says_nothing_is_given_up(folder: Path, anthropic: AnthropicDouble) -> None:
    anthropic.queue.append(Reply((Hang(),)))
    async with a_gateway(folder, anthropic.url, idle_s=0.2) as gateway, gateway.post() as answer:
        assert (answer.status, (await answer.json())["error"]["type"]) == (504, "timeout_error")


@pytest.mark.parametrize("fault", [Cut(), Hang()])
async def test_an_answer_that_breaks_off_does_not_look_whole(
    folder: Path, anthropic: AnthropicDouble, fault: Cut | Hang
) -> None:
    anthropic.queue.append(Reply((Text("early"), fault)))
    async with a_gateway(folder, anthropic.url, idle_s=0.5) as gateway, gateway.post() as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_what_was_used_is_reported_once_a_request(gateway: Reached, anthropic: AnthropicDouble) -> None:
    usage = {"input_tokens": 11, "output_tokens": 22, "cache_creation_input_tokens": 33, "cache_read_input_tokens": 44}
    anthropic.queue.extend([Reply((Text("a"),), usage=usage, model="claude-x")] * 2)
    async with gateway.post() as answer:
        await answer.read()
    async with gateway.post(stream=False) as answer:
        await answer.read()

    streamed, whole = gateway.metered
    used = (11, 22, 33, 44)
    for m in (streamed, whole):
        assert (m.chat_id, m.model, m.status) == (CHAT, "claude-x", 200)
        assert (m.input_tokens, m.output_tokens, m.cache_creation_tokens, m.cache_read_tokens) == used
        assert m.duration_s > 0


async def test_a_meter_that_fails_does_not_harm_the_answer(folder: Path, anthropic: AnthropicDouble) -> None:
    def fail(metered: Metered) -> None:
        raise RuntimeError("no database")

    async with a_gateway(folder, anthropic.url, on_metered=fail) as gateway, gateway.post() as answer:
        assert b"message_stop" in await answer.read()


async def test_a_chat_over_its_budget_is_told_so_and_not_retried(folder: Path, anthropic: AnthropicDouble) -> None:
    asked = []

    async def allow(chat_id: str, model: str) -> str | None:
        asked.append((chat_id, model))
        return "this chat has spent its budget"

    async with a_gateway(folder, anthropic.url, allow=allow) as gateway, gateway.post() as answer:
        error = await answer.json()

    assert (answer.status, answer.headers["x-should-retry"]) == (402, "false")
    assert error["error"]["message"] == "this chat has spent its budget"
    assert asked == [(CHAT, "m")]
    assert anthropic.requests == []


async def test_a_budget_that_cannot_be_checked_lets_nothing_through(folder: Path, anthropic: AnthropicDouble) -> None:
    async def fail(chat_id: str, model: str) -> str | None:
        raise RuntimeError("no database")

    async with a_gateway(folder, anthropic.url, allow=fail) as gateway, gateway.post() as answer:
        assert answer.status == 529
        assert "x-should-retry" not in answer.headers

    assert anthropic.requests == []


async def test_others_may_connect_but_not_look_around(gateway: Reached) -> None:
    assert stat.S_IMODE(gateway.socket_path.stat().st_mode) == 0o666
    assert stat.S_IMODE(gateway.socket_path.parent.stat().st_mode) == 0o711


async def test_a_socket_left_by_a_dead_gateway_is_replaced(folder: Path, anthropic: AnthropicDouble) -> None:
    path = folder / "gw" / "s"
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()

    async with a_gateway(folder, anthropic.url) as gateway, gateway.post() as answer:
        assert answer.status == 200
    assert not path.exists()


async def test_a_living_gateway_keeps_its_socket(folder: Path, gateway: Reached) -> None:
    with pytest.raises(Unavailable, match="another gateway"):
        async with a_gateway(folder, "http://127.0.0.1:1"):
            pass

    async with gateway.post() as answer:
        assert answer.status == 200


async def test_a_file_in_the_sockets_place_is_left_alone(folder: Path) -> None:
    (folder / "gw").mkdir()
    (folder / "gw" / "s").write_text("mine")

    with pytest.raises(Misconfigured, match="taken"):
        async with a_gateway(folder, "http://127.0.0.1:1"):
            pass

    assert (folder / "gw" / "s").read_text() == "mine"


@pytest.mark.parametrize("upstream", ["", "api.anthropic.com", "ftp://x", "http://", "http://[", "https://x/?a=b"])
async def test_a_base_url_that_is_none_is_named(folder: Path, upstream: str) -> None:
    with pytest.raises(Misconfigured, match="ANTHROPIC_BASE_URL"):
        async with a_gateway(folder, upstream):
            pass


async def test_the_log_has_neither_secrets_nor_words(
    gateway: Reached, anthropic: AnthropicDouble, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    anthropic.queue.append(text_reply("private answer"))
    with capture_logs() as logged:
        async with gateway.post("private question", path="/v1/messages?private=query") as answer:
            await answer.read()
        await until(lambda: logged)

    (line,) = logged
    assert {name: line[name] for name in ("event", "chat", "method", "path", "outcome")} == {
        "event": "request",
        "chat": CHAT,
        "method": "POST",
        "path": "/v1/messages",
        "outcome": "200",
    }
    for secret in (REAL_KEY, TOKEN, "private"):
        assert secret not in f"{logged} {caplog.text}"


async def test_the_log_tells_of_a_client_that_left_and_keeps_to_one_line(
    gateway: Reached, anthropic: AnthropicDouble
) -> None:
    with capture_logs() as logged:
        anthropic.queue.append(Reply((Text("early"), Hang())))
        async with gateway.post() as answer:
            await answer.content.readany()
            answer.close()
        await anthropic.wait_until(lambda: anthropic.requests[0].answer == "client left")
        async with gateway.post(path="/v1/two%0Alines") as answer:
            assert answer.status == 404

    assert [(line["method"], line["path"], line["outcome"]) for line in logged] == [
        ("POST", "/v1/messages", "left"),
        ("POST", "/v1/two%0Alines", "404"),
    ]


async def test_a_port_that_is_taken_is_named(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        taken = listening.getsockname()[1]
        with pytest.raises(Unavailable, match=f"127.0.0.1:{taken}"):
            async with a_gateway(folder, "http://127.0.0.1:1", port=taken):
                pass


async def test_the_cli_works_through_the_socket_with_a_placeholder(
    gateway: Reached, anthropic: AnthropicDouble, folder: Path
) -> None:
    environment = {**CLI_ENVIRONMENT, "ANTHROPIC_UNIX_SOCKET": str(gateway.socket_path)}
    script = script_prompt([{"tool": "Bash", "input": {"command": "echo made > made; env"}}], [{"text": "It is made."}])
    async with bare_cli(folder, environment) as cli:
        result = await cli.turn(script)

    assert (result["is_error"], result["result"]) == (False, "It is made.")
    assert (folder / "work" / "made").read_text() == "made\n"
    assert {s.credential for s in anthropic.requests} == {REAL_KEY}
    assert REAL_KEY not in str(cli.lines)
    assert len(gateway.metered) == 2


async def test_the_cli_gives_up_at_once_with_a_wrong_token(
    gateway: Reached, anthropic: AnthropicDouble, folder: Path
) -> None:
    environment = {
        "ANTHROPIC_BASE_URL": "http://gateway",
        "ANTHROPIC_API_KEY": "tw-other.AAAA",
        "ANTHROPIC_UNIX_SOCKET": str(gateway.socket_path),
    }
    async with bare_cli(folder, environment) as cli:
        result = await cli.turn("hi")

    assert (result["is_error"], result["api_error_status"]) == (True, 403)
    assert "token is not valid at the gateway" in result["result"]
    assert [line for line in cli.lines if line.get("subtype") == "api_retry"] == []


async def test_the_cli_gives_up_at_once_over_the_budget_and_says_why(folder: Path, anthropic: AnthropicDouble) -> None:
    async def allow(chat_id: str, model: str) -> str | None:
        return "this chat has spent its budget"

    async with a_gateway(folder, anthropic.url, allow=allow) as gateway:
        environment = {**CLI_ENVIRONMENT, "ANTHROPIC_UNIX_SOCKET": str(gateway.socket_path)}
        async with bare_cli(folder, environment) as cli:
            result = await cli.turn("hi")

    assert result["result"] == "API Error: 402 this chat has spent its budget"
    assert [line for line in cli.lines if line.get("subtype") == "api_retry"] == []


async def test_the_cli_goes_on_after_the_gateway_was_away(folder: Path, anthropic: AnthropicDouble) -> None:
    environment = {**CLI_ENVIRONMENT, "ANTHROPIC_UNIX_SOCKET": str(folder / "gw" / "s")}
    async with bare_cli(folder, environment) as cli:
        await cli.say("hi")
        await cli.wait_for(lambda line: line.get("subtype") == "api_retry")
        async with a_gateway(folder, anthropic.url):
            result = await cli.wait_for(lambda line: line["type"] == "result")

    assert (result["is_error"], result["result"]) == (False, "Nothing was scripted.")


async def run_program(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *("setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "worker.gateway", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], **environment},
        cwd=Path(__file__).parents[2],
    )


async def test_the_program_says_when_it_is_ready_and_stops_cleanly(folder: Path, anthropic: AnthropicDouble) -> None:
    anthropic.credential = REAL_KEY
    path = folder / "gw" / "s"
    program = await run_program(
        *("--socket", str(path), "--port", "0"),
        ANTHROPIC_API_KEY=REAL_KEY,
        ANTHROPIC_BASE_URL=anthropic.url,
        THREADWORK_SECRET_KEY=b64encode(SECRET).decode(),
        THREADWORK_LOG_FORMAT="json",
    )
    try:
        async with asyncio.timeout(WITHIN_S):
            assert program.stdout is not None
            ready = (await program.stdout.readline()).decode()
            assert ready.startswith(f"gateway ready {path} 127.0.0.1:")
            address = ready.split()[-1]
            connector = aiohttp.UnixConnector(str(path))
            async with (
                aiohttp.ClientSession(connector=connector) as local,
                aiohttp.ClientSession() as remote,
                Reached(path, local).post() as answer,
                remote.get(f"http://{address}/v1/models", headers={"x-api-key": TOKEN}) as listed,
            ):
                assert (answer.status, listed.status) == (200, 200)
            program.send_signal(signal.SIGTERM)
            _, logged = await program.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            program.kill()
    assert program.returncode == 0
    assert not path.exists()
    lines = [json.loads(line) for line in logged.splitlines()]
    asked = [(line["path"], line["outcome"], line["chat"]) for line in lines if line["event"] == "request"]
    assert asked == [("/v1/messages", "200", CHAT), ("/v1/models", "200", CHAT)]
    assert REAL_KEY.encode() not in logged
    assert TOKEN.encode() not in logged


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"THREADWORK_SECRET_KEY": b64encode(SECRET).decode()}, "ANTHROPIC_API_KEY"),
        ({"ANTHROPIC_API_KEY": "k"}, "THREADWORK_SECRET_KEY"),
        ({"ANTHROPIC_API_KEY": "k", "THREADWORK_SECRET_KEY": "c2hvcnQ="}, "THREADWORK_SECRET_KEY"),
        (
            {
                "ANTHROPIC_API_KEY": "k",
                "THREADWORK_SECRET_KEY": b64encode(SECRET).decode(),
                "ANTHROPIC_BASE_URL": "nowhere",
            },
            "ANTHROPIC_BASE_URL",
        ),
    ],
)
async def test_the_program_names_the_setting_that_is_wrong(environment: dict[str, str], named: str) -> None:
    program = await run_program("--port", "0", **environment)
    async with asyncio.timeout(WITHIN_S):
        out, err = await program.communicate()

    assert (program.returncode, out) == (2, b"")
    assert named in err.decode()
    assert "Traceback" not in err.decode()
