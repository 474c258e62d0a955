"""One sandbox on the host's side, where timing from inside would decide."""

import asyncio
import os
from pathlib import Path
from typing import Any, cast

from threadwork.sandbox_host.background import Background
from threadwork.sandbox_host.cgroup import Cgroups
from threadwork.sandbox_host.holder import Holder
from threadwork.sandbox_host.process import Command
from threadwork.sandbox_host.record import Record
from threadwork.sandbox_host.sandbox import Sandbox
from threadwork.sandbox_host.settings import HostSettings, Limits
from threadwork.sandbox_host.walls import Walls


class QuickHolder:
    """Tells of the end of a process before the answer that it was started reaches who asked."""

    def __init__(self) -> None:
        self.sandbox: Sandbox | None = None

    async def ask(self, operation: str, **_arguments: Any) -> tuple[dict[str, Any], list[int]]:
        assert operation == "start"
        assert self.sandbox is not None
        self.sandbox.exited(5, 3)
        (out, out_inside), (err, err_inside) = os.pipe(), os.pipe()
        os.close(out_inside)
        os.close(err_inside)
        return {"pid": 5}, [out, err]


async def test_an_end_that_is_told_before_the_start_is_not_lost(tmp_path: Path) -> None:
    record = Record("i" + "a" * 19, "base", {}, {}, 0, 0)
    walls = Walls(None, None, HostSettings(tmp_path), Cgroups(None, Limits()))
    is_heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    is_heard.set_result(None)
    async with asyncio.timeout(30), Background().running() as background:
        holder = QuickHolder()
        holder.sandbox = Sandbox(record, tmp_path, walls, background)
        holder.sandbox._holder = cast("Holder", holder)

        process = await holder.sandbox.start(Command(["true"], {}, None, None, has_stdin=False, size=None), is_heard)
        await process.over()
        while process.ended_at is None:
            await asyncio.sleep(0)

        assert process.status == 3
        assert holder.sandbox.processes() == []
