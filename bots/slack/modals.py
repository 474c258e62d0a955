"""The forms: deny with a reason, edit and allow, an answer of one's own, ask about a message. Pure.

What a form is about goes with it in `private_metadata`, so any bot process can take it back in.
Next: `answering.py`, which opens them and reads what comes back.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bots.edits import editable
from core.domain.approval import Approval, ApprovalKind, Question, questions_of
from core.surfaces.presses import Press, Verb
from core.surfaces.slack.blocks import cut, option

View = dict[str, Any]
REASON_FORM: Final = "tw:reason"
EDIT_FORM: Final = "tw:edit"
OTHER_FORM: Final = "tw:other"
ABOUT_FORM: Final = "tw:about"
REASON: Final = "reason"
EDIT: Final = "edit"
WORDS: Final = "words"
# https://docs.slack.dev/reference/block-kit/block-elements/plain-text-input-element
INPUT_CHARS: Final = 3_000
_LABEL_CHARS: Final = 1_900


def loading() -> View:
    """What stands in a form until it is known."""
    return notice("One moment", "Looking up what this is about…")


def notice(title: str, words: str) -> View:
    """A form that only says something."""
    return {
        "type": "modal",
        "title": _plain(title),
        "close": _plain("Close"),
        "blocks": [{"type": "section", "text": _plain(cut(words, INPUT_CHARS))}],
    }


def reason_form(approval: Approval) -> View:
    """Deny with a reason, or have the plan planned on."""
    is_plan = approval.kind is ApprovalKind.PLAN
    return _form(
        REASON_FORM,
        "Keep planning" if is_plan else "Deny",
        "Send" if is_plan else "Deny",
        {"approval": approval.id.hex},
        [_text(REASON, "What should be different?" if is_plan else "Why, and what should it do instead?")],
    )


def edit_form(approval: Approval) -> View:
    """Change the command or the input, and allow it."""
    text = editable(approval)
    if len(text) > INPUT_CHARS:
        words = (
            f"It is {len(text):,} characters long, and Slack's forms take {INPUT_CHARS:,}. "
            "Deny it with a reason that says what should be different."
        )
        return notice("Too long to edit", words)
    what = "Command" if approval.tool == "Bash" else "Input, as JSON"
    field = _text(EDIT, f"{what}: this is what will run", initial=text)
    return _form(EDIT_FORM, "Edit, then allow", "Allow", {"approval": approval.id.hex}, [field])


def other_form(approval: Approval, asked: int, chosen: Mapping[int, Sequence[int]]) -> View:
    """An answer of one's own to one question, and menus for the others that are not answered yet."""
    about: dict[str, Any] = {"approval": approval.id.hex, "asked": asked}
    blocks = []
    for number, question in enumerate(questions_of(approval.input)):
        if number == asked:
            blocks.append(_text(f"{WORDS}:{number}", question.text))
        elif number in chosen:
            about.setdefault("chosen", {})[str(number)] = list(chosen[number])
        elif question.options:
            blocks.append(_menu(approval, number, question))
        else:
            blocks.append(_text(f"{WORDS}:{number}", question.text))
    return _form(OTHER_FORM, "Your answer", "Send", about, blocks)


def about_form(about: Mapping[str, Any], quoted: str) -> View:
    """Ask about a message."""
    return _form(
        ABOUT_FORM,
        "Ask Threadwork",
        "Ask",
        about,
        [
            _text(WORDS, "What should it do?"),
            {"type": "context", "elements": [_plain(cut(f"About: {quoted}" if quoted.strip() else "About it", 500))]},
        ],
    )


def _form(callback: str, title: str, submit: str, about: Mapping[str, Any], blocks: Sequence[View]) -> View:
    return {
        "type": "modal",
        "callback_id": callback,
        "title": _plain(title),
        "submit": _plain(submit),
        "close": _plain("Cancel"),
        "private_metadata": json.dumps(about),
        "blocks": list(blocks),
    }


def _text(block_id: str, words: str, *, initial: str | None = None) -> View:
    element: View = {"type": "plain_text_input", "action_id": "text", "multiline": True, "max_length": INPUT_CHARS}
    if initial:
        element["initial_value"] = initial
    return {"type": "input", "block_id": block_id, "label": _plain(cut(words, _LABEL_CHARS)), "element": element}


def _menu(approval: Approval, number: int, question: Question) -> View:
    press = Press(Verb.ANSWER, approval.id, number)
    options = [
        option(one.label, Press(Verb.ANSWER, approval.id, number, at)) for at, one in enumerate(question.options[:100])
    ]
    element = {
        "type": "multi_static_select" if question.is_multiple else "static_select",
        "action_id": press.encode(),
        "placeholder": _plain("Choose"),
        "options": options,
    }
    label = _plain(cut(question.text, _LABEL_CHARS))
    return {"type": "input", "block_id": f"pick:{number}", "label": label, "element": element}


def _plain(text: str) -> View:
    return {"type": "plain_text", "text": text or "…", "emoji": False}
