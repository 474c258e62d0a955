"""What the suite asks of a platform, and where a platform cannot do it. `docs/platforms.md` is made from this.

A test names what it needs; it is not there for a platform that cannot. Next: `platform.py`.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, TypeVar

Test = TypeVar("Test", bound=Callable[..., Any])


class Ability(StrEnum):
    """What not every platform has."""

    BANG = "`!stop` and its like in the chat"
    CHANGING = "editing and deleting a message that waits"
    MANY = "several people in one chat; who may decide"
    DIRECT = "a direct message is a chat"
    COMMAND = "a command begins a chat"
    COMMAND_INSIDE = "the same command inside a chat, as in `/threadwork stop`"
    WHISPER = "`!status` and its like are answered to one person alone"
    REMOTE = "a bot of its own, which may die, and a platform that may fail"


CANNOT: Final[Mapping[str, Mapping[Ability, str]]] = MappingProxyType(
    {
        "console": {
            Ability.BANG: "Ctrl-C stops; the rest is on the command line",
            Ability.CHANGING: "what was sent is sent",
            Ability.MANY: "one person, who may decide",
            Ability.DIRECT: "`--name` is the chat",
            Ability.COMMAND: "`threadwork chat --prompt` is the command",
            Ability.COMMAND_INSIDE: "Ctrl-C stops",
            Ability.WHISPER: "there is one person",
            Ability.REMOTE: "its posts are in our own database",
        },
        "slack": {Ability.COMMAND_INSIDE: "Slack has no commands in threads: `!stop`"},
        "discord": {Ability.WHISPER: "Discord can only reply, which all see; to the command it whispers"},
    }
)
PLATFORMS: Final = tuple(CANNOT)


def needs(*abilities: Ability) -> Callable[[Test], Test]:
    """Run a test only where all of these can be done."""

    def mark(test: Test) -> Test:
        test.needs = abilities  # type: ignore[attr-defined]  # read by `able`
        return test

    return mark


def able(test: Callable[..., Any]) -> list[str]:
    """The platforms that can do what a test needs."""
    return [name for name, lacking in CANNOT.items() if not set(getattr(test, "needs", ())) & set(lacking)]


def table() -> str:
    """What each platform can do, in Markdown."""
    lines = [f"| | {' | '.join(PLATFORMS)} |", f"|---|{'---|' * len(PLATFORMS)}"]
    for ability in Ability:
        cells = [f"no: {why}" if (why := CANNOT[name].get(ability)) else "yes" for name in PLATFORMS]
        lines.append(f"| {ability} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
