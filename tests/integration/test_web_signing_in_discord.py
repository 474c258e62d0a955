"""Signing in with Discord: what is Discord's own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.town import Town, open_town


@pytest.fixture
async def town(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with open_town(database_url, redis_url, tmp_path) as opened:
        yield opened


@pytest.mark.parametrize(
    ("permission", "status"), [("ADMINISTRATOR", 303), ("MANAGE_GUILD", 303), ("MANAGE_CHANNELS", 403)]
)
async def test_who_may_manage_the_server_is_an_admin_and_nobody_else(town: Town, permission: str, status: int) -> None:
    guild = town.discord.guild("G1")
    zoe = guild.person("zoe", roles=[guild.role("role", permission).name])
    async with town.page.stranger() as browser:
        assert (await town.signs_in(browser, "discord", zoe)).status == status


async def test_the_owner_of_a_server_is_an_admin(town: Town) -> None:
    guild = town.discord.guild("G1")
    async with town.page.stranger() as browser:
        town.discord.server.sign_ins.at_browser = guild.state.owner
        assert (await town.returns(browser, await town.begins(browser, "discord"))).status == 303


async def test_each_server_gives_rights_of_its_own(database_url: str, redis_url: str, tmp_path: Path) -> None:
    async with open_town(database_url, redis_url, tmp_path, threadwork_web_viewers=True) as town:
        ann = town.person("discord", "ann")
        town.discord.guild("G2").person("ann")
        town.discord.guild("G9").person("ann")
        async with town.page.stranger() as browser:
            assert (await town.signs_in(browser, "discord", ann)).status == 303
            home = (await browser.get("/")).words
            assert "a job in Discord" in home
            assert "a secret of another server" in home
            for name, status in (("G1", 303), ("G2", 403)):
                chat = await town.page.stores.chats.by_key(
                    f"discord:{town.discord.guild(name).id}:{town.discord.guild(name).id}.1"
                )
                assert chat is not None
                assert (await browser.post(f"/chats/{chat.id}/messages", {"text": "go on"})).status == status


async def test_who_allows_less_than_was_asked_is_told_so(town: Town) -> None:
    town.discord.server.sign_ins.grants = "identify"
    async with town.page.stranger() as browser:
        answer = await town.signs_in(browser, "discord", town.person("discord", "ann"))
    assert (answer.status, "which servers you are in" in answer.words) == (403, True)


async def test_a_code_cannot_be_used_without_the_words_it_was_asked_with(town: Town) -> None:
    sign_ins = town.discord.server.sign_ins
    async with town.page.stranger() as browser:
        ann = town.discord.guild("G1").person("ann")
        ann.sits_at_the_browser()
        state = (await town.begins(browser, "discord")).partition("state=")[2].partition("&")[0]
        back = sign_ins.redirect_uris[0]
        other = {"redirect_uri": back, "scope": "identify guilds", "code_challenge": "of-another-try"}
        code = sign_ins.new_code(ann.user, other)
        answer = await town.returns(browser, f"{back}?code={code}&state={state}")
    assert answer.status == 400
    assert [call.answer["error"] for call in town.discord.calls("POST /oauth2/token")] == ["invalid_grant"]
