"""What a stranger wrote, as it may go to a terminal or into a line of JSON. Next: `screen.py`, which draws it."""

import re
from typing import Final

# What steers a terminal, and what turns the direction of writing; newline and tab stay.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """Text from outside without anything that would steer a terminal."""
    return _CONTROL.sub("", text)


def escaped(line: str) -> str:
    """A line of JSON that says the same, and that a terminal may show: what would steer it is written as an escape."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", line)
