"""A thread as people see it now, and everything that happened in it."""

from dataclasses import dataclass

from tests.doubles.slack.store import JSON, Channel, Message


@dataclass(frozen=True, slots=True)
class Change:
    """One step in a thread's past. `kind`: "posted", "edited" or "deleted"."""

    at: float
    kind: str
    ts: str
    author: str
    text: str
    blocks: list[JSON]


@dataclass(frozen=True, slots=True)
class Thread:
    """Looks at the store each time it is asked."""

    channel: Channel
    ts: str

    @property
    def parent(self) -> Message:
        return self.channel.messages[self.ts]

    @property
    def replies(self) -> list[Message]:
        """Replies that are there now, oldest first; not those that one person sees alone."""
        return self.channel.replies(self.ts)

    @property
    def messages(self) -> list[Message]:
        """The parent, unless it was deleted, and the replies."""
        return ([] if self.parent.is_deleted else [self.parent]) + self.replies

    @property
    def ours(self) -> list[Message]:
        """The app's replies."""
        return [one for one in self.replies if one.author.name == "threadwork" and one.author.bot_id]

    @property
    def texts(self) -> list[str]:
        """What is to be read now, message by message, the parent first."""
        return [one.shown for one in self.messages]

    @property
    def private(self) -> list[Message]:
        """What single people see here alone."""
        rows = [one for one in self.channel.messages.values() if one.only_for and one.thread_ts == self.ts]
        return [one for one in rows if not one.is_deleted]

    @property
    def history(self) -> list[Change]:
        """Every post, edit and deletion, in order."""
        rows = [one for one in self.channel.messages.values() if self.ts in {one.ts, one.thread_ts}]
        changes = [
            Change(step.at, step.kind, one.ts, one.author.name, step.text, step.blocks)
            for one in rows
            for step in one.history
        ]
        return sorted(changes, key=lambda one: one.at)
