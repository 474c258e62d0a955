"""Who may answer the agent's questions, and what a click or a form decides. Pure; the same on every platform."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from core.domain.approval import Approval, Decision, Verdict, questions_of
from core.domain.chat import Author, Chat, Role
from core.errors import NotFound
from core.surfaces.presses import Verb

# What a button decides that asks for nothing more.
PLAIN: Final = {
    Verb.ALLOW: Verdict.ALLOW,
    Verb.ALWAYS: Verdict.ALWAYS,
    Verb.ACCEPT_EDITS: Verdict.ACCEPT_EDITS,
    Verb.DENY: Verdict.DENY,
}
MAY_NOT: Final = (
    "Only those who are in this chat may decide: who started it, whom they invite, and admins. "
    "Ask one of them to write: !invite @you"
)


def in_chat(author: Author, chat: Chat, *, is_open: bool) -> Author:
    """The person as a member of a chat: its guests may talk, but not decide.

    `is_open`: everyone in the thread may decide. Admins always may, and whom they named as deciders.
    """
    if author.role is Role.ADMIN:
        return author
    if author.is_decider or author.platform_id in chat.settings.may_decide:
        return replace(author, role=Role.MEMBER)
    return replace(author, role=Role.MEMBER if is_open and author.role is not Role.GUEST else Role.GUEST)


def answers_to(approval: Approval, chosen: Mapping[int, Sequence[int]], words: Mapping[int, str]) -> Decision:
    """The answers to all of an approval's questions. Raises `NotFound` for one that is not answered."""
    answers = {}
    for number, question in enumerate(questions_of(approval.input)):
        labels = [question.options[at].label for at in chosen.get(number, ()) if at < len(question.options)]
        if number in words:
            labels.append(words[number])
        if not labels:
            raise NotFound(f"Please answer this, too: {question.text}")
        answers[question.text] = ", ".join(labels)
    return Decision(Verdict.ALLOW, answers=answers)
