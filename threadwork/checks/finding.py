"""What a check found: good, worth knowing, or bad with its mend. Next: `machine.py`."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is. Only BAD makes `threadwork doctor` fail."""

    GOOD = "good"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's: `what` was looked at, what is `said` of it, and the `mend`, if it needs one."""

    level: Level
    what: str
    said: str
    mend: str = ""


def good(what: str, said: str) -> Finding:
    """It is as it should be."""
    return Finding(Level.GOOD, what, said)


def note(what: str, said: str, mend: str = "") -> Finding:
    """It works, and may surprise."""
    return Finding(Level.NOTE, what, said, mend)


def bad(what: str, said: str, mend: str = "") -> Finding:
    """It will not work until it is mended."""
    return Finding(Level.BAD, what, said, mend)
