"""Clicks and forms on the agent's questions, and the Stop button.

Whoever clicks must be of this chat; the click must come from where the chat is; the first one counts. A decision is
acknowledged before anything else is done; a form needs to know what it asks, and is given up when that takes long,
since Discord has no form that is filled in after. Next: `modals.py`.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from bots.deciding import MAY_NOT, PLAIN, answers_to, in_chat
from bots.discord import modals
from bots.discord.asked import Pressed, Submitted, Where
from bots.discord.replies import QUICK_S, Reply
from bots.discord.servers import Servers
from bots.discord.telling import words_of
from bots.edits import with_edit
from bots.intake import Intake
from core.domain.approval import Approval, ApprovalId, Decision, Verdict, decided_words, questions_of
from core.domain.chat import Author, Chat, Role
from core.domain.states import ApprovalState
from core.errors import AlreadyDecided, NotAllowed, NotFound, ThreadworkError
from core.ports import Stores
from core.surfaces.discord.components import cut
from core.surfaces.markdown import neutralise_fences
from core.surfaces.presses import Press, Verb

log = structlog.get_logger(__name__)
SLOW: Final = "I could not look that up in time. Please press again in a moment."
_FORMS: Final = frozenset({Verb.DENY_WITH_REASON, Verb.EDIT, Verb.ANSWER_OTHERWISE})


@dataclass(frozen=True, slots=True)
class Asking:
    """A question, its chat, and the person who wants to answer it."""

    approval: Approval
    chat: Chat
    person: Author


class Answering:
    """What becomes of clicks and forms."""

    def __init__(self, servers: Servers, intake: Intake, stores: Stores, *, is_open: bool) -> None:
        self._servers = servers
        self._intake = intake
        self._stores = stores
        self._is_open = is_open

    async def pressed(self, pressed: Pressed, reply: Reply) -> None:
        """Do what a button says, or tell the person why not."""
        press = pressed.press
        try:
            if press.verb in _FORMS or (press.verb is Verb.ANSWER and press.question is None):
                await self._open(pressed, reply)
                return
            await reply.quietly()
            if press.verb is Verb.STOP:
                await self._stop(pressed)
                return
            asking = await self._look_up(press, pressed.where)
            is_answer = press.verb is Verb.ANSWER
            await self._decide(
                asking, answers_to(asking.approval, pressed.chosen, {}) if is_answer else Decision(PLAIN[press.verb])
            )
        except ThreadworkError as error:
            log.info("press_refused", verb=press.verb, code=error.code)
            await reply.whisper(_refusal(error))

    async def submitted(self, form: Submitted, press: Press, reply: Reply) -> None:
        """Take a form back in; what is wrong with it is told with what was written, so that it is not lost."""
        await reply.quietly()
        try:
            asking = await self._look_up(press, form.where)
            await self._decide(asking, _decision(form, press, asking.approval))
        except ThreadworkError as error:
            log.info("form_refused", verb=press.verb, code=error.code)
            await reply.whisper(_refusal(error) + _written(form.texts))

    async def _look_up(self, press: Press, where: Where) -> Asking:
        """The question, and the person as one of its chat. Raises `NotAllowed`, `AlreadyDecided`, `NotFound`."""
        approval = await self._stores.approvals.get(ApprovalId(press.subject))
        chat = await self._stores.chats.get(approval.chat_id)
        if chat.place.key != where.place.key:
            raise NotFound("That question is not of this thread.")
        person = in_chat(await self._servers.author(where.guild, where.person), chat, is_open=self._is_open)
        if person.role is Role.GUEST:
            raise NotAllowed(MAY_NOT)
        if approval.state is not ApprovalState.PENDING:
            raise AlreadyDecided(decided_words(approval))
        return Asking(approval, chat, person)

    async def _decide(self, asking: Asking, decision: Decision) -> None:
        await self._intake.decide(asking.approval.id, decision, asking.person)

    async def _stop(self, pressed: Pressed) -> None:
        where = pressed.where
        chat = await self._stores.chats.by_key(where.place.key)
        turn = await self._stores.turns.unfinished(chat.id) if chat is not None else None
        if chat is None or turn is None or turn.id != pressed.press.subject:
            raise NotFound("That is over already; there is nothing to stop.")
        await self._intake.stop(chat.id, await self._servers.author(where.guild, where.person))

    async def _open(self, pressed: Pressed, reply: Reply) -> None:
        press = pressed.press
        try:
            async with asyncio.timeout(QUICK_S):
                asking = await self._look_up(press, pressed.where)
        except TimeoutError:
            if press.verb is Verb.DENY_WITH_REASON:
                await reply.form(modals.reason_form(press, None))
            else:
                await reply.whisper(SLOW)
            return
        form = _form(press, asking.approval)
        await (reply.whisper(form) if isinstance(form, str) else reply.form(form))


def _form(press: Press, approval: Approval) -> modals.Form | str:
    match press.verb:
        case Verb.DENY_WITH_REASON:
            return modals.reason_form(press, approval)
        case Verb.EDIT:
            return modals.edit_form(press, approval)
        case Verb.ANSWER_OTHERWISE:
            return modals.other_form(press, approval)
        case _:
            return modals.answers_form(press, approval)


def _decision(form: Submitted, press: Press, approval: Approval) -> Decision:
    match press.verb:
        case Verb.DENY_WITH_REASON:
            return Decision(Verdict.DENY, reason=form.texts.get(modals.REASON, ""))
        case Verb.EDIT:
            changed = with_edit(approval, form.texts.get(modals.EDIT, ""))
            if changed is None:
                raise NotFound("That is not the JSON object it must be.")
            return Decision(Verdict.ALLOW, updated_input=None if changed == approval.input else changed)
        case _:
            return answers_to(approval, form.chosen, _own_words(form, approval))


def _own_words(form: Submitted, approval: Approval) -> dict[int, str]:
    """What was written, by question; what was written for all answers those that are left open, else the last."""
    own = {
        int(name.partition(":")[2]): text
        for name, text in form.texts.items()
        if name.startswith(f"{modals.WORDS}:") and text
    }
    for_all = form.texts.get(modals.WORDS)
    if for_all:
        count = len(questions_of(approval.input))
        left = [number for number in range(count) if number not in own and number not in form.chosen]
        own |= dict.fromkeys(left or [count - 1], for_all)
    return own


def _written(texts: Mapping[str, str]) -> str:
    kept = "\n".join(text for text in texts.values() if text)
    return f"\nYou wrote:\n```\n{cut(neutralise_fences(kept), 1_500)}\n```" if kept else ""


def _refusal(error: ThreadworkError) -> str:
    if error.retryable:
        return f"That was not kept: {words_of(error)} Please try again in a moment."
    return words_of(error)
