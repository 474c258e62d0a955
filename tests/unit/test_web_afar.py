import asyncio
from collections.abc import Callable
from contextlib import suppress

from bots.web.afar import Afar
from bots.web.checks import Checks
from core.errors import Unavailable

WAIT_S = 60


class Elsewhere:
    """A server: asked so often; with `why` it is not well, `hangs`: it never answers."""

    def __init__(self) -> None:
        self.asked = 0
        self.why = ""
        self.hangs = False

    async def check(self) -> None:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.why:
            raise Unavailable("the server", self.why)


async def looked(elsewhere: Elsewhere, looks: Callable[[Afar], "asyncio.Future[None]"], kept_s: float) -> None:
    afar = Afar(Checks({"server": elsewhere.check}, 0.05), kept_s)
    asking = asyncio.create_task(afar.ask_for_ever())
    try:
        async with asyncio.timeout(WAIT_S):
            await looks(afar)
    finally:
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking


async def test_nobody_is_asked_before_somebody_looks_and_once_for_many() -> None:
    elsewhere = Elsewhere()

    async def looks(afar: Afar) -> None:
        await asyncio.sleep(0)
        assert elsewhere.asked == 0
        found = await asyncio.gather(*(afar.all() for _ in range(50)))
        assert [one.is_well for (one,) in found] == [True] * 50
        assert elsewhere.asked == 1

    await looked(elsewhere, lambda afar: asyncio.ensure_future(looks(afar)), 1000.0)


async def test_one_that_hangs_is_not_well_and_holds_nobody_up() -> None:
    elsewhere = Elsewhere()
    elsewhere.hangs = True

    async def looks(afar: Afar) -> None:
        (found,) = await afar.all()
        assert found.why == "It does not answer."

    await looked(elsewhere, lambda afar: asyncio.ensure_future(looks(afar)), 1000.0)


async def test_who_goes_on_looking_sees_what_became_of_it() -> None:
    elsewhere = Elsewhere()

    async def looks(afar: Afar) -> None:
        assert (await afar.all())[0].is_well
        elsewhere.why = "it broke"
        while (await afar.all())[0].is_well:
            await asyncio.sleep(0)
        elsewhere.why = ""
        while not (await afar.all())[0].is_well:
            await asyncio.sleep(0)

    await looked(elsewhere, lambda afar: asyncio.ensure_future(looks(afar)), 0.01)
