"""A question as Slack posts: all of what is asked about, and buttons under it; once it is settled, who and when.

Pure. What the agent asked with is shown to the letter, in `rich_text` blocks, however long: then in several posts, of
which the last has the buttons. A settled question keeps its posts, so that none is left behind with buttons in it.
A press is in each button's `action_id`, in each option's `value`, and in the `block_id` of a choice. Next: `client.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from core.domain.approval import Approval, ApprovalKind, Question, decided_words, questions_of
from core.domain.describe import command_of, diff_of, risky_spans, visible
from core.domain.states import ApprovalState
from core.ports import Payload
from core.surfaces.presses import Press, Verb
from core.surfaces.slack.blocks import (
    BLOCKS,
    MARKDOWN,
    Block,
    actions,
    button,
    context,
    cut_escaped,
    label,
    markdown,
    one_line,
    option,
    post,
    preformatted,
    section,
    weight,
)
from core.surfaces.slack.escaping import code, escape
from core.surfaces.slack.pieces import inert_pieces

# What stands above and below the content of a post takes the rest of what Slack allows.
_CONTENT: Final = 10_000
_CONTENT_BLOCKS: Final = BLOCKS - 8
_RISKS: Final = 8
_QUOTED: Final = 120
_BUTTONS: Final = 20
_ICONS: Final = {ApprovalState.ALLOWED: "✅", ApprovalState.DENIED: "⛔", ApprovalState.WITHDRAWN: "➖"}
_SHELLS: Final = ("Bash", "PowerShell", "Monitor")


@dataclass(frozen=True, slots=True)
class _Part:
    """A block of a question; one that `is_control` goes when the question is settled."""

    block: Block
    is_control: bool = False


def render_approval(approval: Approval) -> Sequence[Payload]:
    """The posts of a question: as many before it is settled as after."""
    pages = _pages(list(_content(approval)))
    is_open = approval.state is ApprovalState.PENDING
    made = []
    for number, page in enumerate(pages):
        blocks = [] if number else [section(_head(approval))]
        blocks += [part.block for part in page if is_open or not part.is_control]
        if number == len(pages) - 1:
            blocks += _closing(approval) if is_open else [context(_decided(approval))]
        made.append(post(blocks, _fallback(approval)))
    return made


def _pages(parts: Sequence[_Part]) -> list[list[_Part]]:
    pages, room = list[list[_Part]]([[]]), _CONTENT
    for part in parts:
        if pages[-1] and (weight(part.block) > room or len(pages[-1]) >= _CONTENT_BLOCKS):
            pages.append([])
            room = _CONTENT
        pages[-1].append(part)
        room -= weight(part.block)
    return pages


def _head(approval: Approval) -> str:
    match approval.kind:
        case ApprovalKind.TOOL:
            words = f"✋ *May I?* {_line(approval.line, 300)}"
        case ApprovalKind.PLAN:
            words = "🗺️ *This is my plan.*"
        case ApprovalKind.QUESTION:
            words = (
                "💬 *I have a question.*" if len(questions_of(approval.input)) == 1 else "💬 *I have some questions.*"
            )
        case _:
            assert_never(approval.kind)
    return f"{words}\n{_line(approval.why, 500)}" if approval.why else words


def _fallback(approval: Approval) -> str:
    if approval.state is not ApprovalState.PENDING:
        return f"{_line(approval.line, 300)} — {_line(decided_words(approval), 600)}"
    return f"✋ Threadwork waits for your answer: {_line(approval.line, 300)}"


def _decided(approval: Approval) -> str:
    words = f"{_ICONS.get(approval.state, '➖')} {_line(decided_words(approval), 1_500)}"
    if approval.decided_at is None:
        return words
    # Slack writes the time as the reader's clock has it; the last part is for readers that cannot.
    seconds, spelled = int(approval.decided_at.timestamp()), approval.decided_at.strftime("%Y-%m-%d %H:%M UTC")
    return f"{words} · <!date^{seconds}^{{date_short_pretty}}, {{time}}|{spelled}>"


# ---------------------------------------------------------------- what is asked


def _content(approval: Approval) -> Iterator[_Part]:
    match approval.kind:
        case ApprovalKind.TOOL:
            yield from map(_Part, _tool(approval))
        case ApprovalKind.PLAN:
            plan = approval.input.get("plan")
            for piece in inert_pieces(plan if isinstance(plan, str) else "", MARKDOWN // 4) or ["_The plan is empty._"]:
                yield _Part(markdown(piece))
        case ApprovalKind.QUESTION:
            questions = questions_of(approval.input)
            for number, question in enumerate(questions):
                yield from _question(approval, number, question, is_form=_is_form(questions))
        case _:
            assert_never(approval.kind)


def _tool(approval: Approval) -> Iterator[Block]:
    command = command_of(approval.tool, approval.input)
    diff = diff_of(approval.tool, approval.input)
    if command and diff is None:
        yield from preformatted(visible(command))
        if approval.tool in _SHELLS:
            yield from _risks(command)
    if diff is not None:
        if command:
            yield from preformatted(visible(command))
        yield from preformatted(visible(diff))


def _risks(command: str) -> Iterator[Block]:
    """The parts of a command that want attention, each quoted from where its own command begins, with the reason."""
    lines = dict[str, None]()
    for start, end, why in risky_spans(command):
        begin = max(command.rfind(sign, 0, start) + 1 for sign in "\n;|&(")
        quoted = visible(command[begin:end]).strip()
        quoted = quoted if len(quoted) <= _QUOTED else f"…{quoted[-_QUOTED:]}"
        lines[f"⚠️ {code(quoted)} — {_line(why, 150)}"] = None
    if lines:
        shown = list(lines)[:_RISKS]
        if len(lines) > _RISKS:
            shown[-1] = f"⚠️ … and {len(lines) - _RISKS + 1} more"
        yield section(cut_escaped("\n".join(shown), 2_900))


def _question(approval: Approval, number: int, question: Question, *, is_form: bool) -> Iterator[_Part]:
    head = f"*{_line(question.header, 100)}* · " if question.header else ""
    yield _Part(section(head + cut_escaped(escape(question.text), 2_500)))
    lines = [_choice(one.label, one.description) for one in question.options if one.description or len(one.label) > 70]
    for start in range(0, len(lines), 5):
        yield _Part(context("\n".join(lines[start : start + 5])))
    press = Press(Verb.ANSWER, approval.id, number)
    other = button("Other…", Press(Verb.ANSWER_OTHERWISE, approval.id, number))
    if is_form:
        elements = [_menu(approval, number, question), other] if question.options else [other]
        yield _Part(actions(elements, press.encode()), is_control=True)
        return
    buttons = [
        button(one.label, Press(Verb.ANSWER, approval.id, number, at)) for at, one in enumerate(question.options)
    ]
    yield _Part(actions([*buttons, other], press.encode()), is_control=True)


def _choice(name: str, description: str) -> str:
    return f"• *{_line(name, 200)}*" + (f" — {_line(description, 350)}" if description else "")


def _is_form(questions: Sequence[Question]) -> bool:
    """Whether one click is not the whole answer, so that there is a button to send it."""
    return len(questions) != 1 or questions[0].is_multiple or len(questions[0].options) > _BUTTONS


def _menu(approval: Approval, number: int, question: Question) -> Block:
    kind = "multi_static_select" if question.is_multiple else "static_select"
    options = [
        option(one.label, Press(Verb.ANSWER, approval.id, number, at)) for at, one in enumerate(question.options[:100])
    ]
    words = "Choose some" if question.is_multiple else "Choose one"
    action_id = Press(Verb.ANSWER, approval.id, number).encode()
    return {"type": kind, "action_id": action_id, "placeholder": label(words, 100), "options": options}


# ---------------------------------------------------------------- buttons


def _closing(approval: Approval) -> list[Block]:
    match approval.kind:
        case ApprovalKind.TOOL:
            return [actions(_tool_buttons(approval))]
        case ApprovalKind.PLAN:
            return [
                actions(
                    [
                        button("Approve", Press(Verb.ALLOW, approval.id), "primary"),
                        button("Approve and accept edits", Press(Verb.ACCEPT_EDITS, approval.id)),
                        button("Keep planning…", Press(Verb.DENY_WITH_REASON, approval.id)),
                    ]
                )
            ]
        case ApprovalKind.QUESTION:
            questions = questions_of(approval.input)
            send = [button("Send", Press(Verb.ANSWER, approval.id), "primary")] if _is_form(questions) else []
            return [actions([*send, button("Skip", Press(Verb.DENY, approval.id))])]
        case _:
            assert_never(approval.kind)


def _tool_buttons(approval: Approval) -> list[Block]:
    more = [
        option("Deny with a reason…", Press(Verb.DENY_WITH_REASON, approval.id)),
        option("Edit, then allow…", Press(Verb.EDIT, approval.id)),
    ]
    return [
        button("Allow once", Press(Verb.ALLOW, approval.id), "primary"),
        button("Always in this thread", Press(Verb.ALWAYS, approval.id)),
        button("Deny", Press(Verb.DENY, approval.id), "danger"),
        # Which of its options was chosen is in the option's value.
        {"type": "overflow", "action_id": f"tw:more:{approval.id.hex}", "options": more},
    ]


def _line(text: str, limit: int) -> str:
    return escape(one_line(text, limit))
