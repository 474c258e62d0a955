"""The Discord surface against a Discord that has its limits switched on, its archive, and its bad days."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from core.domain import events as e
from core.domain.approval import Approval, ApprovalId, ApprovalKind
from core.domain.chat import ChatId, Place, Platform
from core.domain.states import ApprovalState, TurnState
from core.domain.turn import TurnId, Usage
from core.domain.view import View, fold
from core.errors import Ambiguous, PlaceGone, PostGone, RateLimited, SurfaceError, ThreadworkError, TooLarge
from core.ports import Payload, Receipt
from core.surfaces.discord.approvals import render_approval
from core.surfaces.discord.client import ROTATE_AFTER, DiscordSurface
from core.surfaces.discord.render import render
from core.surfaces.presses import Press, Verb
from tests.doubles.discord import Channel, DiscordDouble, Message, Person

WAIT_S = 60
TURN = TurnId(UUID(int=1))
SEND = "POST /channels/{channel}/messages"
EDIT = "PATCH /channels/{channel}/messages/{message}"
REACT = "PUT /channels/{channel}/messages/{message}/reactions/{emoji}/@me"


@dataclass(slots=True)
class Stage:
    """A thread under a message, and the surface that speaks in it, whose clock is the double's."""

    double: DiscordDouble
    surface: DiscordSurface
    ann: Person
    asked: Message
    thread: Channel
    place: Place = field(init=False)

    def __post_init__(self) -> None:
        self.place = Place(Platform.DISCORD, self.ann.guild.id, self.asked.channel.id, self.thread.id)

    @property
    def posts(self) -> list[Message]:
        return [one for one in self.thread.messages if one.author is self.double.world.bot]

    @asynccontextmanager
    async def another(self) -> AsyncIterator[DiscordSurface]:
        """The surface of another worker."""
        async with DiscordSurface.open(self.double.token, self.double.api_url) as surface:
            yield surface

    def members_only(self) -> None:
        """Take from the bot what only moderators may."""
        for role in self.ann.guild.state.roles.values():
            if role.name == "threadwork":
                role.permissions = 0


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with asyncio.timeout(WAIT_S), DiscordDouble() as double:
        ann = double.guild("G1").person("ann")
        asked = await ann.mentions_bot("general", "fix the build")
        thread = await ann.starts_thread(asked, "fix the build")

        def now() -> datetime:
            return datetime.fromtimestamp(double.clock.now(), UTC)

        async with DiscordSurface.open(double.token, double.api_url, now) as surface:
            yield Stage(double, surface, ann, asked, thread)


def live(text: str) -> Payload:
    view = View(turn_id=TURN)
    for event in (e.TurnStarted(1, ("m",)), e.TextStreamed(text)):
        view = fold(view, event)
    return render(view)[0]


def final(text: str) -> Payload:
    end = e.TurnFinished(TurnState.DONE, text, Usage(), Decimal(0), 1.0)
    return render(fold(View(turn_id=TURN), end))[0]


def question() -> Payload:
    approval = Approval(
        ApprovalId(UUID(int=7)),
        ChatId(UUID(int=1)),
        TURN,
        "t",
        ApprovalKind.TOOL,
        "Bash",
        {"command": "make"},
        "Runs `make`",
        ApprovalState.PENDING,
        datetime(2026, 1, 2, tzinfo=UTC),
    )
    return render_approval(approval)[0]


def lately(stage: Stage) -> datetime:
    return datetime.fromtimestamp(stage.double.clock.now(), UTC) - timedelta(minutes=5)


# ------------------------------------------------------------ limits


async def test_many_edits_in_a_row_wait_their_turn_and_are_never_refused(stage: Stage) -> None:
    stage.double.limits.scale = 0.1
    post = await stage.surface.send(stage.place, live("0"), "m")
    for number in range(1, 13):
        await stage.surface.edit(stage.place, post, live(str(number)))
    # A 429 would fail the test when the double closes.
    assert stage.posts[0].text.endswith("12")


async def test_swapping_a_reaction_waits_for_the_bucket_that_both_calls_share(stage: Stage) -> None:
    said = await stage.ann.says(stage.thread, "and the tests")
    await stage.surface.receipt(stage.place, said.id, Receipt.QUEUED, None)
    await stage.surface.receipt(stage.place, said.id, Receipt.ANSWERED, Receipt.QUEUED)
    assert list(said.reactions) == ["✅"]


async def test_a_limit_on_everything_stops_every_call(stage: Stage) -> None:
    stage.double.faults.throttle(EDIT, retry_after=30.5, everywhere=True)
    post = await stage.surface.send(stage.place, final("one"), "m1")
    with pytest.raises(RateLimited) as caught:
        await stage.surface.edit(stage.place, post, final("two"))
    assert caught.value.retry_after_s == 30.5
    before = len(stage.double.requests)
    with pytest.raises(RateLimited):
        await stage.surface.send(stage.place, final("three"), "m2")
    assert len(stage.double.requests) == before


