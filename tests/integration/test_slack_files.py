"""Files of people in Slack, fetched with the bot's token: whole, bounded, and never a login page."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from core.domain.chat import Place, Platform
from core.domain.message import FileIn
from core.errors import Ambiguous, SurfaceError, TooLarge
from core.surfaces.slack.files import SlackFiles
from tests.doubles.slack import SlackDouble

PLACE = Place(Platform.SLACK, "T1", "C1", "1.0")
LIMIT = 1_000


async def _attached(slack: SlackDouble, name: str, content: bytes) -> FileIn:
    said = await slack.workspace("T1").person("ann").says("general", "look", files=[(name, content)])
    file = said.files[0]
    return FileIn(file.name, file.url, len(content), file.mimetype)


@pytest.fixture
async def slack() -> AsyncIterator[SlackDouble]:
    async with SlackDouble() as double:
        yield double


@pytest.fixture
async def files(slack: SlackDouble) -> AsyncIterator[SlackFiles]:
    async def token_of(tenant: str) -> str:
        return slack.workspace(tenant).token

    async with SlackFiles.open(token_of, slack.api_url) as source:
        yield source


@pytest.mark.parametrize(
    ("name", "content"), [("a.txt", b"hello"), ("b.bin", bytes(range(256)) * 3), ("c.html", b"<p>")]
)
async def test_a_file_comes_as_it_is(slack: SlackDouble, files: SlackFiles, name: str, content: bytes) -> None:
    assert await files.fetch(PLACE, await _attached(slack, name, content), LIMIT) == content


async def test_a_login_page_is_no_file(slack: SlackDouble, files: SlackFiles) -> None:
    for name in ("a.txt", "a.html"):
        file = await _attached(slack, name, b"hello")
        slack.workspace("T1").team.scopes.discard("files:read")
        with pytest.raises(SurfaceError, match="files:read"):
            await files.fetch(PLACE, file, LIMIT)
        slack.workspace("T1").team.scopes.add("files:read")


async def test_a_file_that_is_too_large_is_not_read_to_its_end(slack: SlackDouble, files: SlackFiles) -> None:
    file = await _attached(slack, "a.txt", b"x" * 200_000)
    with pytest.raises(TooLarge):
        await files.fetch(PLACE, file, LIMIT)
    assert not slack.calls("download")
    with pytest.raises(TooLarge):
        await files.fetch(PLACE, replace(file, size=1), LIMIT)


async def test_what_slack_does_not_give_is_an_error_with_a_reason(slack: SlackDouble, files: SlackFiles) -> None:
    file = await _attached(slack, "a.txt", b"hello")
    slack.faults.http("download", 503)
    with pytest.raises(Ambiguous, match="503"):
        await files.fetch(PLACE, file, LIMIT)
    slack.faults.drop("download", times=None)
    with pytest.raises(Ambiguous, match="did not send it"):
        await files.fetch(PLACE, file, LIMIT)
    slack.faults.clear()
    slack.faults.http("download", 404)
    with pytest.raises(SurfaceError, match="deleted"):
        await files.fetch(PLACE, file, LIMIT)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/a.txt",
        "http://files.slack.com/a",
        "https://slack.com.evil.example/a",
        "file:///etc/passwd",
    ],
)
async def test_the_token_goes_to_slack_only(files: SlackFiles, url: str) -> None:
    with pytest.raises(SurfaceError, match="outside Slack"):
        await files.fetch(PLACE, FileIn("a.txt", url, 5), LIMIT)
