"""What the bot itself calls in Discord: threads, replies, answers to clicks and commands, earlier messages.

Every call is bounded, and what Discord refuses becomes one of our errors, with words that an admin can act on. The
posts of a turn are not made here but by the worker. Next: `servers.py`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from core.errors import Misconfigured, SurfaceError
from core.surfaces.discord.components import cut
from core.surfaces.discord.rest import Answer, Request, Rest

JSON = Mapping[str, Any]
REFUSED: Final = (
    "Discord refuses DISCORD_TOKEN. Reset and copy it from the Bot page of your app at "
    "https://discord.com/developers/applications"
)
CONTENT_CHARS: Final = 2_000
NAME_CHARS: Final = 100
_NOBODY: Final[JSON] = {"parse": [], "replied_user": False}
_EPHEMERAL: Final = 1 << 6
_HAS_THREAD: Final = 160004
_GONE: Final = frozenset({10003, 10008, 10015})


class DiscordWeb:
    """Discord as one bot calls it."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def whoami(self) -> JSON:
        """The application, with its bot's user. Raises `Misconfigured` for a token that Discord refuses."""
        return await self._by_token(Request("whoami", "GET", "/applications/@me", "application"))

    async def shards(self) -> int:
        """How many connections Discord wants the bot to have. Raises `Misconfigured` for a token that it refuses."""
        told = await self._by_token(Request("gateway", "GET", "/gateway/bot", "gateway"))
        return int(told.get("shards") or 1)

    async def servers(self) -> Sequence[JSON]:
        """The servers that the bot is in, with its permissions in each; of very many, the first."""
        return self._list(await self._rest.call(Request("look", "GET", "/users/@me/guilds", "servers")))

    async def registered(self, app: str) -> Sequence[JSON]:
        """The app's commands, as Discord has them."""
        path = f"/applications/{app}/commands"
        return self._list(await self._rest.call(Request("look", "GET", path, "commands")))

    async def _by_token(self, request: Request) -> JSON:
        answer = await self._rest.ask(request)
        if answer.status == 401:
            raise Misconfigured(REFUSED)
        return self._rest.good(request, answer).told

    async def register(self, app: str, commands: Sequence[JSON]) -> None:
        """Make these the app's commands."""
        # Discord takes a list here, and nowhere else.
        path = f"/applications/{app}/commands"
        await self._rest.call(Request("register", "PUT", path, "commands", list(commands)))  # type: ignore[arg-type]

    # -- channels and messages ---------------------------------------------------------------------------------

    async def channel(self, channel: str) -> JSON:
        """A channel or thread."""
        return (await self._rest.call(Request("look", "GET", f"/channels/{channel}", f"look {channel}"))).told

    async def start_thread(self, channel: str, message: str, name: str) -> str:
        """A thread under a message, the one that is there or a new one; its id, which is the message's."""
        path = f"/channels/{channel}/messages/{message}/threads"
        body = {"name": cut(" ".join(name.split()), NAME_CHARS) or "Threadwork"}
        request = Request("thread", "POST", path, f"thread {channel}", body)
        answer = await self._rest.ask(request)
        if answer.refusal != _HAS_THREAD:
            self._rest.good(request, answer)
        return message

    async def post(self, channel: str, text: str, mark: str, reply_to: str | None = None) -> str:
        """Say something for all; its id. The same mark makes one post of two, for some minutes."""
        body: dict[str, Any] = {
            "content": cut(text, CONTENT_CHARS),
            "allowed_mentions": _NOBODY,
            "flags": 1 << 2,  # no previews of links
            "nonce": hashlib.sha256(mark.encode()).hexdigest()[:24],
            "enforce_nonce": True,
        }
        if reply_to is not None:
            body["message_reference"] = {"message_id": reply_to, "fail_if_not_exists": False}
        request = Request("send", "POST", f"/channels/{channel}/messages", f"send {channel}", body)
        return str((await self._rest.call(request)).told["id"])

    async def delete(self, channel: str, message: str) -> None:
        """Take a post of ours away; one that is gone is fine."""
        request = Request("delete", "DELETE", f"/channels/{channel}/messages/{message}", f"delete {channel}")
        answer = await self._rest.ask(request)
        if answer.refusal not in _GONE:
            self._rest.good(request, answer)

    async def message(self, channel: str, message: str) -> JSON:
        """One message."""
        path = f"/channels/{channel}/messages/{message}"
        return (await self._rest.call(Request("read", "GET", path, f"read {channel}"))).told

    async def messages(self, channel: str, **where: str) -> Sequence[JSON]:
        """A page of messages, at most a hundred, newest first. `where`: `before` or `after` a message's id."""
        request = Request(
            "read", "GET", f"/channels/{channel}/messages", f"read {channel}", query={"limit": "100", **where}
        )
        return self._list(await self._rest.call(request))

    @staticmethod
    def _list(answer: Answer) -> Sequence[JSON]:
        if not isinstance(answer.body, list):
            raise SurfaceError("Discord's answer cannot be read.")
        return answer.body

    async def member(self, guild: str, user: str) -> JSON:
        """Somebody as a member of a server."""
        path = f"/guilds/{guild}/members/{user}"
        return (await self._rest.call(Request("look", "GET", path, f"member {guild}"))).told

    # -- answers to clicks and commands ------------------------------------------------------------------------

    async def answer(self, interaction: str, token: str, kind: int, data: JSON | None = None) -> None:
        """The one acknowledgement of a click or command, which Discord wants within three seconds."""
        path = f"/interactions/{interaction}/{token}/callback"
        body = {"type": kind} if data is None else {"type": kind, "data": data}
        await self._rest.call(Request("answer", "POST", path, f"answer {interaction}", body))

    async def answer_more(self, app: str, token: str, text: str) -> None:
        """Words after the acknowledgement, for the person alone."""
        path = f"/webhooks/{app}/{token}"
        await self._rest.call(Request("answer", "POST", path, f"answer {token}", whispered(text)))

    async def change_answer(self, app: str, token: str, text: str) -> None:
        """The words that were put off by the acknowledgement."""
        path = f"/webhooks/{app}/{token}/messages/@original"
        body = {name: value for name, value in whispered(text).items() if name != "flags"}
        await self._rest.call(Request("answer", "PATCH", path, f"answer {token}", body))

    async def take_answer_back(self, app: str, token: str) -> None:
        """Leave what was put off unsaid."""
        path = f"/webhooks/{app}/{token}/messages/@original"
        await self._rest.call(Request("answer", "DELETE", path, f"answer {token}"))


def whispered(text: str) -> JSON:
    """A message that one person sees alone."""
    return {"content": cut(text, CONTENT_CHARS) or "…", "allowed_mentions": _NOBODY, "flags": _EPHEMERAL}
