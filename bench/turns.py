"""A turn's beginning: from a message to the model's request, and from the model's first word to the screen."""

import asyncio
import time

from bench.report import Row, p
from bench.stage import Clock, clock, stage
from core.domain.chat import ChatSettings, Mode, Place, Platform
from core.domain.states import is_final
from tests.faults.drive import People
from tests.faults.platforms.console import ANN

TIMES = 8


async def _turn(crowd: People, model: Clock, place: Place, number: int) -> tuple[float, float, float]:
    """Seconds: message → request, message → first delta, first delta → text on screen."""
    before = len(model.asked_at)
    posts = len(await crowd.threads.posts(place.key))
    said = time.time()
    accepted = await crowd.intake.accept(
        place, ANN, f"{place.thread}-{number}", "What time is it?", settings=ChatSettings(mode=Mode.BYPASS)
    )
    async with asyncio.timeout(60):
        while not any(post.body["text"] for post in (await crowd.threads.posts(place.key))[posts:]):
            await asyncio.sleep(0.01)
        on_screen = time.time()
        while not all(is_final(turn.state) for turn in await crowd.stores.turns.recent(accepted.chat.id)):
            await asyncio.sleep(0.02)
    asked, first = model.asked_at[before], model.first_delta_at[before]
    return asked - said, first - said, on_screen - first


async def measure() -> list[Row]:
    async with clock() as model, stage(model.url, THREADWORK_LINGER_S="3") as (_stack, crowd):
        model.deltas, model.pause_s = 12, 0.05
        await _turn(crowd, model, Place(Platform.CONSOLE, "local", "", "warm-up"), 0)
        first, warm, again, screen = [], [], [], []
        for number in range(TIMES):
            place = Place(Platform.CONSOLE, "local", "", f"turns-{number}")
            _, to_delta, to_screen = await _turn(crowd, model, place, 0)
            first.append(to_delta)
            screen.append(to_screen)
            warm.append((await _turn(crowd, model, place, 1))[0])
            await asyncio.sleep(4.5)  # past the lingering: the next one attaches anew
            again.append((await _turn(crowd, model, place, 2))[0])
    return [
        Row(
            "first turn: message → first delta, median",
            p(first, 50),
            "s",
            1.5,
            f"p95 {p(first, 95):.2f} s, sandbox included",
        ),
        Row(
            "first delta → text on screen, p95",
            p(screen, 95) * 1000,
            "ms",
            400,
            f"median {p(screen, 50) * 1000:.0f} ms",
        ),
        Row(
            "warm turn: message → model request, median",
            p(warm, 50) * 1000,
            "ms",
            150,
            f"p95 {p(warm, 95) * 1000:.0f} ms",
        ),
        Row("the same, attaching anew, median", p(again, 50) * 1000, "ms", None, f"p95 {p(again, 95) * 1000:.0f} ms"),
    ]
