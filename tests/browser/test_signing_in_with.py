"""Through Slack's and Discord's pages and back, in a real browser: its cookies, Sec-Fetch headers and policy."""

from pathlib import Path

from tests.browser.chromium import window
from tests.integration.town import open_town


async def test_a_browser_goes_to_the_platform_and_comes_back_signed_in(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with open_town(database_url, redis_url, tmp_path) as town, window() as browser:
        for platform, told in (("slack", "a job in Slack"), ("discord", "a job in Discord")):
            town.person(platform, "ann").sits_at_the_browser()
            # By another of its names, so that the page has to lead to the one that the way back is known by.
            await browser.open(f"{town.page.url.replace('127.0.0.1', 'localhost')}/sign-in")
            await browser.click("a.button", f"Sign in with {platform.title()}")
            assert "secret" not in await browser.reads(told)
        town.denies("discord")
        await browser.open(f"{town.page.url}/sign-in")
        await browser.click("a.button", "Sign in with Discord")
        await browser.reads("was not allowed to say who you are")
        assert [one for one in await browser.complaints() if "403" not in one] == []
