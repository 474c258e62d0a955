"""A Slack workspace of its own, with the app installed in it as people install it, and what they do there."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from html import unescape
from typing import Any, Final, Self
from urllib.parse import urlsplit

import aiohttp

from bots.slack.manifest import manifest
from tests.acceptance.platforms.house import House, until
from tests.acceptance.platforms.platform import Post
from tests.acceptance.program import PATIENCE_S
from tests.doubles.slack import Channel, Message, Person, SlackDouble, View, Workspace
from tests.doubles.slack.elements import options_of
from tests.doubles.slack.record import Call

SIGNS: Final = {
    "eyes": "👀",
    "speech_balloon": "💬",
    "white_check_mark": "✅",
    "octagonal_sign": "🛑",
    "no_entry_sign": "🚫",
    "x": "❌",
}
_BLANK: Final = "One moment"
_ADMINS: Final = frozenset({"boss"})


@dataclass(frozen=True, slots=True)
class SlackThread:
    """A thread, and its people."""

    slack: SlackDouble
    workspace: Workspace
    channel: Channel
    ts: str

    def person(self, name: str) -> Person:
        """Somebody who is in the channel."""
        found = self.workspace.person(name, admin=name in _ADMINS)
        if self.channel.kind != "im":
            self.channel.members.add(found.id)
        return found

    async def say(self, text: str, by: str) -> str:
        return (await self.person(by).says(self.channel, text, thread_ts=self.ts)).ts

    async def edit(self, message: str, text: str, by: str) -> None:
        await self.person(by).edits(self.channel.messages[message], text)

    async def delete(self, message: str, by: str) -> None:
        await self.person(by).deletes(self.channel.messages[message])

    async def press(self, post: Post, label: str, by: str) -> None:
        await self.person(by).clicks(self.channel.messages[post.id], label)

    async def fill(self, post: Post, label: str, text: str, by: str) -> None:
        person = self.person(by)
        await self.press(post, label, by)
        form: View = await self.slack.until(lambda: _filled_in(person.modal), within=PATIENCE_S)
        field = next(one["block_id"] for one in form.body["blocks"] if _is_text(one))
        assert await person.submits(form, {field: text}) in ({}, {"response_action": "clear"})

    async def command(self, verb: str, by: str) -> None:
        raise NotImplementedError("abilities.py says that Slack has no such thing")

    async def posts(self) -> Sequence[Post]:
        return [_post(one) for one in self._ours() if not one.is_deleted]

    async def posted(self) -> int:
        return len(self._ours())

    async def receipts(self, message: str) -> set[str]:
        bot = self.workspace.bot.id
        reactions = self.channel.messages[message].reactions
        return {SIGNS[name] for name, users in reactions.items() if bot in users}

    async def whispers(self, to: str) -> Sequence[str]:
        return [one.shown for one in self.person(to).only_hers]

    def name_of(self, person: str) -> str:
        return self.person(person).mention

    def known_as(self, person: str) -> str:
        return person

    def _ours(self) -> list[Message]:
        rows = sorted(self.channel.messages.values(), key=lambda one: one.ts)
        ours = [one for one in rows if one.author is self.workspace.bot and one.only_for is None]
        return [one for one in ours if one.is_reply and one.thread_ts == self.ts]


class Slack:
    """One workspace."""

    def __init__(self, house: House, workspace: Workspace) -> None:
        self._house = house
        self._slack = house.slack
        self.workspace = workspace
        self._channel = workspace.find("general")
        self._refused: list[Call] = []

    @classmethod
    async def open(cls, house: House, opened: AsyncExitStack) -> Self:
        """Make a workspace, and install the app in it."""
        slack = house.slack
        workspace = slack.workspace(f"T{house.number()}", is_installed=False)
        slack.apply_manifest(manifest())
        workspace.team.scopes.clear()
        await _install(house.slack_pages, workspace.person("ann"))
        return cls(house, workspace)

    async def begin(self, text: str, by: str) -> tuple[SlackThread, str]:
        asked = await self.workspace.person(by).mentions(self._channel, text)
        return self._thread(asked), asked.ts

    async def direct(self, text: str, by: str) -> tuple[SlackThread, str]:
        asked = await self.workspace.person(by).dms(text)
        return self._thread(asked), asked.ts

    async def command(self, text: str, by: str) -> SlackThread:
        person = self.workspace.person(by)
        self._channel.members.add(person.id)
        known = set(self._channel.messages)
        await person.slash("/threadwork", f"ask {text}", self._channel)

        def begun() -> Message | None:
            rows = [one for ts, one in self._channel.messages.items() if ts not in known and not one.only_for]
            return next((one for one in rows if one.author is self.workspace.bot and not one.is_reply), None)

        return self._thread(await self._slack.until(begun, within=PATIENCE_S))

    async def crash_bot(self) -> None:
        before = set(self._slack.sockets.ever)
        await self._house.kill("slack")
        await until(lambda: set(self._slack.sockets.live) - before)

    def lose_answers(self, times: int) -> None:
        self._slack.faults.ambiguous("chat.postMessage", times=times, when=self._is_ours)

    def limit_posts(self, seconds: float) -> None:
        for method in ("chat.postMessage", "chat.update"):
            self._slack.faults.throttle(method, retry_after=seconds, when=self._is_ours)

    def was_patient(self, seconds: float) -> bool:
        patient = []
        for method in ("chat.postMessage", "chat.update"):
            calls = [call for call in self._slack.calls(method) if self._is_ours(call)]
            refused = next(at for at, call in enumerate(calls) if call.status == 429)
            patient.append(calls[refused + 1].at - calls[refused].at >= seconds)
        return all(patient)

    def _is_ours(self, call: Call) -> bool:
        return call.team == self.workspace.id

    def _thread(self, root: Message) -> SlackThread:
        channel = self.workspace.team.channels[root.channel]
        return SlackThread(self._slack, self.workspace, channel, root.ts)


async def _install(pages: str, person: Person) -> None:
    """Press the button on the install page, say yes, and come back."""
    async with aiohttp.ClientSession() as browser:
        async with browser.get(f"{pages}/slack/install") as page:
            cookie = page.headers["Set-Cookie"].partition(";")[0]
            authorize_url = unescape((await page.text()).partition('href="')[2].partition('"')[0])
        back = await person.installs(authorize_url)
        address = f"{pages}/slack/oauth_redirect?{urlsplit(back).query}"
        # The cookie is for https only, which a proxy in front would speak.
        async with browser.get(address, headers={"Cookie": cookie}) as page:
            assert page.status == 200, await page.text()


def _post(message: Message) -> Post:
    labels: list[str] = []
    for element in message.elements:
        if element["type"] == "button":
            labels.append(element["text"]["text"])
        labels += [option["text"]["text"] for option in options_of(element)]
    edits = sum(step.kind == "edited" for step in message.history)
    return Post(message.ts, message.shown, tuple(labels), edits)


def _filled_in(form: View | None) -> View | None:
    return form if form is not None and form.body["title"]["text"] != _BLANK else None


def _is_text(block: dict[str, Any]) -> bool:
    return bool(block["type"] == "input" and block["element"]["type"] == "plain_text_input")
