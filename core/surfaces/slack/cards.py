"""What a live post shows as a stream of Slack's: a title, cards of what is done, and text that only grows. Pure.

A stream is added to, never changed: only what leaves the text before it as it is can go on in it. Untrusted text is
made inert as a whole, with all that was shown of it before, and only up to the last word that is surely complete: half
a link would become another text with its other half. Chunks: https://docs.slack.dev/reference/methods/chat.appendStream.
Next: `streaming.py`.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from core.domain.states import TurnState
from core.domain.view import ShownStep, StepState, View
from core.surfaces.presses import Press, Verb
from core.surfaces.slack.blocks import Block, actions, button, context, one_line, units
from core.surfaces.slack.escaping import inert
from core.surfaces.slack.pieces import end_of

JSON = Mapping[str, Any]

# Of 12,000 that a stream holds, whatever is in the documentation: https://github.com/CopilotKit/CopilotKit/issues/6063.
MOST_TEXT: Final = 10_000
MOST_CARDS: Final = 50
_FIRST_TEXT: Final = 3_000
_FIRST_STEPS: Final = 5
_STEPS: Final = 40
_TASKS: Final = 10
_NOTICES: Final = 3
_TITLE: Final = 150
_STEP_STATES: Final = {StepState.RUNNING: "in_progress", StepState.DONE: "complete", StepState.FAILED: "error"}
_TASK_STATES: Final = {"completed": "complete", "in_progress": "in_progress"}
_NAME: Final = re.compile(r"[\w:.-]{1,80}", re.ASCII)
_HALF_A_LINK: Final = re.compile(r"!?\[[^\[\]\n]*(?:\](?:\([^()\n]*)?)?$")


@dataclass(frozen=True, slots=True)
class Shown:
    """What a stream shows: the answer from `start` on, within a code block if there is an `opening`, and cards by id.

    `hidden` are cards of before it began, which it leaves out.
    """

    start: int = 0
    opening: str = ""
    text: str = ""
    title: str = ""
    cards: Mapping[str, JSON] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()

    @property
    def is_full(self) -> bool:
        """Whether it holds more than a stream should."""
        return units(self.text) > MOST_TEXT or len(self.cards) > MOST_CARDS


def streamed(view: View) -> dict[str, Any]:
    """What a stream of a running turn should show, as JSON: `title`, `cards`, `text` as it was written, and `block`."""
    icon = "✋" if view.asks or view.state is TurnState.WAITING else "⏳"
    stop = actions([button("Stop", Press(Verb.STOP, view.turn_id))]) if view.turn_id else context("…")
    return {"title": f"{icon} {_line(view.status)}", "cards": list(_cards(view)), "text": view.answer, "block": stop}


def begin(wanted: JSON, block_id: str) -> tuple[Shown, Sequence[JSON]]:
    """A new stream: what it shows then, and the chunks it begins with. It shows the end of a long text."""
    steps = [card["id"] for card in wanted["cards"] if card["id"].startswith("step:")]
    start, opening = end_of(wanted["text"], _FIRST_TEXT)
    empty = Shown(start, opening, "…\n\n" if start else "", hidden=frozenset(steps[:-_FIRST_STEPS]))
    shown, chunks = grow(empty, wanted) or (empty, [])
    block: Block = {**wanted["block"], "block_id": block_id}
    lead = [{"type": "markdown_text", "text": empty.text}] if empty.text else []
    return shown, [*lead, *chunks, {"type": "blocks", "blocks": [block]}]


def grow(shown: Shown, wanted: JSON) -> tuple[Shown, Sequence[JSON]] | None:
    """What a stream shows next, and the chunks that bring it there; None if what it shows would have to change."""
    lead = "…\n\n" if shown.start else ""
    text = lead + inert(shown.opening + _complete(str(wanted["text"])[shown.start :]))
    if not text.startswith(shown.text):
        return None
    new = [card for card in wanted["cards"] if card["id"] not in shown.hidden and shown.cards.get(card["id"]) != card]
    chunks: list[JSON] = []
    if wanted["title"] != shown.title:
        chunks.append({"type": "plan_update", "title": wanted["title"]})
    chunks += [{"type": "task_update", **card} for card in new]
    if added := text[len(shown.text) :]:
        chunks.append({"type": "markdown_text", "text": added})
    cards = {**shown.cards, **{card["id"]: card for card in new}}
    return Shown(shown.start, shown.opening, text, wanted["title"], cards, shown.hidden), chunks


def _complete(text: str) -> str:
    """The text up to its last word that surely has ended."""
    end = max(text.rfind(blank) for blank in " \n\t") + 1
    return _HALF_A_LINK.sub("", text[:end])


def _cards(view: View) -> Iterator[JSON]:
    for task in view.tasks[-_TASKS:]:
        yield _card(f"task:{task.id}", task.text, _TASK_STATES.get(task.state, "pending"))
    for step in view.steps[-_STEPS:]:
        yield _step(step)
    for words in dict.fromkeys(view.notices[-_NOTICES:]):
        yield _card(f"notice:{words}", f"ℹ️ {words}", "complete")


def _step(step: ShownStep) -> JSON:
    card = _card(f"step:{step.id}", ("↳ " if step.parent else "") + step.line, _STEP_STATES[step.state])
    last = [words for words in map(_line, step.output.splitlines()) if words][-1:]
    return {**card, "output": last[0]} if step.state is StepState.FAILED and last else card


def _card(name: str, title: str, status: str) -> JSON:
    # What the agent or the model named may be any text.
    safe = name if _NAME.fullmatch(name) else hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return {"id": safe, "title": _line(title) or "…", "status": status}


def _line(text: str) -> str:
    """Plain text as the documentation has it, and inert should Slack read markup in it all the same."""
    return inert(one_line(text, _TITLE))
