"""The rules of application commands, from https://docs.discord.com/developers/interactions/application-commands.

`app_routes.py` refuses what fails here; `asking.py` uses what was registered to build a person's command.
"""

import unicodedata
from typing import Any

from tests.doubles.discord.component_rules import Checks
from tests.doubles.discord.errors import Problem
from tests.doubles.discord.world import JSON

_SUB, _GROUP = 1, 2
_MOST_CHARACTERS = 8000


def check_commands(commands: Any) -> list[Problem]:
    """Problems of a bulk overwrite."""
    checks = Checks()
    if not isinstance(commands, list):
        checks.add((), "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
        return checks.problems
    for kind, most in ((1, 100), (2, 15), (3, 15)):
        if sum(command.get("type", 1) == kind for command in commands) > most:
            checks.add(
                (), "BASE_TYPE_MAX_LENGTH", f"Maximum number of application commands of type {kind} reached ({most})."
            )
    seen: set[tuple[int, str]] = set()
    for index, command in enumerate(commands):
        here = (str(index),)
        kind, name = command.get("type", 1), command.get("name")
        if (kind, name) in seen:
            checks.add(
                (*here, "name"), "APPLICATION_COMMANDS_DUPLICATE_NAME", "Application command names must be unique"
            )
        seen.add((kind, name))
        if kind == 1:
            _name(checks, (*here, "name"), name)
            checks.length((*here, "description"), command.get("description"), 100, least=1, required=True)
            _options(checks, here, command.get("options") or [], depth=0)
            if _characters(command) > _MOST_CHARACTERS:
                checks.add(here, "APPLICATION_COMMAND_TOO_LARGE", "Command exceeds maximum size (8000)")
        else:
            checks.length((*here, "name"), name, 32, least=1, required=True)
            if command.get("description"):
                checks.add(
                    (*here, "description"),
                    "APPLICATION_COMMAND_INVALID_DESCRIPTION",
                    "Context menu commands cannot have description",
                )
    return checks.problems


def is_command_name(name: Any) -> bool:
    """`^[-_'\\p{L}\\p{N}\\p{sc=Deva}\\p{sc=Thai}]{1,32}$` in lower case, which `re` cannot say."""
    return isinstance(name, str) and 1 <= len(name) <= 32 and name == name.lower() and all(map(_fits_name, name))


def _fits_name(letter: str) -> bool:
    scripts = ("DEVANAGARI", "THAI")
    return (
        letter in "-_'" or unicodedata.category(letter)[0] in "LN" or unicodedata.name(letter, "").startswith(scripts)
    )


def _name(checks: Checks, path: tuple[str, ...], name: Any) -> None:
    if not is_command_name(name):
        checks.add(path, "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")


def _options(checks: Checks, path: tuple[str, ...], options: list[JSON], *, depth: int) -> None:
    checks.count((*path, "options"), options, 0, 25)
    optional_seen = False
    for index, option in enumerate(options):
        here = (*path, "options", str(index))
        kind = option.get("type")
        _name(checks, (*here, "name"), option.get("name"))
        checks.length((*here, "description"), option.get("description"), 100, least=1, required=True)
        if kind in {_SUB, _GROUP}:
            if depth + (kind == _SUB) > 2:
                checks.add(here, "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", "Sub-commands nest two deep at most.")
            _options(checks, here, option.get("options") or [], depth=depth + 1)
            continue
        if option.get("required") and optional_seen:
            checks.add(
                here,
                "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID",
                "Required options must be placed before non-required options",
            )
        optional_seen |= not option.get("required")
        choices = checks.count((*here, "choices"), option.get("choices") or [], 0, 25)
        _choices(checks, (*here, "choices"), choices)
        if choices and option.get("autocomplete"):
            checks.add(
                here,
                "APPLICATION_COMMAND_OPTIONS_CHOICES_AND_AUTOCOMPLETE",
                "Choices and autocomplete exclude each other.",
            )
    names = [option.get("name") for option in options]
    if len(names) != len(set(names)):
        checks.add((*path, "options"), "APPLICATION_COMMAND_OPTIONS_NAME_INVALID", "Option names must be unique")


def _choices(checks: Checks, path: tuple[str, ...], choices: list[JSON]) -> None:
    for index, choice in enumerate(choices):
        checks.length((*path, str(index), "name"), choice.get("name"), 100, least=1, required=True)
        if isinstance(choice.get("value"), str):
            checks.length((*path, str(index), "value"), choice["value"], 100)


def check_choices(choices: Any) -> list[Problem]:
    """Problems of an autocomplete answer."""
    checks = Checks()
    _choices(checks, ("data", "choices"), checks.count(("data", "choices"), choices, 0, 25))
    return checks.problems


def _characters(part: JSON) -> int:
    total = len(part.get("name") or "") + len(part.get("description") or "")
    total += sum(len(str(row.get("name", ""))) + len(str(row.get("value", ""))) for row in part.get("choices") or [])
    return total + sum(_characters(option) for option in part.get("options") or [])


def register(commands: list[JSON], *, app_id: str, new_id: Any, old: list[JSON], guild_id: str | None) -> list[JSON]:
    """What Discord answers: the commands with ids (kept for known names) and every default filled in."""
    known = {(row["type"], row["name"]): row["id"] for row in old}
    answer = []
    for command in commands:
        kind = command.get("type", 1)
        answer.append({
            "description": "",
            "options": [],
            "default_member_permissions": None,
            "nsfw": False,
            "dm_permission": True,
            "contexts": None,
            "integration_types": [0],
            "name_localizations": None,
            "description_localizations": None,
            **command,
            "type": kind,
            "id": known.get((kind, command["name"])) or new_id(),
            "application_id": app_id,
            "version": new_id(),
            **({"guild_id": guild_id} if guild_id else {}),
        })  # fmt: skip
    return answer
