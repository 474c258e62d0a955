"""Who knows one platform's package knows the other's: the same files, with the same public functions and classes.

What only one platform has is listed with its reason; what is listed and no longer so fails as well.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("bots", "core/surfaces")
MOST_LINES: Final = 400
LONG: Final = {"core/ports.py": "every port in one file, so that one reads there all that is needed from outside"}

# By package and module: what only one platform has.
ONLY_SLACK: Final[Mapping[tuple[str, str], str]] = {
    ("bots", "container"): "what Slack shows around chats with its agents; Discord has no such place",
    ("bots", "doors"): "events come by a socket or by HTTP; Discord has its gateway alone",
    ("bots", "http_mode"): "one of the doors",
    ("bots", "socket_mode"): "the other",
    ("bots", "home"): "App Home: Discord's apps have no page of their own",
    ("bots", "installing"): "each workspace has a token of its own, got by OAuth; Discord's bot has one",
    ("bots", "manifest"): "the app is set up by a manifest; Discord's is clicked together",
    ("bots", "people"): "an event names a person by an id alone; Discord tells name and roles",
    ("bots", "workspaces"): "a workspace is its token; Discord's counterpart is `servers`",
    ("core/surfaces", "blocks"): "Block Kit; Discord's counterpart is `components`",
    ("core/surfaces", "cards"): "what a stream shows; Discord has no streams",
    ("core/surfaces", "streaming"): "posts that Slack itself shows being written",
    ("core/surfaces", "tokens"): "the tokens of the workspaces",
}
ONLY_DISCORD: Final[Mapping[tuple[str, str], str]] = {
    ("bots", "catching_up"): "a new session has missed messages; Slack sends again what was not acknowledged",
    ("bots", "connection"): "discord.py's client and its gateway; Slack's counterparts are the doors",
    ("bots", "invite"): "a link with permissions; Slack's are in the manifest",
    ("bots", "replies"): "each click and command wants one answer, by a token; Slack's whispers need none",
    ("bots", "servers"): "Slack's counterpart is `workspaces`",
    ("core/surfaces", "boosts"): "a server's limit on files hangs on its boosts; Slack has one for all",
    ("core/surfaces", "components"): "Slack's counterpart is `blocks`",
    ("core/surfaces", "gates"): "each answer tells how much room is left; Slack tells only when there is none",
    (
        "core/surfaces",
        "rest",
    ): "discord.py's own REST client waits and repeats for itself; Slack's SDK can be told not to",
}
# In modules that both have: the names that only one has, of Slack's and of Discord's.
NAMES: Final[Mapping[tuple[str, str], tuple[set[str], set[str], str]]] = {
    ("bots", "answering"): ({"open_within"}, set(), "a form opens empty and is filled in; Discord's cannot change"),
    ("bots", "asked"): (
        {"parse_command", "team_of"},
        {"Completing", "Strange", "Where"},
        "Slack's commands are payloads of their own; Discord completes them, and answers each interaction by its token",
    ),
    ("bots", "commands"): (
        set(),
        {"Wish"},
        "the same commands come by message and by slash, which Slack's threads lack",
    ),
    ("bots", "context"): (set(), {"line_of"}, "an answered message comes with the answer"),
    ("bots", "markup"): (set(), {"roles_and_channels"}, "Slack's markup has the names in it"),
    ("bots", "modals"): ({"loading", "notice"}, {"answers_form"}, "forms that change; several questions in one form"),
    ("bots", "parse"): (
        {"AgentStopped", "ContainerOpened", "HomeOpened", "Uninstalled"},
        {"Person", "guild_of", "names_in", "person_of"},
        "events that the other has not; Discord tells of the person with each message",
    ),
    ("bots", "slash"): ({"chats_of", "with_turns"}, set(), "App Home lists chats, too"),
    ("bots", "starting"): ({"quoted"}, set(), "the form for a message quotes it, which Discord has no room for"),
    ("bots", "taking"): (set(), {"Spoken"}, "a message that may be a command, with its person and chat"),
    ("bots", "telling"): ({"whisper"}, {"reply"}, "Discord cannot whisper to a message"),
    ("bots", "web"): ({"code_of"}, {"whispered"}, "errors are words; answers to clicks are whispered"),
    ("bots", "words"): (
        {"link", "slash_help"},
        {"waiting"},
        "links have a markup of their own, and the command may have another name",
    ),
    ("core/surfaces", "pieces"): (
        {"end_of", "inert_pieces"},
        {"beginning"},
        "blocks and streams are cut by size; long answers are files",
    ),
    ("core/surfaces", "plainly"): (set(), {"classic", "unattached"}, "posts without components, and without files"),
    ("core/surfaces", "refusals"): (
        {"StillStreaming"},
        {"code_of", "is_global", "retry_after_s"},
        "Slack has streams, and its SDK reads its answers; Discord's are read here",
    ),
    ("core/surfaces", "sharing"): (
        {"file_with", "marked", "put_bytes"},
        set(),
        "a file is uploaded in three steps and bears its mark on its block; Discord's comes with a post",
    ),
    ("core/surfaces", "vouching"): ({"claims_of"}, {"challenge_of"}, "OpenID Connect, and OAuth with PKCE"),
}


def modules(package: str, platform: str) -> dict[str, Path]:
    return {path.stem: path for path in (ROOT / package / platform).glob("*.py")}


def public(path: Path) -> set[str]:
    """The functions and classes that a module gives to others, the platform's name left out."""
    made = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    names = [one.name for one in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(one, made)]
    plain = [
        name.replace("Slack", "").replace("Discord", "").replace("_slack", "").replace("_discord", "") for name in names
    ]
    return {name for name in plain if not name.startswith("_")}


def shared() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        for name in sorted(modules(package, "slack").keys() & modules(package, "discord").keys()):
            yield package, name


@pytest.mark.parametrize("package", PACKAGES)
def test_both_platforms_have_the_same_files(package: str) -> None:
    slack, discord = modules(package, "slack").keys(), modules(package, "discord").keys()
    assert slack - discord == {name for within, name in ONLY_SLACK if within == package}
    assert discord - slack == {name for within, name in ONLY_DISCORD if within == package}


@pytest.mark.parametrize(("package", "name"), list(shared()))
def test_files_of_one_name_have_the_same_public_functions_and_classes(package: str, name: str) -> None:
    slack, discord = (public(modules(package, platform)[name]) for platform in ("slack", "discord"))
    only_slack, only_discord, _why = NAMES.get((package, name), (set(), set(), ""))
    assert (slack - discord, discord - slack) == (only_slack, only_discord)


def test_no_exception_is_left_over() -> None:
    assert NAMES.keys() <= set(shared())


@pytest.mark.parametrize("folder", ["bots", "core", "worker", "threadwork"])
def test_no_module_is_long(folder: str) -> None:
    lines = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in (ROOT / folder).rglob("*.py")
    }
    assert {name for name, count in lines.items() if count > MOST_LINES} == {name for name in LONG if name in lines}
