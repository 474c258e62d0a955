"""The whole program as processes, and the hand that breaks them."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from redis.asyncio import Redis

from core.crypto import encode_secret
from migrations.run import upgrade
from tests.doubles.anthropic import AnthropicDouble
from tests.faults.platforms.platform import Platform
from tests.faults.schedule import Fault
from tests.faults.wire import Wire, relay
from threadwork.embedded.postgres import embedded_postgres
from threadwork.embedded.valkey import embedded_valkey
from threadwork.supervise import Child, Program, Supervisor, supervised
from threadwork.up import free_port

KEY = "sk-ant-the-real-one"
SECRET = b"f" * 32


class Server:
    """An embedded server that can be killed and started again in the same place."""

    def __init__(self, make: Callable[[], AbstractAsyncContextManager[str]], pid: Callable[[], int | None]) -> None:
        self._make = make
        self._pid = pid
        self._open: AsyncExitStack | None = None
        self.url = ""

    async def start(self) -> None:
        self._open = AsyncExitStack()
        self.url = await self._open.enter_async_context(self._make())

    async def stop(self) -> None:
        if self._open is not None:
            await self._open.aclose()

    def kill(self) -> None:
        pid = self._pid()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def kill_and_start(self, after_s: float) -> None:
        self.kill()
        await self.stop()
        await asyncio.sleep(after_s)
        await self.start()


@dataclass(slots=True)
class Stack:
    """Everything that runs. `staged` counts the faults that were brought about."""

    data_dir: Path
    postgres: Server
    valkey: Server
    model: AnthropicDouble
    wire: Wire
    host: Child
    gateway: Child
    workers: list[Child]
    bot: Child | None = None
    platform: Platform | None = None
    staged: dict[str, int] = field(default_factory=dict)

    @property
    def sandboxes_dir(self) -> Path:
        return self.data_dir / "sandboxes"

    async def kill_everything(self) -> None:
        """Cut the power: every program and server at once, and none is started again."""
        bots = [self.bot] if self.bot is not None else []
        for child in (*self.workers, *bots, self.gateway, self.host):
            child.stop(signal.SIGKILL)
        for server in (self.valkey, self.postgres):
            server.kill()

    async def stage(self, fault: Fault) -> None:
        """Bring a fault about, and its end."""
        worker = self.workers[fault.which % len(self.workers)]
        self.staged[fault.name] = self.staged.get(fault.name, 0) + 1
        match fault.name:
            case "kill worker":
                send(worker, signal.SIGKILL)
            case "terminate worker":
                send(worker, signal.SIGTERM)
            case "stop and continue worker":
                await _freeze(worker, fault.lasts_s * 2)
            case "kill bot" if self.bot is not None:
                send(self.bot, signal.SIGKILL)
            case "terminate bot" if self.bot is not None:
                send(self.bot, signal.SIGTERM)
            case "stop and continue bot" if self.bot is not None:
                await _freeze(self.bot, fault.lasts_s * 2)
            case "kill gateway":
                send(self.gateway, signal.SIGKILL)
            case "kill sandbox host":
                send(self.host, signal.SIGKILL)
            case "cut sandbox streams":
                self.wire.cut()
            case "stall sandbox streams":
                await self.wire.stall(fault.lasts_s)
            case "kill valkey":
                await self.valkey.kill_and_start(fault.lasts_s)
            case "flush valkey":
                await self._flush()
            case "kill postgres":
                await self.postgres.kill_and_start(fault.lasts_s / 2)
            case "kill the agent":
                self._kill_agents(fault.which)
            case _ if self.platform is not None:
                await self.platform.stage(fault)
            case name:
                raise NotImplementedError(f"nothing here brings about: {name}")

    async def _flush(self) -> None:
        redis = Redis.from_url(self.valkey.url)
        with suppress(Exception):
            await redis.flushall()
        await redis.aclose()

    def _kill_agents(self, which: int) -> None:
        """Kill every other CLI that runs on this stack, as the kernel would for want of memory."""
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) % 2 != which:
                continue
            with suppress(OSError, ProcessLookupError):
                line = (entry / "cmdline").read_bytes()
                if line.startswith(b"/opt/claude/claude\0") and self._is_ours(int(entry.name)):
                    os.kill(int(entry.name), signal.SIGKILL)

    def _is_ours(self, pid: int) -> bool:
        """Whether a process is in a sandbox of this stack: an ancestor is our host."""
        ancestor = pid
        while ancestor > 1:
            if ancestor == self.host.pid:
                return True
            stat = Path(f"/proc/{ancestor}/stat").read_text().rpartition(")")[2].split()
            ancestor = int(stat[1])
        return False


def send(child: Child, number: signal.Signals) -> None:
    """Signal a program, if it runs."""
    if child.pid is not None:
        with suppress(ProcessLookupError):
            os.kill(child.pid, number)


async def _freeze(child: Child, seconds: float) -> None:
    """Stop a program in its tracks for a while, as a machine does that is moved or starved."""
    pid = child.pid
    send(child, signal.SIGSTOP)
    await asyncio.sleep(seconds)
    if child.pid == pid:
        send(child, signal.SIGCONT)


def _postmaster(data_dir: Path) -> int | None:
    try:
        return int((data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None


def _child_named(part: str) -> int | None:
    """A direct child of this process whose command line holds `part`."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, ValueError, IndexError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == os.getpid() and part.encode() in (entry / "cmdline").read_bytes():
                    return int(entry.name)
    return None


