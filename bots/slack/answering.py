"""Clicks and forms on the agent's questions, and the Stop button.

Whoever clicks must be of this chat; the click must come from where the chat is; the first one counts. A form opens
within its trigger's three seconds whatever the load: with what it asks if the database is quick, and else at once, to
be filled in after. Next: `modals.py`.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import structlog

from bots.deciding import MAY_NOT, PLAIN, answers_to, in_chat
from bots.edits import with_edit
from bots.intake import Intake
from bots.slack import modals
from bots.slack.asked import Pressed, Submitted
from bots.slack.telling import whisper, words_of
from bots.slack.workspaces import Workspace
from core.domain.approval import Approval, ApprovalId, Decision, Verdict, decided_words
from core.domain.chat import Author, Chat, Place, Platform, Role
from core.domain.states import ApprovalState
from core.errors import AlreadyDecided, NotAllowed, NotFound, ThreadworkError
from core.ports import Stores
from core.surfaces.presses import Verb

log = structlog.get_logger(__name__)
# A form that is not known by then opens empty.
QUICK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Asking:
    """A question, its chat, and the person who wants to answer it."""

    approval: Approval
    chat: Chat
    person: Author


class Answering:
    """What becomes of clicks and forms."""

    def __init__(self, intake: Intake, stores: Stores, *, is_open: bool) -> None:
        self._intake = intake
        self._stores = stores
        self._is_open = is_open

    async def pressed(self, pressed: Pressed, workspace: Workspace) -> None:
        """Do what a button says, or tell the person why not."""
        try:
            await self._pressed(pressed, workspace)
        except ThreadworkError as error:
            log.info("press_refused", verb=pressed.press.verb, code=error.code)
            place = Place(Platform.SLACK, workspace.team, pressed.channel, pressed.thread)
            await whisper(workspace, place, pressed.user, _refusal(error))

    async def _pressed(self, pressed: Pressed, workspace: Workspace) -> None:
        press = pressed.press
        match press.verb:
            case Verb.STOP:
                await self._stop(pressed, workspace)
            case Verb.DENY_WITH_REASON | Verb.EDIT | Verb.ANSWER_OTHERWISE:
                await self._open(pressed, workspace)
            case Verb.ANSWER:
                asking = await self._look_up(press.subject, pressed.user, pressed.channel, workspace)
                chosen = dict(pressed.chosen)
                if press.question is not None and press.option is not None:
                    chosen[press.question] = (press.option,)
                await self._decide(asking, answers_to(asking.approval, chosen, {}))
            case verb:
                asking = await self._look_up(press.subject, pressed.user, pressed.channel, workspace)
                await self._decide(asking, Decision(PLAIN[verb]))

    async def submitted(self, form: Submitted, workspace: Workspace) -> Mapping[str, str]:
        """Take a form back in. Returns what is wrong with it, by field; nothing when all is well."""
        field = next(iter(form.texts), "")
        try:
            asking = await self._look_up(UUID(hex=form.about["approval"]), form.user, None, workspace)
            await self._decide(asking, _decision(form, asking.approval))
        except ThreadworkError as error:
            return {field: _refusal(error)}
        return {}

    async def _look_up(self, subject: UUID, user: str, channel: str | None, workspace: Workspace) -> Asking:
        """The question, and the person as one of its chat. Raises `NotAllowed`, `AlreadyDecided`, `NotFound`."""
        approval = await self._stores.approvals.get(ApprovalId(subject))
        chat = await self._stores.chats.get(approval.chat_id)
        place = chat.place
        if place.tenant != workspace.team or channel not in {None, place.channel}:
            raise NotFound("That question is not of this thread.")
        person = in_chat(await workspace.people.find(user), chat, is_open=self._is_open)
        if person.role is Role.GUEST:
            raise NotAllowed(MAY_NOT)
        if approval.state is not ApprovalState.PENDING:
            raise AlreadyDecided(decided_words(approval))
        return Asking(approval, chat, person)

    async def _decide(self, asking: Asking, decision: Decision) -> None:
        await self._intake.decide(asking.approval.id, decision, asking.person)

    async def _stop(self, pressed: Pressed, workspace: Workspace) -> None:
        place = Place(Platform.SLACK, workspace.team, pressed.channel, pressed.thread)
        chat = await self._stores.chats.by_key(place.key)
        turn = await self._stores.turns.unfinished(chat.id) if chat is not None else None
        if chat is None or turn is None or turn.id != pressed.press.subject:
            raise NotFound("That is over already; there is nothing to stop.")
        await self._intake.stop(chat.id, await workspace.people.find(pressed.user))

    async def _open(self, pressed: Pressed, workspace: Workspace) -> None:
        await open_within(workspace, pressed.trigger, self._form(pressed, workspace))

    async def _form(self, pressed: Pressed, workspace: Workspace) -> modals.View:
        press = pressed.press
        asking = await self._look_up(press.subject, pressed.user, pressed.channel, workspace)
        match press.verb:
            case Verb.DENY_WITH_REASON:
                return modals.reason_form(asking.approval)
            case Verb.EDIT:
                return modals.edit_form(asking.approval)
            case _:
                return modals.other_form(asking.approval, press.question or 0, pressed.chosen)


async def open_within(workspace: Workspace, trigger: str, looking: Coroutine[Any, Any, modals.View]) -> None:
    """Open a form before its trigger is over. Raises what `looking` raises, if it does so in time."""
    look = asyncio.ensure_future(looking)
    try:
        await asyncio.wait({look}, timeout=QUICK_S)
        if look.done():
            await workspace.web.open_form(trigger, look.result())
            return
        view_id = await workspace.web.open_form(trigger, modals.loading())
        try:
            view = await look
        except ThreadworkError as error:
            view = modals.notice("That did not work", _refusal(error))
        await workspace.web.change_form(view_id, view)
    finally:
        look.cancel()


def _decision(form: Submitted, approval: Approval) -> Decision:
    match form.form:
        case modals.REASON_FORM:
            return Decision(Verdict.DENY, reason=form.texts.get(modals.REASON, ""))
        case modals.EDIT_FORM:
            changed = with_edit(approval, form.texts.get(modals.EDIT, ""))
            if changed is None:
                raise NotFound("That is not the JSON object it must be.")
            return Decision(Verdict.ALLOW, updated_input=None if changed == approval.input else changed)
        case _:
            words = {
                int(block.partition(":")[2]): text
                for block, text in form.texts.items()
                if block.startswith(f"{modals.WORDS}:") and text
            }
            return answers_to(approval, form.chosen, words)


def _refusal(error: ThreadworkError) -> str:
    if error.retryable:
        return f"That was not kept: {words_of(error)} Please try again in a moment."
    return words_of(error)