async def test_a_one_line_answer_takes_three_calls_and_a_change_of_reaction(stage: Stage) -> None:
    await stage.surface.receipt(stage.place, stage.asked.id, Receipt.QUEUED, None)
    before = len(stage.double.requests)
    post = await stage.surface.send(stage.place, live("Wor"), "m")
    await stage.surface.edit(stage.place, post, live("Works"))
    await stage.surface.edit(stage.place, post, final("Works."))
    await stage.surface.receipt(stage.place, stage.asked.id, Receipt.WORKING, Receipt.QUEUED)
    await stage.surface.receipt(stage.place, stage.asked.id, Receipt.ANSWERED, Receipt.WORKING)
    assert len(stage.double.requests) - before == 5


# ------------------------------------------------------------ once, whatever happens


async def test_a_post_is_found_by_another_worker_though_its_nonce_is_forgotten(stage: Stage) -> None:
    for number in range(3):
        await stage.ann.says(stage.thread, f"word {number}")
    post = await stage.surface.send(stage.place, final("Hello"), "m1")
    async with stage.another() as other:
        assert await other.find(stage.place, "m1", lately(stage)) == post
        assert await other.find(stage.place, "m2", lately(stage)) is None


async def test_a_post_is_found_in_a_long_thread(stage: Stage) -> None:
    for number in range(130):
        await stage.ann.says(stage.thread, f"word {number}")
    post = await stage.surface.send(stage.place, final("Hello"), "m1")
    for number in range(130):
        await stage.ann.says(stage.thread, f"word {number}")
    async with stage.another() as other:
        assert await other.find(stage.place, "m1", lately(stage)) == post


async def test_a_repeated_post_that_cannot_be_looked_for_shows_what_was_sent_last(stage: Stage) -> None:
    post = await stage.surface.send(stage.place, final("Hello"), "m1")
    stage.ann.guild.deny("general", "READ_MESSAGE_HISTORY")
    # As if time had passed for Discord: the post is older than the answer that tells of it.
    stage.posts[0].at -= 60
    async with stage.another() as other:
        assert await other.find(stage.place, "m1", lately(stage)) is None
        assert await other.send(stage.place, final("Hello again"), "m1") == post
    assert [one.text.split("\n")[0] for one in stage.posts] == ["Hello again"]


# ------------------------------------------------------------ posts that grow old


async def test_a_live_post_makes_room_for_a_new_one_before_its_first_hour_ends(stage: Stage) -> None:
    post = await stage.surface.send(stage.place, live("one"), "m1")
    await stage.double.advance(ROTATE_AFTER.total_seconds() - 60)
    await stage.surface.edit(stage.place, post, live("two"))
    await stage.double.advance(120)
    with pytest.raises(PostGone):
        await stage.surface.edit(stage.place, post, live("three"))
    assert stage.posts == []
    await stage.surface.send(stage.place, live("three"), "m2")
    assert len(stage.posts) == 1


async def test_a_question_is_settled_in_place_however_old_it_is(stage: Stage) -> None:
    post = await stage.surface.send(stage.place, question(), "m1")
    await stage.double.advance(7_000)
    await stage.surface.edit(stage.place, post, final("Ann allowed this."))
    assert [one.id for one in stage.posts] == [post]


async def test_edits_of_old_posts_that_are_too_many_say_how_long_to_wait(stage: Stage) -> None:
    stage.double.allow("30046")
    post = await stage.surface.send(stage.place, question(), "m1")
    await stage.double.advance(7_000)
    for number in range(3):
        await stage.surface.edit(stage.place, post, final(str(number)))
    with pytest.raises(RateLimited) as caught:
        await stage.surface.edit(stage.place, post, final("more"))
    assert 10 < caught.value.retry_after_s <= 20


# ------------------------------------------------------------ the archive


async def test_a_thread_in_the_archive_is_opened_for_an_edit(stage: Stage) -> None:
    post = await stage.surface.send(stage.place, question(), "m1")
    await stage.double.advance(5 * 24 * 3600)
    was_archived = stage.thread.archived
    await stage.surface.edit(stage.place, post, final("Ann allowed this."))
    assert (was_archived, stage.thread.archived) == (True, False)
    assert stage.posts[0].text.startswith("Ann allowed this.")


async def test_a_thread_in_the_archive_is_opened_by_sending(stage: Stage) -> None:
    await stage.double.advance(5 * 24 * 3600)
    await stage.surface.send(stage.place, final("Hello"), "m1")
    assert not stage.thread.archived


