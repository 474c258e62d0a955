"""What a thread must show at the end, told from the database and the double's record of it: pure.

Every post of ours that was ever made must be one that the database knows of, each must still be there, hold what it is
for, and offer nothing to click any more.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from core.domain.approval import Approval, decided_words
from core.domain.message import Message
from core.domain.states import ApprovalState, MessageState, TurnState
from core.domain.turn import Turn
from core.ports import PostState, Receipt
from tests.faults.platforms.platform import Ending

_ICONS: Final = {TurnState.DONE: "✅", TurnState.FAILED: "❌", TurnState.STOPPED: "🛑"}
_RECEIPTS: Final = {
    MessageState.ANSWERED: Receipt.ANSWERED,
    MessageState.FAILED: Receipt.FAILED,
    MessageState.STOPPED: Receipt.STOPPED,
    MessageState.DROPPED: Receipt.DROPPED,
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A post of ours in the thread, ever. `offers` is what can be clicked on it."""

    id: str
    text: str
    offers: Sequence[str]
    is_deleted: bool


def broken(
    ending: Ending,
    shown: Sequence[Shown],
    signs: Mapping[Receipt, str],
    signs_on: Callable[[str], Collection[str]],
) -> Iterator[str]:
    """What is wrong on screen. `signs` are the platform's receipts, `signs_on` ours on a message."""
    by_id = {post.id: post for post in shown}
    known = [post for post in ending.posts if post.state is not PostState.GONE]
    slots = {(post.turn_id, post.slot): by_id.get(post.external_id or "") for post in known}
    ids = [post.external_id for post in known]
    for post in shown:
        if post.is_deleted:
            yield f"5: a post was taken away: {_brief(post.text)}"
        if post.id not in ids:
            yield f"5: a post that nobody knows of, such as one made twice: {_brief(post.text)}"
        if post.offers:
            yield f"5: there is still to click {list(post.offers)} on {_brief(post.text)}"
    for row in known:
        if row.external_id not in by_id:
            yield f"5: the post {row.slot} of a turn is missing (it is {row.state}, {row.external_id})"
    for number in set(ids):
        if ids.count(number) > 1:
            yield f"5: one post stands for {ids.count(number)} things"
    for turn in ending.turns:
        yield from _turn(turn, [shown for (of, slot), shown in slots.items() if of == turn.id and slot[:4] == "turn"])
    for approval in ending.asked:
        yield from _question(approval, [shown for (_, slot), shown in slots.items() if slot == f"ask:{approval.id}"])
    for message in ending.messages:
        yield from _receipt(message, signs, signs_on(message.external_id))


def _turn(turn: Turn, posts: Sequence[Shown | None]) -> Iterator[str]:
    if len(posts) != 1:
        yield f"5: turn {turn.number} has {len(posts)} posts"
        return
    if posts[0] is None:
        return
    text = _plain(posts[0].text)
    if _plain(turn.text) not in text:
        yield f"5: turn {turn.number} shows {_brief(text)}, not {_brief(turn.text)}"
    if turn.state in _ICONS and _ICONS[turn.state] not in text:
        yield f"5: turn {turn.number} is {turn.state} and shows {_brief(text[-80:])}"


def _question(approval: Approval, posts: Sequence[Shown | None]) -> Iterator[str]:
    is_decided = approval.state in {ApprovalState.ALLOWED, ApprovalState.DENIED}
    if len(posts) > 1 or (is_decided and not posts):
        yield f"5: question {approval.line} has {len(posts)} posts, and is {approval.state}"
    for post in posts:
        if post is not None and _plain(decided_words(approval)) not in _plain(post.text):
            yield f"5: question {approval.line} is {approval.state} and shows {_brief(post.text)}"


def _receipt(message: Message, signs: Mapping[Receipt, str], on: Collection[str]) -> Iterator[str]:
    receipt = _RECEIPTS.get(message.state)
    if receipt is not None and set(on) != {signs[receipt]}:
        yield f"5: message {message.external_id} is {message.state} and shows {sorted(on)}"


def _plain(text: str) -> str:
    return " ".join(text.split())


def _brief(text: str) -> str:
    plain = _plain(text)
    return repr(plain if len(plain) <= 100 else f"{plain[:99]}…")
