"""The forms: deny with a reason, edit and allow, answers of one's own, ask about a message. Pure.

What a form is about is in its `custom_id`, as the press that opened it, so any bot process can take it back in. Discord
has no form that changes once it is open, and five fields are the most. Next: `answering.py`.
"""

from collections.abc import Mapping
from typing import Any, Final

from bots.discord.asked import ABOUT
from bots.edits import editable
from core.domain.approval import Approval, ApprovalKind, Question, questions_of
from core.surfaces.discord.components import cut, option
from core.surfaces.presses import Press, Verb

Form = Mapping[str, Any]
REASON: Final = "reason"
EDIT: Final = "edit"
WORDS: Final = "words"
# https://docs.discord.com/developers/components/reference#text-input
INPUT_CHARS: Final = 4_000
FIELDS: Final = 5
_TITLE: Final = 45
_LABEL: Final = 45
_HINT: Final = 100
_OPTIONS: Final = 25


def reason_form(press: Press, approval: Approval | None) -> Form:
    """Deny with a reason, or have the plan planned on. It can be asked for without knowing the question."""
    is_plan = approval is not None and approval.kind is ApprovalKind.PLAN
    words = "What should be different?" if is_plan else "Why, and what should it do instead?"
    return _form(press.encode(), "Keep planning" if is_plan else "Deny", _text(REASON, words))


def edit_form(press: Press, approval: Approval) -> Form | str:
    """Change the command or the input, and allow it; words instead where it is too long for a form."""
    text = editable(approval)
    if len(text) > INPUT_CHARS:
        return (
            f"It is {len(text):,} characters long, and Discord's forms take {INPUT_CHARS:,}. "
            "Deny it with a reason that says what should be different."
        )
    what = "Command" if approval.tool == "Bash" else "Input, as JSON"
    return _form(press.encode(), "Edit, then allow", _text(EDIT, f"{what}: this is what will run", initial=text))


def other_form(press: Press, approval: Approval) -> Form:
    """An answer of one's own to one question."""
    questions = questions_of(approval.input)
    number = press.question or 0
    asked = questions[number].text if number < len(questions) else ""
    return _form(press.encode(), "Your answer", _text(f"{WORDS}:{number}", "Your answer", hint=asked))


def answers_form(press: Press, approval: Approval) -> Form:
    """All questions: a menu each, and a field for whatever is left open. What does not fit is left to that field."""
    questions = questions_of(approval.input)[: FIELDS - 1]
    fields = [_field(approval, number, question) for number, question in enumerate(questions)]
    own = _text(WORDS, "In your own words", hint="It answers what you leave open above.", is_required=False)
    return _form(press.encode(), "Your answers", *fields, own)


def about_form(message: str) -> Form:
    """Ask about a message."""
    return _form(f"{ABOUT}{message}", "Ask Threadwork", _text(WORDS, "What should it do?"))


def _form(custom_id: str, title: str, *fields: Form) -> Form:
    return {"custom_id": custom_id, "title": cut(title, _TITLE), "components": list(fields)}


def _field(approval: Approval, number: int, question: Question) -> Form:
    name = question.header or f"Question {number + 1}"
    if not question.options:
        return _text(f"{WORDS}:{number}", name, hint=question.text, is_required=False)
    options = [
        option(one.label, Press(Verb.ANSWER, approval.id, number, at), one.description)
        for at, one in enumerate(question.options[:_OPTIONS])
    ]
    menu = {
        "type": 3,
        "custom_id": Press(Verb.ANSWER, approval.id, number).encode(),
        "placeholder": "Choose some" if question.is_multiple else "Choose one",
        "min_values": 0,
        "max_values": len(options) if question.is_multiple else 1,
        "required": False,
        "options": options,
    }
    return _labelled(name, question.text, menu)


def _text(custom_id: str, words: str, *, hint: str = "", initial: str = "", is_required: bool = True) -> Form:
    element: dict[str, Any] = {
        "type": 4,
        "custom_id": custom_id,
        "style": 2,
        "max_length": INPUT_CHARS,
        "required": is_required,
    }
    if initial:
        element["value"] = initial
    return _labelled(words, hint, element)


def _labelled(words: str, hint: str, element: Mapping[str, Any]) -> Form:
    made: dict[str, Any] = {"type": 18, "label": cut(" ".join(words.split()), _LABEL) or "…", "component": element}
    if hint.strip():
        made["description"] = cut(" ".join(hint.split()), _HINT)
    return made