async def test_a_reaction_leaves_a_thread_in_the_archive(stage: Stage) -> None:
    said = await stage.ann.says(stage.thread, "thanks")
    await stage.double.advance(5 * 24 * 3600)
    with pytest.raises(PlaceGone):
        await stage.surface.receipt(stage.place, said.id, Receipt.ANSWERED, None)
    assert stage.thread.archived


async def test_a_locked_thread_is_reported(stage: Stage) -> None:
    post = await stage.surface.send(stage.place, question(), "m1")
    stage.members_only()
    moderator = stage.ann.guild.state.owner
    stage.double.threads.change(stage.thread, moderator, {"archived": True, "locked": True})
    with pytest.raises(PlaceGone, match="locked"):
        await stage.surface.edit(stage.place, post, final("more"))
    with pytest.raises(PlaceGone, match="locked"):
        await stage.surface.send(stage.place, final("more"), "m2")


# ------------------------------------------------------------ rights


@pytest.mark.parametrize(
    ("taken", "words"),
    [
        ("VIEW_CHANNEL", "cannot see this thread"),
        ("SEND_MESSAGES_IN_THREADS", "Send Messages in Threads"),
    ],
)
async def test_a_right_that_is_missing_is_named(stage: Stage, taken: str, words: str) -> None:
    stage.ann.guild.deny("general", taken)
    with pytest.raises(PlaceGone, match=words):
        await stage.surface.send(stage.place, final("Hello"), "m1")


async def test_a_reaction_that_is_not_allowed_says_which_right_it_takes(stage: Stage) -> None:
    stage.ann.guild.deny("general", "ADD_REACTIONS")
    said = await stage.ann.says(stage.thread, "thanks")
    with pytest.raises(SurfaceError, match="Add Reactions") as caught:
        await stage.surface.receipt(stage.place, said.id, Receipt.ANSWERED, None)
    assert not caught.value.retryable
    assert not isinstance(caught.value, PlaceGone)


async def test_without_the_right_to_attach_files_the_post_says_that_they_are_missing(stage: Stage) -> None:
    stage.ann.guild.deny("general", "ATTACH_FILES")
    await stage.surface.send(stage.place, final("line\n" * 9_000), "m1")
    assert "permission Attach Files" in stage.posts[0].text


async def test_a_file_that_may_not_be_attached_is_refused_in_words(stage: Stage) -> None:
    stage.ann.guild.deny("general", "ATTACH_FILES")
    with pytest.raises(SurfaceError, match="Attach Files") as caught:
        await stage.surface.send(stage.place, stage.surface.render_file("report.csv", b"a,b\n"), "m1")
    assert not caught.value.retryable
    assert not stage.posts


async def test_a_file_keeps_its_name_and_its_bytes(stage: Stage) -> None:
    await stage.surface.send(stage.place, stage.surface.render_file("Übersicht 🎉.png", b"\x89PNG"), "m1")
    (attachment,) = stage.posts[0].attachments
    assert (attachment.filename, attachment.content) == ("bersicht.png", b"\x89PNG")
    assert "Übersicht 🎉.png · 4 bytes" in stage.posts[0].text


async def test_a_file_that_discord_finds_too_large_is_said_to_be(stage: Stage) -> None:
    stage.double.allow("40005")
    large = b"\0" * ((await stage.surface.file_limit(stage.place)).most_bytes + 1)
    with pytest.raises(TooLarge, match="in parts, or smaller"):
        await stage.surface.send(stage.place, stage.surface.render_file("big.bin", large), "m1")


async def test_a_wrong_token_is_a_sentence_about_the_setting(stage: Stage) -> None:
    async with DiscordSurface.open("wrong", stage.double.api_url) as surface:
        with pytest.raises(SurfaceError, match="DISCORD_TOKEN") as caught:
            await surface.send(stage.place, final("Hello"), "m1")
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (403, 50001, PlaceGone, "View Channel"),
        (403, 50013, PlaceGone, "lacks a permission"),
        (400, 50083, PlaceGone, "archived"),
        (404, 10003, PlaceGone, "deleted"),
        (404, 10004, PlaceGone, "invite it again"),
        (404, 10008, PostGone, "deleted"),
        (404, 10062, SurfaceError, "Press again"),
        (400, 40060, SurfaceError, "answered already"),
        (429, 30046, RateLimited, "rate limited"),
        (400, 160004, SurfaceError, "thread under this message already"),
        (400, 160005, PlaceGone, "locked"),
        (400, 160006, SurfaceError, "Archive some"),
        (400, 200000, SurfaceError, "AutoMod"),
        (401, 0, SurfaceError, "DISCORD_TOKEN"),
        (400, 99999, SurfaceError, "because"),
        (502, 0, Ambiguous, "may have been done"),
    ],
)
async def test_every_refusal_ends_in_words(
    stage: Stage, status: int, code: int, kind: type[ThreadworkError], words: str
) -> None:
    stage.members_only()
    for route in (SEND, "PATCH /channels/{channel}"):
        stage.double.faults.fail(route, status=status, code=code, message="because")
    with pytest.raises(ThreadworkError, match=words) as caught:
        await stage.surface.send(stage.place, final("Hello"), "m1")
    assert type(caught.value) is kind


