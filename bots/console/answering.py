"""Answering a question with keys: which key means what, and what is still to be asked. Pure.

A question of several parts is answered one after another; an option is a digit; a reason, a changed command and an
answer of one's own are typed on the line below. Next: `terminal.py`.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from bots.edits import editable, with_edit
from core.domain.approval import Approval, ApprovalKind, Decision, Verdict, questions_of


class Typing(StrEnum):
    """What the line below is for just now."""

    MESSAGE = "message"
    REASON = "reason"
    EDIT = "edit"
    ANSWER = "answer"


PROMPTS = {Typing.MESSAGE: "› ", Typing.REASON: "reason › ", Typing.EDIT: "edit › ", Typing.ANSWER: "answer › "}


@dataclass(frozen=True, slots=True)
class Answering:
    """How far the answering of one question has come. `decision` is set when it is complete."""

    approval: Approval
    index: int = 0
    chosen: tuple[int, ...] = ()
    answers: dict[str, str] = field(default_factory=dict)
    typing: Typing = Typing.MESSAGE
    prefill: str = ""
    decision: Decision | None = None

    @property
    def hint(self) -> str:
        """The keys that may be pressed, with ` · ` between them; `screen.keys` breaks it into lines."""
        match self.approval.kind:
            case ApprovalKind.QUESTION:
                many = "digits to pick, Enter to go on" if self._asked.is_multiple else "a digit to pick"
                return f"{many} · o other… · d decline"
            case ApprovalKind.PLAN:
                return "a approve · A approve and accept edits · k keep planning…"
            case ApprovalKind.TOOL:
                return "a allow once · A always in this chat · d deny · r deny with reason… · e edit…"

    @property
    def _asked(self) -> "_Asked":
        questions = questions_of(self.approval.input)
        question = questions[min(self.index, len(questions) - 1)] if questions else None
        if question is None:
            return _Asked("", (), is_multiple=False, count=0)
        return _Asked(
            question.text,
            tuple(option.label for option in question.options),
            is_multiple=question.is_multiple,
            count=len(questions),
        )

    def key(self, key: str) -> "Answering":
        """The answering after a key; unchanged by a key that means nothing here."""
        match self.approval.kind:
            case ApprovalKind.QUESTION:
                return self._question_key(key)
            case ApprovalKind.PLAN:
                return self._plan_key(key)
            case ApprovalKind.TOOL:
                return self._tool_key(key)

    def _tool_key(self, key: str) -> "Answering":
        match key:
            case "a" | "y":
                return self._done(Decision(Verdict.ALLOW))
            case "A":
                return self._done(Decision(Verdict.ALWAYS))
            case "d" | "n":
                return self._done(Decision(Verdict.DENY))
            case "r":
                return replace(self, typing=Typing.REASON, prefill="")
            case "e":
                return replace(self, typing=Typing.EDIT, prefill=editable(self.approval))
            case _:
                return self

    def _plan_key(self, key: str) -> "Answering":
        match key:
            case "a" | "y":
                return self._done(Decision(Verdict.ALLOW))
            case "A":
                return self._done(Decision(Verdict.ACCEPT_EDITS))
            case "k" | "d" | "n":
                return replace(self, typing=Typing.REASON, prefill="")
            case _:
                return self

    def _question_key(self, key: str) -> "Answering":
        asked = self._asked
        if key.isdigit() and 0 < int(key) <= len(asked.labels):
            picked = int(key) - 1
            if not asked.is_multiple:
                return self._answered(asked.labels[picked])
            chosen = tuple(one for one in self.chosen if one != picked)
            return replace(self, chosen=chosen if picked in self.chosen else (*self.chosen, picked))
        if key == "enter" and asked.is_multiple and self.chosen:
            return self._answered(", ".join(asked.labels[one] for one in sorted(self.chosen)))
        if key == "o":
            return replace(self, typing=Typing.ANSWER, prefill="")
        if key == "d":
            return self._done(Decision(Verdict.DENY, reason="They did not want to answer."))
        return self

    def typed(self, text: str) -> "Answering":
        """The answering after a line was typed for it."""
        match self.typing:
            case Typing.REASON:
                return self._done(Decision(Verdict.DENY, reason=text.strip()))
            case Typing.EDIT:
                return self._edited(text)
            case Typing.ANSWER:
                return self._answered(text.strip() or "No answer.")
            case Typing.MESSAGE:
                return self

    def _edited(self, text: str) -> "Answering":
        changed = with_edit(self.approval, text)
        if changed is None:
            return replace(self, prefill=text)
        is_same = changed == self.approval.input
        return self._done(Decision(Verdict.ALLOW, updated_input=None if is_same else changed))

    def _answered(self, answer: str) -> "Answering":
        asked = self._asked
        answers = {**self.answers, asked.text: answer}
        if self.index + 1 < asked.count:
            return replace(self, index=self.index + 1, chosen=(), answers=answers, typing=Typing.MESSAGE)
        return self._done(Decision(Verdict.ALLOW, answers=answers))

    def _done(self, decision: Decision) -> "Answering":
        return replace(self, decision=decision, typing=Typing.MESSAGE)


@dataclass(frozen=True, slots=True)
class _Asked:
    text: str
    labels: tuple[str, ...]
    is_multiple: bool
    count: int
