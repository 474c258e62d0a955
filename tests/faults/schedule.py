"""What happens in a schedule, drawn from a seed: what people say and decide, and what breaks when."""

import random
from dataclasses import dataclass
from typing import Any, Final

# name → weight. The process faults hit every chat of the round.
PROCESS_FAULTS: Final = {
    "kill worker": 6,
    "stop and continue worker": 3,
    "terminate worker": 4,
    "kill gateway": 2,
    "kill sandbox host": 2,
    "cut sandbox streams": 4,
    "stall sandbox streams": 3,
    "kill valkey": 3,
    "flush valkey": 2,
    "kill postgres": 2,
    "kill the agent": 3,
}
# The same for a bot, where there is one, and for its platform: `platforms/` has how.
BOT_FAULTS: Final = {
    "kill bot": 5,
    "stop and continue bot": 3,
    "terminate bot": 3,
    "cut the bot off": 3,
    "cut the bot off and keep it out": 2,
    "begin a new session": 3,
}
PLATFORM_FAULTS: Final = {
    "repeat events": 3,
    "mix events up": 3,
    "lose answers": 6,
    "answer too late": 2,
    "refuse calls": 3,
    "throttle calls": 2,
}
# Those after which the outcome of a tool call may be unknown.
LOSES_PROCESSES: Final = frozenset({"kill sandbox host", "kill the agent"})


@dataclass(frozen=True, slots=True)
class Command:
    """A shell command the agent asks for; it leaves one line in a file."""

    tag: str
    allow: bool
    decide_after_s: float
    clicks: int


@dataclass(frozen=True, slots=True)
class Said:
    """A message: when, how often it is delivered to us, and what the agent will do."""

    tag: str
    after_s: float
    deliveries: int
    commands: tuple[Command, ...]
    words: int

    def prompt(self) -> str:
        """The text, with the script that the model's double plays."""
        from tests.doubles.anthropic import script_prompt

        replies: list[list[dict[str, Any]]] = []
        for command in self.commands:
            line = f"echo {command.tag} >> effects; echo ran {command.tag}"
            replies.append([{"text": f"I run {command.tag}."}, {"tool": "Bash", "input": {"command": line}}])
        text = " ".join(f"{self.tag}w{number}" for number in range(self.words))
        replies.append([{"delay": 0.02}, {"text": f"Done {self.tag}. {text}"}])
        return script_prompt(*replies, say=f"Do {self.tag}.")


@dataclass(frozen=True, slots=True)
class Chat:
    """One schedule: what is said in one chat, and whether it is stopped at some time."""

    seed: int
    name: str
    said: tuple[Said, ...]
    stop_after_s: float | None


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that breaks, when, and for how long."""

    name: str
    after_s: float
    lasts_s: float
    which: int


def chat(seed: int) -> Chat:
    """The schedule with this seed."""
    rng = random.Random(seed)
    said = []
    at = rng.uniform(0, 1.5)
    for number in range(rng.choice((1, 1, 2, 3))):
        tag = f"s{seed}m{number}"
        commands = tuple(
            Command(f"{tag}c{index}", rng.random() < 0.75, rng.choice((0.0, 0.1, 1.0, 3.0)), rng.choice((1, 1, 2)))
            for index in range(rng.choice((0, 1, 1, 2)))
        )
        said.append(Said(tag, at, rng.choice((1, 1, 1, 2)), commands, rng.choice((1, 20, 60))))
        at += rng.uniform(0.1, 6)
    return Chat(seed, f"f{seed}", tuple(said), rng.uniform(1, 8) if rng.random() < 0.12 else None)


def faults(seed: int, *, has_bot: bool = False) -> tuple[Fault, ...]:
    """What breaks in the round with this seed; with a bot and its platform there is more that can."""
    rng = random.Random(f"faults {seed}")
    weights = {**PROCESS_FAULTS, **BOT_FAULTS, **PLATFORM_FAULTS} if has_bot else PROCESS_FAULTS
    names = rng.choices(list(weights), list(weights.values()), k=rng.choice((3, 4, 5) if has_bot else (1, 2, 2, 3)))
    return tuple(
        sorted(
            (Fault(name, rng.uniform(0.3, 9), rng.uniform(0.3, 6), rng.randrange(2)) for name in names),
            key=lambda fault: fault.after_s,
        )
    )