# ------------------------------------------------------------ simpler words


async def test_a_post_whose_components_are_refused_is_sent_in_the_classic_form(stage: Stage) -> None:
    stage.double.faults.fail(SEND, status=400, code=50035)
    post = await stage.surface.send(stage.place, question(), "m1")
    assert "make" in stage.posts[0].content
    assert stage.posts[0].flags == 0
    row = stage.posts[0].components[0]["components"]
    assert Press(Verb.ALLOW, UUID(int=7)).encode() in [one["custom_id"] for one in row]
    async with stage.another() as other:
        assert await other.find(stage.place, "m1", lately(stage)) == post


async def test_a_classic_post_is_made_of_components_by_its_first_edit(stage: Stage) -> None:
    stage.double.faults.fail(SEND, status=400, code=50035)
    post = await stage.surface.send(stage.place, question(), "m1")
    stage.double.allow("50035")
    await stage.surface.edit(stage.place, post, final("Ann allowed this."))
    assert "Ann allowed this." in stage.posts[0].text
    assert "May I?" not in stage.posts[0].text
    before = len(stage.double.calls(EDIT))
    await stage.surface.edit(stage.place, post, final("Done."))
    assert len(stage.double.calls(EDIT)) == before + 1


async def test_an_edit_whose_components_are_refused_is_made_in_simpler_ones(stage: Stage) -> None:
    post = await stage.surface.send(stage.place, live("one"), "m1")
    stage.double.faults.fail(EDIT, status=400, code=50035)
    await stage.surface.edit(stage.place, post, live("two"))
    assert "two" in stage.posts[0].text
    assert [part["type"] for part in stage.posts[0].components] == [10, 10, 1]


async def test_a_post_that_is_refused_in_every_form_is_too_large(stage: Stage) -> None:
    stage.double.faults.fail(SEND, status=400, code=50035, times=5)
    with pytest.raises(TooLarge):
        await stage.surface.send(stage.place, final("Hello"), "m1")


# ------------------------------------------------------------ receipts


async def test_the_message_that_a_thread_began_with_gets_its_reaction_outside_the_thread(stage: Stage) -> None:
    assert stage.asked.id == stage.thread.id
    await stage.surface.receipt(stage.place, stage.asked.id, Receipt.QUEUED, None)
    await stage.surface.receipt(stage.place, stage.asked.id, Receipt.ANSWERED, Receipt.WORKING)
    assert list(stage.asked.reactions) == ["✅"]


async def test_the_first_message_of_a_forum_post_gets_its_reaction_within(stage: Stage) -> None:
    stage.ann.guild.forum("help")
    thread = await stage.ann.posts_in_forum("help", "broken", "it is broken")
    assert thread.parent is not None
    place = Place(Platform.DISCORD, stage.ann.guild.id, thread.parent.id, thread.id)
    await stage.surface.receipt(place, thread.id, Receipt.ANSWERED, None)
    assert list(thread.messages[0].reactions) == ["✅"]


async def test_direct_messages_are_answered_and_marked(stage: Stage) -> None:
    said = await stage.ann.dms("hello")
    place = Place(Platform.DISCORD, "@me", said.channel.id, said.channel.id)
    await stage.surface.receipt(place, said.id, Receipt.QUEUED, None)
    await stage.surface.send(place, final("Hello"), "m1")
    assert list(said.reactions) == ["👀"]
    assert said.channel.messages[-1].text.startswith("Hello")


async def test_nobody_is_pinged_by_what_the_agent_writes(stage: Stage) -> None:
    text = f"@everyone @here <@{stage.ann.id}> <@&{stage.ann.guild.id}> `@everyone`"
    post = await stage.surface.send(stage.place, live(text), "m1")
    await stage.surface.edit(stage.place, post, final(text))
    assert stage.double.pings == []


async def test_a_long_answer_is_a_file_that_goes_when_the_post_no_longer_needs_it(stage: Stage) -> None:
    text = "line\n" * 9_000
    post = await stage.surface.send(stage.place, final(text), "m1")
    [attachment] = stage.posts[0].attachments
    assert (attachment.filename, attachment.content.decode()) == ("answer.md", text)
    await stage.surface.edit(stage.place, post, final(text))
    assert len(stage.posts[0].attachments) == 1
    await stage.surface.edit(stage.place, post, final("short"))
    assert stage.posts[0].attachments == []