@asynccontextmanager
async def running(
    data_dir: Path,
    seed: int,
    *,
    workers: int = 2,
    skew_s: float = 0.0,
    settings: Mapping[str, str] = {},
    model_url: str | None = None,
    platform: Platform | None = None,
    can_cut: bool = True,
    worker: str = "tests.faults.moody",
) -> AsyncIterator[Stack]:
    """The stack, up. Ended with the context, whatever state it is in.

    `skew_s`: how far every wall clock is ahead; the workers' are half a minute apart on top of it. `model_url`: another
    model than the double. `platform`: whose bot runs, too. `can_cut`: the way to the sandboxes leads over a relay that can be cut, and costs time. `worker`: the
    module that is run as a worker.
    """
    socket = str(data_dir / "s" / "valkey.sock")
    postgres = Server(lambda: embedded_postgres(data_dir), lambda: _postmaster(data_dir))
    valkey = Server(lambda: embedded_valkey(data_dir), lambda: _child_named(socket))
    async with AsyncExitStack() as stack:
        await postgres.start()
        stack.push_async_callback(postgres.stop)
        await valkey.start()
        stack.push_async_callback(valkey.stop)
        await upgrade(postgres.url)
        model = await stack.enter_async_context(AnthropicDouble(credential=KEY))
        supervisor = await stack.enter_async_context(supervised())
        port = free_port()
        wire = await stack.enter_async_context(relay(port))
        sandboxes = wire.url if can_cut else f"http://127.0.0.1:{port}"
        env = {
            "DATABASE_URL": postgres.url,
            "REDIS_URL": valkey.url,
            "THREADWORK_DATA_DIR": str(data_dir),
            "THREADWORK_SECRET_KEY": encode_secret(SECRET),
            "E2B_API_URL": sandboxes,
            "E2B_SANDBOX_URL": sandboxes,
            "E2B_API_KEY": "faults",
            "THREADWORK_LEASE_S": "4",
            "THREADWORK_LINGER_S": "0.5",
            "THREADWORK_LOOK_EVERY_S": "1",
            "FAULTS_SEED": str(seed),
            "FAULTS_SKEW_S": str(skew_s),
            **(platform.settings if platform is not None else {}),
            **settings,
        }
        yield await _programs(
            supervisor,
            env=env,
            data_dir=data_dir,
            port=port,
            workers=workers,
            postgres=postgres,
            valkey=valkey,
            model=model,
            wire=wire,
            model_url=model_url,
            platform=platform,
            worker_module=worker,
        )


async def _programs(
    supervisor: Supervisor,
    *,
    env: dict[str, str],
    data_dir: Path,
    port: int,
    workers: int,
    postgres: Server,
    valkey: Server,
    model: AnthropicDouble,
    wire: Wire,
    model_url: str | None,
    platform: Platform | None,
    worker_module: str,
) -> Stack:
    threadwork = [sys.executable, "-m", "threadwork"]
    host_argv = [*threadwork, "sandbox-host", "--port", str(port), "--data-dir", str(data_dir)]
    host = supervisor.start(Program("sandbox-host", host_argv, "sandbox-host", env))
    gateway_argv = [sys.executable, "-m", "worker.gateway", "--socket", str(data_dir / "gateway" / "gateway.sock")]
    gateway_env = {**env, "ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": model_url or model.url}
    gateway = supervisor.start(Program("gateway", gateway_argv, "gateway ready", gateway_env))
    started = [host, gateway]
    for number in range(workers):
        name = f"worker-{number}"
        # The clocks of the workers are half a minute apart.
        worker_env = {**env, "FAULTS_NAME": name, "FAULTS_SKEW_S": str(float(env["FAULTS_SKEW_S"]) + 30 * number)}
        argv = [sys.executable, "-m", worker_module]
        started.append(supervisor.start(Program(name, argv, "worker ready", worker_env)))
    bot = None
    if platform is not None and platform.bot is not None:
        argv = [*threadwork, platform.bot]
        bot = supervisor.start(Program(platform.bot, argv, f"{platform.bot} ready", env))
    for child in (*started, *([bot] if bot is not None else ())):
        await supervisor.ready(child)
    return Stack(data_dir, postgres, valkey, model, wire, host, gateway, started[2:], bot, platform)
