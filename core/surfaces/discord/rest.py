"""Discord's REST interface: one request, its answer, and its refusal as one of our errors.

Not discord.py's client: that one sleeps through rate limits however long, sends a post a second time when a server
fails, and keeps its address in a class attribute. Here each request is bounded, made once if it must not be repeated,
and waits only where `gates.py` knows that Discord would refuse it. Next: `client.py`.
"""

import io
import json
import mimetypes
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import quote

import aiohttp
from yarl import URL

from core.errors import Ambiguous, Unavailable
from core.surfaces.discord.gates import Gates
from core.surfaces.discord.refusals import OLD_EDITS, code_of, error_of, is_global, retry_after_s

API_URL: Final = "https://discord.com/api/v10"
CALL_S: Final = 20.0
UPLOAD_S: Final = 75.0
USER_AGENT: Final = "DiscordBot (https://github.com/threadwork/threadwork, 1)"  # discord.com turns others away


@dataclass(frozen=True, slots=True)
class Request:
    """A call. `what` names it in errors; calls of one `bucket` are limited together."""

    what: str
    method: str
    path: str
    bucket: str
    body: Mapping[str, Any] | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `body` is None where it is no JSON, as from something that stands between us and Discord."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def is_good(self) -> bool:
        """Whether Discord did what was asked."""
        return 200 <= self.status < 300

    @property
    def told(self) -> Mapping[str, Any]:
        """The body, if it is an object."""
        return self.body if isinstance(self.body, dict) else {}

    @property
    def refusal(self) -> int:
        """Discord's code of its refusal; 0 if it gave none."""
        return 0 if self.is_good else code_of(self.told)


class Rest:
    """Makes requests as one bot."""

    def __init__(self, token: str, session: aiohttp.ClientSession, api_url: str | None = None) -> None:
        self._headers = {"Authorization": f"Bot {token}", "User-Agent": USER_AGENT}
        self._session = session
        self._api_url = (api_url or API_URL).rstrip("/")
        self._gates = Gates()

    @classmethod
    @asynccontextmanager
    async def open(cls, token: str, api_url: str | None = None) -> AsyncIterator[Self]:
        """With connections of its own, closed at the end."""
        async with aiohttp.ClientSession() as session:
            yield cls(token, session, api_url)

    async def call(self, request: Request) -> Answer:
        """The answer, if it is a good one; else its error is raised."""
        return self.good(request, await self.ask(request))

    def good(self, request: Request, answer: Answer) -> Answer:
        """The same answer, if it is a good one; else its error is raised."""
        if answer.is_good:
            return answer
        raise error_of(request.what, answer.status, answer.told, answer.headers)

    async def ask(self, request: Request) -> Answer:
        """The answer, whatever it is. Raises `Ambiguous`, `Unavailable`, or `RateLimited` before Discord is asked."""
        async with self._gates.through(request.bucket):
            answer = await self._ask(request)
            self._gates.learn(request.bucket, answer.headers)
            self._heed(request, answer)
        return answer

    def _heed(self, request: Request, answer: Answer) -> None:
        """Stay away for as long as a refusal says. The limit on edits of old posts leaves those of young ones free."""
        if answer.status != 429 or answer.refusal == OLD_EDITS:
            return
        seconds = retry_after_s(answer.told, answer.headers)
        if is_global(answer.told, answer.headers):
            self._gates.close_all(seconds)
        else:
            self._gates.close(request.bucket, seconds)

    async def _ask(self, request: Request) -> Answer:
        url = URL(f"{self._api_url}{request.path}", encoded=True).with_query(dict(request.query))
        data, headers = _encoded(request)
        within = aiohttp.ClientTimeout(total=UPLOAD_S if request.files else CALL_S)
        try:
            async with self._session.request(
                request.method, url, data=data, headers=self._headers | headers, allow_redirects=False, timeout=within
            ) as response:
                text = await response.text(errors="replace")
        except aiohttp.ClientConnectorError as error:
            raise Unavailable("Discord", str(error)) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Ambiguous(f"Discord's answer to {request.what} never came.") from error
        try:
            body = json.loads(text) if text else None
        except ValueError:
            body = None
        return Answer(response.status, body, response.headers)


def reaction(method: str, channel: str, message: str, emoji: str) -> Request:
    """Put our reaction on a message, or take it away."""
    path = f"/channels/{channel}/messages/{message}/reactions/{quote(emoji)}/@me"
    return Request("react", method, path, f"react {channel}")


def _encoded(request: Request) -> tuple[bytes | aiohttp.FormData | None, dict[str, str]]:
    if request.body is None:
        return None, {}
    text = json.dumps(request.body, ensure_ascii=False).encode("utf-8", "replace")
    if not request.files:
        return text, {"Content-Type": "application/json"}
    form = aiohttp.FormData()
    form.add_field("payload_json", text.decode(), content_type="application/json")
    for number, (name, data) in enumerate(request.files.items()):
        form.add_field(f"files[{number}]", io.BytesIO(data), filename=name, content_type=_kind(name, data))
    return form, {}


def _kind(name: str, data: bytes) -> str:
    """What a file is, by its name; text is told as such, so that Discord shows how it begins."""
    known = mimetypes.guess_type(name)[0]
    if b"\0" not in data[:4096] and (known is None or known.startswith("text/")):
        return "text/plain; charset=utf-8"
    return known or "application/octet-stream"
