"""views.*: modals and the home tab. A modal opens on a trigger, and at most three lie on each other."""

from tests.doubles.slack import payloads
from tests.doubles.slack.block_rules import check_view
from tests.doubles.slack.errors import SlackError
from tests.doubles.slack.posting import Posting
from tests.doubles.slack.store import JSON, Store, Team, View
from tests.doubles.slack.web_api.request import Request

STACK = 3


def stack(team: Team, root: str) -> list[View]:
    """The open modals over one root, lowest first."""
    return [one for one in team.views.values() if one.root == root and one.is_open]


def put(posting: Posting, team: Team, user: str, body: JSON, below: View | None = None) -> View:
    """Show a modal, over another one or alone."""
    if below is not None and len(stack(team, below.root)) >= STACK:
        raise SlackError("push_limit_reached")
    store = posting.store
    number = store.new_id("V")
    one = View(number, user, named(posting, body), new_hash(store), below.root if below else number)
    if below is None:
        for other in team.views.values():
            if other.user == user:
                other.is_open = False
    else:
        one.previous = below.id
    external = body.get("external_id")
    if external and any(other.body.get("external_id") == external for other in team.views.values() if other.is_open):
        raise SlackError("duplicate_external_id")
    team.views[number] = one
    return one


def named(posting: Posting, body: JSON) -> JSON:
    return body | {"blocks": posting.named(body["blocks"])}


def new_hash(store: Store) -> str:
    return f"{store.clock.ts()}.made-up"


def _modal(call: Request) -> JSON:
    body = check_view(call.args["view"])
    if body["type"] != "modal":
        raise SlackError("invalid_arguments", "only a modal can be opened")
    return body


def _trigger_id(call: Request) -> object:
    found = call.args.get("trigger_id") or call.args.get("interactivity_pointer")
    if not found:
        raise SlackError("invalid_arguments", "missing required field: trigger_id")
    return found


def open_view(call: Request) -> JSON:
    body = _modal(call)
    trigger = call.world.triggers.use(_trigger_id(call), call.team)
    one = put(call.world.posting, call.team, trigger.user.id, body)
    return {"view": payloads.view(one, call.team)}


def push(call: Request) -> JSON:
    body = _modal(call)
    trigger = call.world.triggers.use(_trigger_id(call), call.team)
    below = call.team.views.get(trigger.view or "")
    if below is None:
        raise SlackError("not_found")
    one = put(call.world.posting, call.team, trigger.user.id, body, below)
    return {"view": payloads.view(one, call.team)}


def update(call: Request) -> JSON:
    body = check_view(call.args["view"])
    number, external = call.args.get("view_id"), call.args.get("external_id")
    if not number and not external:
        raise SlackError("invalid_arguments", "missing required field: view_id")
    found = call.team.views.get(str(number)) or next(
        (one for one in call.team.homes.values() if one.id == number), None
    )
    if found is None and external:
        found = next((one for one in call.team.views.values() if one.body.get("external_id") == external), None)
    if found is None or not found.is_open:
        raise SlackError("not_found")
    if call.args.get("hash") and call.args["hash"] != found.hash:
        raise SlackError("hash_conflict")
    found.body, found.hash = named(call.world.posting, body), new_hash(call.world.store)
    return {"view": payloads.view(found, call.team)}


def publish(call: Request) -> JSON:
    body = check_view(call.args["view"])
    if body["type"] != "home":
        raise SlackError("invalid_arguments", "only a home view can be published")
    user = call.team.user(call.args["user_id"])
    before = call.team.homes.get(user.id)
    if call.args.get("hash") and before is not None and call.args["hash"] != before.hash:
        raise SlackError("hash_conflict")
    number = before.id if before else call.world.store.new_id("V")
    kept = named(call.world.posting, body)
    one = View(number, user.id, kept, new_hash(call.world.store), number)
    call.team.homes[user.id] = one
    return {"view": payloads.view(one, call.team)}


METHODS = {"views.open": open_view, "views.publish": publish, "views.push": push, "views.update": update}
