"""The services of `docker-compose.yml`, run by hand in its order, on servers and doubles of this machine.

What an engine would do is done here: migrations to their end, each command with its environment, its own healthcheck
until it is well, SIGTERM and its grace. What only an engine has (images, networks, file systems) is not shown.
"""

import asyncio
import base64
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import compose
from tests.acceptance.program import THREADWORK, free_port, installation
from tests.doubles.anthropic import AnthropicDouble
from tests.doubles.discord import DiscordDouble
from tests.doubles.slack import SlackDouble

PATIENCE_S = 60.0
KEY = "sk-ant-api03-made-up-for-the-containers"
PROGRAMS = {"threadwork": THREADWORK, "python": sys.executable}


@dataclass(slots=True)
class Container:
    """A service's command, running."""

    name: str
    service: Mapping[str, Any]
    process: asyncio.subprocess.Process
    environment: Mapping[str, str]
    folder: Path

    async def until_healthy(self) -> None:
        """Ask its healthcheck until that says so."""
        kind, *command = self.service["healthcheck"]["test"]
        assert kind == "CMD"
        async with asyncio.timeout(PATIENCE_S):
            while await _run(command, self.folder, self.environment) != 0:
                assert self.process.returncode is None, self.log()
                await asyncio.sleep(0.1)

    async def stop(self) -> None:
        """SIGTERM, and the end within the grace that it is given."""
        began = time.monotonic()
        self.process.terminate()
        code = await asyncio.wait_for(self.process.wait(), PATIENCE_S)
        assert code == 0, self.log()
        assert time.monotonic() - began < float(self.service["stop_grace_period"].removesuffix("s"))

    def log(self) -> str:
        return f"{self.name}: {(self.folder / 'err').read_text()[-2000:]}"


async def _run(command: list[str], folder: Path, environment: Mapping[str, str]) -> int:
    process = await _start(command, folder, environment, "health")
    return await asyncio.wait_for(process.wait(), PATIENCE_S)


async def _start(
    command: list[str], folder: Path, environment: Mapping[str, str], err: str
) -> asyncio.subprocess.Process:
    with (folder / err).open("w") as stderr:
        return await asyncio.create_subprocess_exec(
            PROGRAMS[command[0]],
            *command[1:],
            cwd=folder,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
        )


def _here(service: Mapping[str, Any], moved: Mapping[str, str]) -> dict[str, Any]:
    """The service with what only containers have replaced: names of hosts, fixed ports and folders."""
    text = json.dumps(service)
    for there, here in moved.items():
        text = text.replace(there, here)
    found: dict[str, Any] = json.loads(text)
    return found


@asynccontextmanager
async def _doubles() -> AsyncIterator[dict[str, str]]:
    """The platforms and the model, and the `.env` that names them."""
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(AnthropicDouble(credential=KEY))
        slack = await stack.enter_async_context(SlackDouble())
        slack.workspace("T1")
        discord = await stack.enter_async_context(DiscordDouble())
        yield {
            "POSTGRES_PASSWORD": "made-up",
            "THREADWORK_SECRET_KEY": base64.b64encode(os.urandom(32)).decode(),
            "ANTHROPIC_API_KEY": KEY,
            "ANTHROPIC_BASE_URL": model.url,
            "E2B_API_KEY": "e2b_0000000000000000000000000000000000000000",
            **slack.env(),
            **discord.env,
        }


async def test_every_service_gets_well_in_the_files_order_and_stops_in_its_grace(
    empty_database_url: str, redis_url: str
) -> None:
    async with AsyncExitStack() as stack:
        env = await stack.enter_async_context(_doubles())
        installed = stack.enter_context(installation())
        database = f"postgresql+asyncpg://threadwork:{env['POSTGRES_PASSWORD']}@postgres/threadwork"
        ports = {"8030": str(free_port()), "8090": str(free_port())}
        running: list[Container] = []
        services = compose.ours(compose.read(env))
        assert next(iter(services)) == "migrate"
        for name, written in services.items():
            folder = installed.folder / name
            folder.mkdir()
            moved = {"/tmp/": f"{folder}/", database: empty_database_url, "redis://valkey:6379/0": redis_url, **ports}
            service = _here(written, moved)
            clean = {key: value for key, value in os.environ.items() if key in {"PATH", "LANG"}}
            data = {"THREADWORK_DATA_DIR": str(installed.data_dir), "PYTHONUNBUFFERED": "1"}
            environment = {**clean, **data, **env, **service["environment"]}
            if name == "gateway":
                # Alone in being started by its module, which the image has installed.
                environment["PYTHONPATH"] = str(compose.ROOT)
            process = await _start(compose.command(service), folder, environment, "err")
            container = Container(name, service, process, environment, folder)
            stack.push_async_callback(_kill, process)
            if name == "migrate":
                assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0, container.log()
            else:
                running.append(container)
        await asyncio.gather(*(one.until_healthy() for one in running))
        for container in reversed(running):
            await container.stop()
        # And the check says so once it is gone.
        checks = [(one.service["healthcheck"]["test"][1:], one.folder, one.environment) for one in running]
        assert 0 not in await asyncio.gather(*(_run(*check) for check in checks))


async def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()
