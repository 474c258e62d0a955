"""The manifest in the repository is the one the code means, and it asks for what is used and no more."""

import ast
from collections.abc import Iterator
from pathlib import Path

from bots.slack.manifest import EVENTS, SCOPES, manifest, manifest_yaml
from tests.doubles.slack.manifest import Manifest
from tests.doubles.slack.rules import BY_KIND
from tests.doubles.slack.rules import SCOPES as NEEDED

_ROOT = Path(__file__).parents[2]
_FOR_READING = {"channels:history", "groups:history", "im:history"}
# Needed by what Slack sends or serves without a call of ours.
_WITHOUT_CALLS = {"app_mentions:read", "commands", "files:read"} | _FOR_READING


def _methods() -> Iterator[str]:
    """The Web API methods that the bot and the surface call, in either way of calling them."""
    for path in [*(_ROOT / "bots" / "slack").glob("*.py"), *(_ROOT / "core" / "surfaces" / "slack").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                yield node.attr.replace("_", ".")
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_the_file_is_what_the_code_means() -> None:
    assert (_ROOT / "manifest.yaml").read_text() == manifest_yaml()


def test_the_scopes_are_those_of_the_calls_and_events() -> None:
    methods = set(_methods())
    needed = {NEEDED[method] for method in methods & NEEDED.keys()}
    if "files_upload_v2" in " ".join(methods).replace(".", "_"):
        needed.add("files:write")
    assert methods & BY_KIND.keys() <= {"conversations.replies"}
    assert set(SCOPES) - _WITHOUT_CALLS <= needed <= set(SCOPES)


def test_slack_would_take_it() -> None:
    for made in (manifest(), manifest(url="https://a.example/slack/events", redirect_url="https://a.example/back")):
        checked = Manifest(made)
        assert checked.is_interactive
        assert checked.scopes == set(SCOPES)
        assert checked.events >= set(EVENTS)
    assert all(why.strip() for why in [*SCOPES.values(), *EVENTS.values()])
