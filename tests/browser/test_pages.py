"""The pages beside the chats in a real browser: what waits, what it cost, what did not arrive."""

import csv
from pathlib import Path

from redis.asyncio import Redis
from sqlalchemy import text

from core.domain.chat import Mode
from core.errors import TooLarge
from core.ports import Call
from core.queue import QUEUE
from tests.browser.conftest import Desk
from tests.stage import Stage, at_gate, bash, says
from tests.stage.surface import Refuse


async def test_a_question_that_comes_is_answered_among_those_that_wait(stage: Stage, desk: Desk) -> None:
    chat = stage.chat("publish it", mode=Mode.ASK)
    await desk.sign_in()
    await desk.window.open(f"{desk.url}/waiting")
    await desk.window.reads("Nobody is asked anything just now.")

    await chat.say("Publish.", [bash("echo out > ran")], [says("It is out.")])
    await desk.window.reads("echo out > ran")
    await desk.window.click("main button", "Allow once")

    await desk.window.reads("Nobody is asked anything just now.")
    await chat.is_done("It is out.")
    await chat.run_ends()
    (post,) = await chat.posts("tool")
    assert post.body["state"] == "allowed"
    assert await chat.file("ran") == "out\n"


async def test_what_turns_cost_is_read_and_taken_along(stage: Stage, desk: Desk, tmp_path: Path) -> None:
    chat = stage.chat("work", mode=Mode.BYPASS)
    await chat.say("Work.", [says("Done.")])
    await chat.is_done("Done.")
    await chat.run_ends()
    await desk.sign_in()
    await desk.window.open(f"{desk.url}/usage?by=person")

    await desk.window.reads("Ann")
    assert await desk.window.counts("main svg") == 1
    file = await desk.window.download("main a[download]", tmp_path)

    (line,) = csv.DictReader(file.read_text().splitlines())
    assert line["person"].endswith(" Ann")
    assert line["turns"] == "1"
    assert float(line["cost_usd"]) > 0


async def test_an_end_that_did_not_arrive_is_tried_again(stage: Stage, desk: Desk, redis_url: str) -> None:
    stage.limit(settle_s=0.2, linger_s=0.2)
    chat = stage.chat("too long for it", mode=Mode.BYPASS)
    await chat.say("Work.", [says("Begun."), at_gate("go")])
    await chat.comes_true(chat.posts)
    stage.surface.fail(Call.EDIT, *[Refuse(TooLarge("too long"))] * 3)
    stage.model.open("go")
    await chat.is_done("Begun.")
    await chat.run_ends()
    async with stage.engine.begin() as connection:
        # What is late by a minute is listed.
        await connection.execute(text("UPDATE turns SET ended_at = ended_at - interval '2 minutes'"))
    await desk.sign_in()
    await desk.window.open(f"{desk.url}/deliveries")

    await desk.window.reads("too long for it")
    await desk.window.click("main button", "Try again")

    async with Redis.from_url(redis_url) as redis:

        async def is_put() -> bool:
            return any(str(chat.id) in job.decode() for job in await redis.zrange(QUEUE, 0, -1))

        await chat.comes_true(is_put)
    # No worker looks at that queue here: what it would do is done.
    stage.limit(settle_s=30.0)
    chat.start_run()
    await chat.run_ends()
    await desk.window.reads("Everything has arrived.")
    assert (await chat.posts())[0].body["state"] == "done"
