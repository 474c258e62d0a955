"""What a button says when it is clicked: a verb and what it is about, in few enough characters for every platform.

The surfaces write presses into their buttons (`action_id` in Slack, `custom_id` in Discord, of at most 100 characters),
the bots read them. Who clicks comes from the platform, and is checked by the intake: a press proves nothing.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

_SIGN: Final = "tw"


class Verb(StrEnum):
    """What a click wants."""

    ALLOW = "allow"
    ALWAYS = "always"
    ACCEPT_EDITS = "accept_edits"
    DENY = "deny"
    DENY_WITH_REASON = "reason"
    EDIT = "edit"
    ANSWER = "answer"
    ANSWER_OTHERWISE = "other"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Press:
    """A click. `subject`: the approval's id, or for `STOP` the turn's. `question` and `option` count from 0."""

    verb: Verb
    subject: UUID
    question: int | None = None
    option: int | None = None

    def encode(self) -> str:
        """As a button carries it: `tw:answer:<32 hex digits>:0:2`."""
        numbers = [str(number) for number in (self.question, self.option) if number is not None]
        return ":".join([_SIGN, self.verb.value, self.subject.hex, *numbers])


def decode(text: str) -> Press | None:
    """A press out of a button; None for what is none of ours."""
    sign, _, rest = text.partition(":")
    parts = rest.split(":")
    if sign != _SIGN or not 2 <= len(parts) <= 4:
        return None
    try:
        return Press(Verb(parts[0]), UUID(hex=parts[1]), *(int(number) for number in parts[2:]))
    except ValueError:
        return None
