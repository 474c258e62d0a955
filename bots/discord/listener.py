"""What the gateway sends: understand it, and hand it on. Nothing here waits.

Messages come once by the gateway, and once more when it is resumed or when they are fetched after a gap: what was seen
is not done again. Next: `handling.py`.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from bots.discord.asked import parse_interaction
from bots.discord.catching_up import CatchingUp
from bots.discord.handling import Handling
from bots.discord.parse import Said, parse_event
from bots.errands import Errands

JSON = Mapping[str, Any]
_MOST_SEEN: Final = 10_000


class Listener:
    """Hears every event of the gateway."""

    def __init__(self, handling: Handling, catching_up: CatchingUp, errands: Errands, me: str) -> None:
        self._handling = handling
        self._catching_up = catching_up
        self._errands = errands
        self._me = me
        self._seen: OrderedDict[str, None] = OrderedDict()

    def hear(self, kind: str, data: JSON) -> None:
        """An event, as the gateway sends it."""
        match kind:
            case "READY":
                self._catching_up.begin_session()
                self._errands.start(self._catching_up.direct(self.missed), "fetch direct messages that were missed")
            case "GUILD_CREATE":
                self._errands.start(self._catching_up.server(data, self.missed), "fetch messages that were missed")
            case "INTERACTION_CREATE":
                asked = parse_interaction(data)
                if asked is not None:
                    self._errands.start(self._handling.asked(asked), f"do what was asked: {type(asked).__name__}")
            case _:
                self._message(kind, data)

    def missed(self, data: JSON, *, is_old: bool) -> None:
        """A message that the gateway did not tell of. What is from before this program began commands nothing."""
        event = parse_event("MESSAGE_CREATE", data, self._me)
        if isinstance(event, Said) and self._is_new(event.id):
            self._errands.start(self._handling.event(event, may_command=not is_old), "take in what was missed")

    def _message(self, kind: str, data: JSON) -> None:
        if kind == "MESSAGE_CREATE":
            self._catching_up.saw(str(data.get("id") or "0"))
        event = parse_event(kind, data, self._me)
        if event is None or (isinstance(event, Said) and not self._is_new(event.id)):
            return
        self._errands.start(self._handling.event(event), f"take in {type(event).__name__}")

    def _is_new(self, message: str) -> bool:
        if message in self._seen:
            return False
        self._seen[message] = None
        if len(self._seen) > _MOST_SEEN:
            self._seen.popitem(last=False)
        return True
