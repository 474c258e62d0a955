"""Interactions on the Discord double, with the real discord.py: commands, buttons, selects, forms, tokens, and lateness."""

import asyncio
from typing import Any

import aiohttp
import discord
import pytest
from discord import app_commands, ui

from tests.doubles.discord import CannotDo, DiscordDouble, Message, Seen
from tests.integration.doubles.discord_bot import Bot, Card, Decide, connected

Interaction = discord.Interaction[Any]


def _with_buttons(bot: Bot) -> None:
    bot.add_dynamic_items(Decide)


def _with_commands(bot: Bot) -> None:
    group = app_commands.Group(name="threadwork", description="Work in threads")

    @group.command(description="Ask for something")
    async def ask(interaction: Interaction, prompt: str, log: discord.Attachment | None = None) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        size = len(await log.read()) if log else 0
        await interaction.followup.send(f"asked {prompt} with {size} bytes", ephemeral=True)

    @ask.autocomplete("prompt")
    async def offer(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
        return [app_commands.Choice(name=f"{typed}!", value=typed)]

    async def start(interaction: Interaction, message: discord.Message) -> None:
        await interaction.response.send_message(f"on it: {message.content}")

    bot.tree.add_command(group)
    bot.tree.add_command(app_commands.ContextMenu(name="Ask Threadwork", callback=start))


async def test_commands_are_registered_and_run() -> None:
    async with DiscordDouble() as double:
        ann = double.guild("G1").person("ann")
        async with connected(double, prepare=_with_commands) as bot:
            await bot.tree.sync()
            seen = await ann.slash("threadwork ask", prompt="why", log=("a.log", b"12345"))
            await double.until(lambda: seen.text)
            assert (seen.ack, seen.ephemeral) == ("deferred", "asked why with 5 bytes")
            assert len(seen.messages) == 1  # the first follow-up fills the answer that was put off
            assert double.channel(ann.channel("general").id).texts == []

            choices = await ann.autocompletes("threadwork ask", "prompt", "wh")
            assert choices == [{"name": "wh!", "value": "wh"}]

            message = await ann.says("general", "the tests are red")
            seen = await ann.context_menu("Ask Threadwork", message)
            assert (seen.ack, seen.text, seen.ephemeral) == ("message", "on it: the tests are red", None)
            assert ann.channel("general").texts == ["the tests are red", "on it: the tests are red"]

            with pytest.raises(CannotDo, match="needs"):
                await ann.slash("threadwork ask")
            with pytest.raises(CannotDo, match="no command"):
                await ann.slash("threadwok")


async def test_bad_command_names_are_refused() -> None:
    async with DiscordDouble() as double:
        double.allow("50035")
        double.guild("G1")
        headers = {"Authorization": f"Bot {double.token}"}
        url = f"{double.api_url}/applications/{double.world.app_id}/commands"
        async with aiohttp.ClientSession(headers=headers) as session:
            for name, status in (("Ask", 400), ("a b", 400), ("x" * 33, 400), ("спроси", 200), ("ask-it_2", 200)):
                async with session.put(url, json=[{"name": name, "description": "d"}]) as response:
                    assert (name, response.status) == (name, status)


async def test_a_button_works_after_the_bot_was_restarted() -> None:
    async with DiscordDouble() as double:
        ann = double.guild("G1").person("ann")
        async with connected(double, prepare=_with_buttons) as bot:
            post = await bot.text_channel().send(view=Card("Run it?", "allow", "deny"), nonce="1")
        async with connected(double, prepare=_with_buttons):
            seen = await ann.clicks(double.message(post.id), "Deny")
            assert (seen.ack, seen.ephemeral) == ("message", "you chose deny")


async def test_a_click_that_nobody_answers_fails() -> None:
    async with DiscordDouble() as double:
        ann = double.guild("G1").person("ann")
        double.interactions.ack_seconds = 0.2
        post = _question(double)
        async with connected(double):
            assert (await ann.clicks(post, "yes")).ack == "failed"
            with pytest.raises(CannotDo):
                await ann.clicks(post, "no")


class _Reason(ui.Modal, title="Why not?"):
    reason: ui.Label[Any] = ui.Label(text="Reason", component=ui.TextInput(custom_id="reason", max_length=10))
    kind: ui.Label[Any] = ui.Label(
        text="Kind",
        component=ui.Select(
            custom_id="kind",
            options=[discord.SelectOption(label="A", value="a"), discord.SelectOption(label="B", value="b")],
        ),
    )

    async def on_submit(self, interaction: Interaction) -> None:
        assert isinstance(self.reason.component, ui.TextInput)
        assert isinstance(self.kind.component, ui.Select)
        await interaction.response.edit_message(
            content=f"{self.reason.component.value} {self.kind.component.values}", view=None
        )


class _Panel(ui.View):
    """A classic message with a button that opens a form, and a select."""

    def __init__(self) -> None:
        super().__init__(timeout=None)

    @ui.button(label="Why", custom_id="why")
    async def why(self, interaction: Interaction, button: ui.Button[Any]) -> None:
        await interaction.response.send_modal(_Reason(custom_id="reason-form"))

    @ui.select(
        custom_id="pick",
        options=[discord.SelectOption(label="One", value="1"), discord.SelectOption(label="Two", value="2")],
    )
    async def pick(self, interaction: Interaction, select: ui.Select[Any]) -> None:
        await interaction.response.defer()
        await interaction.edit_original_response(content=f"picked {select.values}")


async def test_selects_and_forms_go_round() -> None:
    async with DiscordDouble() as double:
        ann = double.guild("G1").person("ann")
        async with connected(double) as bot:
            post = await bot.text_channel().send("choose", view=_Panel(), nonce="1")
            shown = double.message(post.id)
            seen = await ann.selects(shown, "pick", ["2"])
            assert seen.ack == "deferred_update"
            await double.until(lambda: shown.content == "picked ['2']")

            opened = await ann.clicks(shown, "why")
            assert opened.modal is not None
            assert (opened.modal.title, list(opened.modal.fields)) == ("Why not?", ["reason", "kind"])
            with pytest.raises(CannotDo, match="characters"):
                await ann.submits(opened.modal, {"reason": "x" * 11, "kind": ["a"]})
            answer = await ann.submits(opened.modal, {"reason": "too risky", "kind": ["b"]})
            assert answer.ack == "update"
            assert shown.text == "too risky ['b']"
            assert shown.components == []


def _question(double: DiscordDouble) -> Message:
    """A post with a button, from a bot that keeps no view of it (as after a restart)."""
    button = {"type": 2, "style": 1, "label": "Yes", "custom_id": "yes"}
    body = {"content": "?", "components": [{"type": 1, "components": [button]}]}
    return double.posting.create(double.guild("G1").text("general"), double.world.bot, body, [])


async def _hold(bot: Bot) -> asyncio.Queue[Interaction]:
    """Hand every interaction over instead of answering it."""
    queue: asyncio.Queue[Interaction] = asyncio.Queue()

    async def on_interaction(interaction: Interaction) -> None:
        queue.put_nowait(interaction)

    bot.on_interaction = on_interaction  # type: ignore[attr-defined]
    return queue


async def test_a_second_acknowledgement_is_refused_and_so_is_a_late_one() -> None:
    async with DiscordDouble() as double:
        double.allow("40060", "10062")
        ann = double.guild("G1").person("ann")
        async with connected(double) as bot, asyncio.TaskGroup() as tasks:
            held = await _hold(bot)
            post = _question(double)
            click = tasks.create_task(ann.clicks(post, "yes"))
            interaction = await held.get()
            # Both answers are on their way before either is known to be there.
            results = await asyncio.gather(
                interaction.response.send_message("one", ephemeral=True),
                interaction.response.send_message("two", ephemeral=True),
                return_exceptions=True,
            )
            failures = [one for one in results if isinstance(one, discord.HTTPException)]
            assert [one.code for one in failures] == [40060]
            assert len((await click).messages) == 1

            double.interactions.ack_seconds = 0.2
            assert (await ann.clicks(post, "yes")).ack == "failed"
            late = await held.get()
            double.clock.advance(5)
            with pytest.raises(discord.NotFound) as refused:
                await late.response.send_message("sorry")
            assert refused.value.code == 10062


async def test_a_token_dies_after_fifteen_minutes_and_the_message_can_still_be_edited_by_its_channel() -> None:
    async with DiscordDouble() as double:
        double.allow("50027")
        ann = double.guild("G1").person("ann")
        async with connected(double) as bot, asyncio.TaskGroup() as tasks:
            held = await _hold(bot)
            post = _question(double)
            click = tasks.create_task(ann.clicks(post, "yes"))
            interaction = await held.get()
            await interaction.response.send_message("working")
            seen: Seen = await click
            assert seen.message is not None
            await double.advance(901)
            with pytest.raises(discord.HTTPException) as refused:
                await interaction.edit_original_response(content="done")
            assert refused.value.code == 50027
            await bot.text_channel().get_partial_message(int(seen.message.id)).edit(content="done")
            assert seen.text == "done"


@pytest.mark.parametrize(
    ("components", "words"),
    [
        (
            [{"type": 1, "components": [{"type": 2, "style": 1, "label": "x" * 81, "custom_id": "a"}]}],
            "between 0 and 80",
        ),
        (
            [{"type": 1, "components": [{"type": 2, "style": 1, "label": "x", "custom_id": "a" * 101}]}],
            "between 1 and 100",
        ),
        ([{"type": 1, "components": [{"type": 2, "style": 1, "label": "x"}]}], "required"),
        ([{"type": 1, "components": [{"type": 2, "style": 1, "label": "x", "custom_id": "a"}] * 2}], "duplicated"),
        ([{"type": 10, "content": "x" * 2001}, {"type": 10, "content": "x" * 2000}], "All text displays"),
        ([{"type": 17, "components": [{"type": 10, "content": "x"}] * 40}], "40 or fewer"),
        ([{"type": 17, "components": [{"type": 17, "components": []}]}], "may not stand here"),
        ([{"type": 9, "components": [{"type": 10, "content": "x"}]}], "thumbnail"),
        ([{"type": 13, "file": {"url": "attachment://none.txt"}}], "was not found"),
    ],
)
async def test_components_that_discord_would_refuse_are_refused(components: list[dict[str, Any]], words: str) -> None:
    async with DiscordDouble() as double:
        double.allow("50035")
        channel = double.guild("G1").text("general")
        body = {"flags": 1 << 15, "components": components, "nonce": "1", "enforce_nonce": True}
        headers = {"Authorization": f"Bot {double.token}"}
        url = f"{double.api_url}/channels/{channel.id}/messages"
        async with aiohttp.ClientSession(headers=headers) as session, session.post(url, json=body) as response:
            answer = await response.json()
        assert (response.status, answer["code"]) == (400, 50035)
        assert words in str(answer["errors"])
        assert [one.code for one in double.violations] == ["50035"]
