"""`python -m tests.browser.pictures`: docs/images/web-*.png, each page as it looks light, dark and on a phone.

What is on them really happened: a turn of the real CLI with a scripted model, and questions that wait.
"""

import asyncio
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from bots.web.app import open_web
from core.domain.chat import Author, Mode, Role
from core.domain.events import TextStreamed
from core.store.sessions import PostgresSessions
from migrations.run import upgrade
from tests.browser.chromium import DESK, PHONE, Window, window
from tests.browser.conftest import Desk
from tests.doubles.anthropic.script import parse_reply
from tests.integration.hosts import a_host
from tests.integration.web_page import settings_for
from tests.stage import ScriptedChat, Stage, asks_person, at_gate, bash, calls, open_stage, says
from tests.stage.chat import ANN
from tests.stage.lines import Block
from threadwork.embedded.postgres import embedded_postgres
from threadwork.embedded.valkey import embedded_valkey

IMAGES = Path(__file__).parents[2] / "docs" / "images"
BEA = Author("u2", "Bea", Role.MEMBER)
PROGRAM = "def total(prices):\n    return round(sum(prices), 2)\n"


async def _said(chat: ScriptedChat, words: str, *replies: list[Block], by: Author = ANN) -> None:
    """Say something; the script is not in the words, as they are to be seen."""
    chat.stage.model.queue.extend(parse_reply(reply) for reply in replies)
    await chat.say(words, by=by)


async def _happens(stage: Stage) -> dict[str, str]:
    """Some chats as a team has them; the pages to look at, by the name of their picture."""
    stage.limit(linger_s=60.0)
    done = stage.chat("Round the totals of the invoice", mode=Mode.AUTO)
    await _said(
        done,
        "The totals of the invoice are off by a cent. Please round them.",
        [says("I look at the code first."), calls("Write", file_path="/home/user/work/totals.py", content=PROGRAM)],
        [bash("python3 -c 'import totals; print(totals.total([0.1, 0.2]))'")],
        [says("The totals are rounded to cents now: totals.py has the change, and 0.1 + 0.2 gives 0.3.")],
    )
    await done.is_done()
    asking = stage.chat("Publish the release", mode=Mode.ASK)
    await _said(asking, "Tag and push the release.", [bash("git tag v2.4.0 && git push origin v2.4.0")], by=BEA)
    await asking.asks()
    choosing = stage.chat("Which cache shall we use", mode=Mode.ASK)
    await _said(choosing, "Add a cache to the search.", [asks_person("Which cache?", "Valkey", "In the process")])
    await choosing.asks()
    busy = stage.chat("Find the slow query", mode=Mode.BYPASS)
    await _said(busy, "Find the slow query.", [says("There is one query that"), at_gate("on")])
    await busy.until(TextStreamed)
    pages = {"chats": "/", "chat": f"/chats/{done.id}", "question": f"/chats/{asking.id}"}
    return {**pages, "waiting": "/waiting", "usage": "/usage", "deliveries": "/deliveries", "health": "/health"}


async def _photograph(eyes: Window, url: str, pages: dict[str, str]) -> None:
    for name, path in pages.items():
        await eyes.looks()
        await eyes.open(url + path)
        for look, dark, size in (("light", False, DESK), ("dark", True, DESK), ("phone", False, PHONE)):
            await eyes.looks(dark=dark, size=size)
            if await eyes.is_too_wide():
                raise RuntimeError(f"{path} is too wide for {size[0]} pixels")
            await eyes.picture(IMAGES / f"web-{name}-{look}.png")


async def main() -> None:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="twp")))
        database_url = await stack.enter_async_context(embedded_postgres(folder))
        redis_url = await stack.enter_async_context(embedded_valkey(folder))
        await upgrade(database_url)
        host = stack.enter_context(a_host())
        stage = await stack.enter_async_context(open_stage(database_url, redis_url, host))
        url = await stack.enter_async_context(open_web(settings_for(database_url, redis_url, folder)))
        eyes = await stack.enter_async_context(window())
        desk = Desk(eyes, url, PostgresSessions(stage.engine))
        pages = await _happens(stage)
        await desk.sign_in()
        await _photograph(eyes, url, pages)


if __name__ == "__main__":
    asyncio.run(main())
