"""A question as Discord posts: all of what is asked about, and buttons under it; once it is settled, who and when.

Pure. What the agent asked with is shown to the letter in code blocks, in several posts if it is long, of which the last
has the buttons; very long, it is a file below how it begins. A settled question keeps its posts, so that none is left
behind with buttons in it. A press is in the `custom_id` of each button and menu, and in the value of each option.

A menu of Discord's says what was chosen once, when it is chosen, and no later click tells it again. So one question is
answered by its buttons or its menu at once; several have one button, a press `ANSWER` without a question, at which the
bot opens a form with all of them. Next: `client.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, assert_never

from core.domain.approval import Approval, ApprovalKind, Question, decided_words, questions_of
from core.domain.describe import command_of, diff_of, risky_spans, visible
from core.domain.states import ApprovalState
from core.ports import Payload
from core.surfaces.discord.components import (
    COMPONENTS,
    GREY,
    OPTIONS,
    Component,
    actions,
    attached,
    button,
    container,
    context,
    count,
    cut,
    cut_escaped,
    line,
    markdown,
    menu,
    option,
    post,
    preformatted,
    section,
    weight,
)
from core.surfaces.discord.escaping import code
from core.surfaces.discord.pieces import beginning, pieces
from core.surfaces.discord.render import BEGINNING, POSTS
from core.surfaces.presses import Press, Verb

# What stands above and below the content of a post takes the rest of what Discord allows.
_CONTENT: Final = 2_700
_CONTENT_COMPONENTS: Final = COMPONENTS - 10
_RISKS: Final = 8
_BUTTONS: Final = 20
_ICONS: Final = {ApprovalState.ALLOWED: "✅", ApprovalState.DENIED: "⛔", ApprovalState.WITHDRAWN: "➖"}
_COLOURS: Final = {
    ApprovalState.PENDING: 0xF0B232,
    ApprovalState.ALLOWED: 0x23A55A,
    ApprovalState.DENIED: 0xF23F43,
}
_SHELLS: Final = ("Bash", "PowerShell", "Monitor")


@dataclass(frozen=True, slots=True)
class _Part:
    """A component of a question; one that `is_control` goes when the question is settled."""

    component: Component
    is_control: bool = False
    files: Mapping[str, bytes] = field(default_factory=dict)


def render_approval(approval: Approval) -> Sequence[Payload]:
    """The posts of a question: as many before it is settled as after."""
    pages = _pages(list(_content(approval)))
    if len(pages) > POSTS and (shorter := list(_as_file(approval))):
        pages = [shorter]
    is_open = approval.state is ApprovalState.PENDING
    made = []
    for number, page in enumerate(pages):
        components = [] if number else [section(_head(approval))]
        components += [part.component for part in page if is_open or not part.is_control]
        if number == len(pages) - 1:
            components += _closing(approval) if is_open else [context(_decided(approval))]
        files = {name: data for part in page for name, data in part.files.items()}
        made.append(post([container(components or [context("…")], _COLOURS.get(approval.state, GREY))], files))
    return made


def _pages(parts: Sequence[_Part]) -> list[list[_Part]]:
    pages, room, places = list[list[_Part]]([[]]), _CONTENT, _CONTENT_COMPONENTS
    for part in parts:
        if pages[-1] and (weight(part.component) > room or count(part.component) > places):
            pages.append([])
            room, places = _CONTENT, _CONTENT_COMPONENTS
        pages[-1].append(part)
        room -= weight(part.component)
        places -= count(part.component)
    return pages


def _head(approval: Approval) -> str:
    match approval.kind:
        case ApprovalKind.TOOL:
            words = f"✋ **May I?** {line(approval.line, 300)}"
        case ApprovalKind.PLAN:
            words = "🗺️ **This is my plan.**"
        case ApprovalKind.QUESTION:
            is_one = len(questions_of(approval.input)) == 1
            words = "💬 **I have a question.**" if is_one else "💬 **I have some questions.**"
        case _:
            assert_never(approval.kind)
    return f"{words}\n{line(approval.why, 350)}" if approval.why else words


def _decided(approval: Approval) -> str:
    words = f"{_ICONS.get(approval.state, '➖')} {line(decided_words(approval), 400)}"
    if approval.decided_at is None:
        return words
    # Discord writes the time as the reader's clock has it.
    return f"{words} · <t:{int(approval.decided_at.timestamp())}:f>"


# ---------------------------------------------------------------- what is asked


def _content(approval: Approval) -> Iterator[_Part]:
    match approval.kind:
        case ApprovalKind.TOOL:
            yield from map(_Part, _tool(approval))
        case ApprovalKind.PLAN:
            for piece in pieces(_plan(approval), _CONTENT) or ["*The plan is empty.*"]:
                yield _Part(markdown(piece))
        case ApprovalKind.QUESTION:
            questions = questions_of(approval.input)
            for number, question in enumerate(questions):
                yield from _question(approval, number, question, is_form=len(questions) > 1)
        case _:
            assert_never(approval.kind)


def _tool(approval: Approval) -> Iterator[Component]:
    command, diff = command_of(approval.tool, approval.input), diff_of(approval.tool, approval.input)
    if command:
        yield from preformatted(visible(command), _language(approval), _CONTENT)
        yield from _risks(approval, command)
    if diff is not None:
        yield from preformatted(visible(diff), "diff", _CONTENT)


def _as_file(approval: Approval) -> Iterator[_Part]:
    """How it begins, what is risky in it, and all of it as a file; nothing for what cannot be one."""
    command, diff = command_of(approval.tool, approval.input), diff_of(approval.tool, approval.input)
    match approval.kind:
        case ApprovalKind.TOOL if diff is not None:
            name, whole = "change.diff", diff
        case ApprovalKind.TOOL:
            name, whole = "command.txt", command or ""
        case ApprovalKind.PLAN:
            name, whole = "plan.md", _plan(approval)
        case ApprovalKind.QUESTION:
            return
        case _:
            assert_never(approval.kind)
    if approval.kind is ApprovalKind.PLAN:
        yield _Part(markdown(beginning(whole, BEGINNING)))
    else:
        language = "diff" if diff is not None else _language(approval)
        yield _Part(next(preformatted(visible(whole[:BEGINNING]), language, _CONTENT // 2)))
        yield from map(_Part, _risks(approval, command or ""))
    yield _Part(context(f"This is how it begins; all of it, {len(whole):,} characters, is in the file."))
    yield _Part(attached(name), files={name: whole.encode("utf-8", "replace")})


def _plan(approval: Approval) -> str:
    plan = approval.input.get("plan")
    return plan if isinstance(plan, str) else ""


def _language(approval: Approval) -> str:
    return "sh" if approval.tool in _SHELLS else ""


def _risks(approval: Approval, command: str) -> Iterator[Component]:
    """The parts of a command that want attention, quoted with the reason."""
    if approval.tool not in _SHELLS:
        return
    spans = risky_spans(command)
    lines = [f"⚠️ {code(cut(visible(command[start:end]), 60))} — {line(why, 70)}" for start, end, why in spans]
    if len(lines) > _RISKS:
        lines[_RISKS - 1 :] = [f"⚠️ … and {len(lines) - _RISKS + 1} more"]
    if lines:
        yield markdown("\n".join(lines))


def _question(approval: Approval, number: int, question: Question, *, is_form: bool) -> Iterator[_Part]:
    head = f"**{line(question.header, 100)}** · " if question.header else ""
    yield _Part(markdown(head + cut_escaped(question.text, 2_000)))
    is_menu = question.is_multiple or len(question.options) > _BUTTONS
    told = [
        one
        for at, one in enumerate(question.options)
        if is_form or len(one.label) > 70 or (at >= OPTIONS if is_menu else one.description)
    ]
    for start in range(0, len(told), 5):
        yield _Part(markdown("\n".join(_choice(one.label, one.description) for one in told[start : start + 5])))
    if is_form:
        return
    other = button("Other…", Press(Verb.ANSWER_OTHERWISE, approval.id, number))
    if is_menu and question.options:
        yield _Part(_menu(approval, number, question), is_control=True)
        rows = actions([other])
    else:
        answers = (Press(Verb.ANSWER, approval.id, number, at) for at in range(len(question.options)))
        rows = actions([*map(button, (one.label for one in question.options), answers), other])
    for row in rows:
        yield _Part(row, is_control=True)


def _choice(name: str, description: str) -> str:
    return f"• **{line(name, 200)}**" + (f" — {line(description, 300)}" if description else "")


def _menu(approval: Approval, number: int, question: Question) -> Component:
    options = [
        option(one.label, Press(Verb.ANSWER, approval.id, number, at), one.description)
        for at, one in enumerate(question.options[:OPTIONS])
    ]
    words = "Choose some" if question.is_multiple else "Choose one"
    return menu(words, Press(Verb.ANSWER, approval.id, number), options, is_multiple=question.is_multiple)


# ---------------------------------------------------------------- buttons


def _closing(approval: Approval) -> list[Component]:
    match approval.kind:
        case ApprovalKind.TOOL:
            return actions(
                [
                    button("Allow once", Press(Verb.ALLOW, approval.id), "good"),
                    button("Always in this thread", Press(Verb.ALWAYS, approval.id)),
                    button("Edit, then allow…", Press(Verb.EDIT, approval.id)),
                    button("Deny", Press(Verb.DENY, approval.id), "danger"),
                    button("Deny with a reason…", Press(Verb.DENY_WITH_REASON, approval.id)),
                ]
            )
        case ApprovalKind.PLAN:
            return actions(
                [
                    button("Approve", Press(Verb.ALLOW, approval.id), "good"),
                    button("Approve and accept edits", Press(Verb.ACCEPT_EDITS, approval.id)),
                    button("Keep planning…", Press(Verb.DENY_WITH_REASON, approval.id)),
                ]
            )
        case ApprovalKind.QUESTION:
            is_form = len(questions_of(approval.input)) > 1
            answer = [button("Answer…", Press(Verb.ANSWER, approval.id), "primary")] if is_form else []
            return actions([*answer, button("Skip", Press(Verb.DENY, approval.id))])
        case _:
            assert_never(approval.kind)
