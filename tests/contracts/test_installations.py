"""What a tenant gave the app: kept encrypted, replaced, forgotten, and renewed once."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from core.errors import Ambiguous, Misconfigured
from core.ports import Installation
from core.store.installations import PostgresInstallations
from tests.contracts.stage import Stage

SECRET = b"s" * 32
NOW = datetime.now(UTC)


def installations(stage: Stage, secret: bytes = SECRET) -> PostgresInstallations:
    return PostgresInstallations(stage.engine, secret)


async def test_what_was_kept_last_is_found(stage: Stage) -> None:
    kept = installations(stage)
    first = Installation("T1", "xoxb-1")
    second = Installation("T1", "xoxb-2", "xoxe-2", NOW)
    other = Installation("T2", "xoxb-3")
    for one in (first, second, other):
        await kept.save(one)
    assert await kept.find("T1") == second
    assert await kept.find("T2") == other
    assert await kept.find("T3") is None


async def test_what_was_removed_is_gone_and_may_be_removed_again(stage: Stage) -> None:
    kept = installations(stage)
    await kept.save(Installation("T1", "xoxb-1"))
    for _ in range(2):
        await kept.remove("T1")
        assert await kept.find("T1") is None
    await kept.save(Installation("T1", "xoxb-2"))
    assert await kept.find("T1") == Installation("T1", "xoxb-2")


async def test_a_tenant_with_chats_keeps_them_when_the_app_goes(stage: Stage) -> None:
    accepted = await stage.says("hello")
    kept = installations(stage)
    await kept.save(Installation("T1", "xoxb-1"))
    await kept.remove("T1")
    assert (await stage.stores.chats.get(accepted.chat.id)).id == accepted.chat.id


async def test_tokens_are_not_to_be_read_without_the_secret(stage: Stage) -> None:
    await installations(stage).save(Installation("T1", "xoxb-readable", "xoxe-readable"))
    assert "readable" not in str(await stage.dump())
    assert b"readable".hex() not in str(await stage.dump())
    with pytest.raises(Misconfigured):
        await installations(stage, b"o" * 32).find("T1")


async def test_only_a_token_that_runs_out_is_renewed(stage: Stage) -> None:
    kept = installations(stage)
    good = Installation("T1", "xoxb-1", "xoxe-1", NOW + timedelta(hours=2))
    lasting = Installation("T2", "xoxb-2")
    await kept.save(good)
    await kept.save(lasting)

    async def exchange(_: Installation) -> Installation:
        raise AssertionError

    soon = NOW + timedelta(hours=1)
    assert await kept.renew("T1", soon, exchange) == good
    assert await kept.renew("T2", soon, exchange) == lasting
    assert await kept.renew("T3", soon, exchange) is None


async def test_of_many_that_renew_at_once_one_does(stage: Stage) -> None:
    kept = installations(stage)
    await kept.save(Installation("T1", "xoxb-1", "xoxe-1", NOW))
    given = []

    async def exchange(before: Installation) -> Installation:
        given.append(before.refresh_token)
        await asyncio.sleep(0.05)
        return Installation("T1", "xoxb-2", "xoxe-2", NOW + timedelta(hours=12))

    found = await asyncio.gather(*(kept.renew("T1", NOW + timedelta(hours=1), exchange) for _ in range(5)))
    assert {one.token for one in found if one} == {"xoxb-2"}
    assert given == ["xoxe-1"]


async def test_a_renewal_that_fails_leaves_what_was(stage: Stage) -> None:
    kept = installations(stage)
    before = Installation("T1", "xoxb-1", "xoxe-1", NOW)
    await kept.save(before)

    async def exchange(_: Installation) -> Installation:
        raise Ambiguous("no answer")

    with pytest.raises(Ambiguous):
        await kept.renew("T1", NOW + timedelta(hours=1), exchange)
    assert await kept.find("T1") == before
