"""What an admin does on the page: write to an agent, stop it, answer it. The intake's rules hold as everywhere.

Each is a form, answered with the page it came from. Who only looks is refused by the intake, as a guest of a chat is.
"""

import re
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

from aiohttp import web
from multidict import MultiDictProxy

from bots.deciding import answers_to
from bots.intake import Intake
from bots.web.chats import ID, find_chat, find_id
from bots.web.visitors import session_of
from core.domain.access import Access
from core.domain.approval import Approval, ApprovalId, ApprovalKind, Decision, Verdict, questions_of
from core.domain.chat import Author, Chat, Role
from core.domain.message import FROM_PAGE
from core.errors import BadInput, NotAllowed, NotFound
from core.ports import Audit, Looks, Session, Stores

_BACK: Final = re.compile(r"/(?:waiting|chats/[0-9a-f-]{32,36})")
_MAY_NOT: Final = "You may look here, but not change anything."
_MOST_WORDS: Final = 2000
Form = MultiDictProxy[str | bytes | bytearray | web.FileField]


class Doing:
    """The forms."""

    def __init__(self, looks: Looks, stores: Stores, intake: Intake, audit: Audit) -> None:
        self._looks = looks
        self._stores = stores
        self._intake = intake
        self._audit = audit

    @property
    def routes(self) -> list[web.RouteDef]:
        """Where they are sent to."""
        return [
            web.post(f"/chats/{{chat:{ID}}}/messages", self.say),
            web.post(f"/chats/{{chat:{ID}}}/stop", self.stop),
            web.post(f"/approvals/{{approval:{ID}}}", self.decide),
        ]

    async def say(self, request: web.Request) -> web.Response:
        """Write to the agent."""
        chat = (await find_chat(request, self._looks)).chat
        author = changing(session_of(request), chat)
        words = _text(await request.post(), "text")
        accepted = await self._intake.accept(chat.place, author, f"{FROM_PAGE}{uuid4().hex}", words)
        await self._audit.note(chat.id, author.name, "wrote", message=str(accepted.message.id))
        return _to(f"/chats/{chat.id}")

    async def stop(self, request: web.Request) -> web.Response:
        """Stop what runs."""
        chat = (await find_chat(request, self._looks)).chat
        await self._intake.stop(chat.id, changing(session_of(request), chat))
        return _to(f"/chats/{chat.id}")

    async def decide(self, request: web.Request) -> web.Response:
        """Answer a question."""
        session = session_of(request)
        approval = await self._find(session, find_id(request, "approval"))
        chat = (await self._looks.chat(session.rights.scope, approval.chat_id)).chat
        form = await request.post()
        await self._intake.decide(approval.id, decision_of(approval, form), _author(session, chat))
        back = _text(form, "back")
        return _to(back if _BACK.fullmatch(back) else f"/chats/{chat.id}")

    async def _find(self, session: Session, approval_id: object) -> Approval:
        """The question, if it is of a chat that its reader may see."""
        missing = NotFound("There is no such question.")
        try:
            approval = await self._stores.approvals.get(ApprovalId(approval_id))  # type: ignore[arg-type]
            await self._looks.chat(session.rights.scope, approval.chat_id)
        except NotFound:
            raise missing from None
        return approval


def decision_of(approval: Approval, form: Form) -> Decision:
    """What a form decides. Raises `BadInput` for what its page does not offer, `NotFound` for an open question."""
    try:
        verdict = Verdict(_text(form, "verdict"))
    except ValueError:
        raise BadInput("Choose one of the answers.") from None
    if verdict is Verdict.DENY:
        return Decision(verdict, reason=_text(form, "reason").strip()[:_MOST_WORDS])
    if approval.kind is ApprovalKind.QUESTION:
        if verdict is not Verdict.ALLOW:
            raise BadInput("Choose one of the answers.")
        return answers_to(approval, *_chosen(approval, form))
    if verdict is (Verdict.ALWAYS if approval.kind is ApprovalKind.PLAN else Verdict.ACCEPT_EDITS):
        raise BadInput("That is no answer to this.")
    return Decision(verdict)


def _chosen(approval: Approval, form: Form) -> tuple[dict[int, list[int]], dict[int, str]]:
    chosen, words = {}, {}
    for number, question in enumerate(questions_of(approval.input)):
        given = [text for text in form.getall(f"choice-{number}", []) if isinstance(text, str)]
        picked = [int(text) for text in given if re.fullmatch("[0-9]{1,3}", text)]
        chosen[number] = picked if question.is_multiple else picked[:1]
        if text := _text(form, f"words-{number}").strip():
            words[number] = text[:_MOST_WORDS]
    return chosen, words


def _author(session: Session, chat: Chat) -> Author:
    is_admin = session.rights.in_tenant(chat.tenant_id) is Access.ADMIN
    return Author(f"web:{session.name}", session.name, Role.ADMIN if is_admin else Role.GUEST)


def changing(session: Session, chat: Chat) -> Author:
    """Who changes something in a chat. Raises `NotAllowed` for whoever only looks."""
    author = _author(session, chat)
    if author.role is not Role.ADMIN:
        raise NotAllowed(_MAY_NOT)
    return author


def _text(form: Form, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def _to(address: str) -> web.Response:
    # A path of ours only: what a form says is never an address elsewhere.
    return web.Response(status=303, headers={"Location": urlsplit(address).path})
