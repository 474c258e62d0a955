"""Who is calling and who may: auth.*, oauth.v2.access, apps.connections.open, users, team, bots."""

import secrets

from tests.doubles.slack import payloads
from tests.doubles.slack.errors import SlackError
from tests.doubles.slack.store import JSON, Store, Team, Token
from tests.doubles.slack.web_api.request import Request, World, paged

TOKEN_SECONDS = 43_200


def new_token(store: Store, team: Team, *, expires_in: float | None = None) -> Token:
    """An access token for one workspace."""
    letters = "xoxb" if expires_in is None else "xoxe.xoxb-1"
    value = f"{letters}-{team.id}-{secrets.token_hex(8)}"
    made = Token(value, team.id, None if expires_in is None else store.clock.now() + expires_in)
    store.tokens[value] = made
    return made


def auth_test(call: Request) -> JSON:
    return {
        "url": f"https://{call.team.name.lower()}.slack.com/",
        "team": call.team.name,
        "user": call.team.bot.name,
        "team_id": call.team.id,
        "user_id": call.team.bot.id,
        "bot_id": call.team.bot.bot_id,
        "is_enterprise_install": False,
    }


def auth_revoke(call: Request) -> JSON:
    assert call.token is not None
    call.token.is_revoked = True
    return {"revoked": True}


def connections_open(call: Request) -> JSON:
    socket = call.world.origin.replace("http", "ws", 1)
    return {"url": f"{socket}/link/?ticket={call.world.triggers.ticket()}&app_id={payloads.APP_ID}"}


def oauth_access(call: Request) -> JSON:
    world, args = call.world, call.args
    if args.get("client_id") != world.options.client_id:
        raise SlackError("invalid_client_id")
    if args.get("client_secret") != world.options.client_secret:
        raise SlackError("bad_client_secret")
    if args.get("grant_type") == "refresh_token":
        team_id = world.refresh_tokens.pop(str(args.get("refresh_token")), None)
        if team_id is None:
            raise SlackError("invalid_refresh_token")
        return _granted(world, world.store.teams[team_id])
    code = world.codes.get(str(args.get("code")))
    if code is None:
        raise SlackError("invalid_code")
    if code["is_used"]:
        raise SlackError("code_already_used")
    if world.store.clock.now() - code["at"] > 600:
        raise SlackError("invalid_code")
    if (code.get("redirect_uri") or None) != (args.get("redirect_uri") or code.get("redirect_uri") or None):
        raise SlackError("bad_redirect_uri")
    code["is_used"] = True
    team = world.store.teams[code["team"]]
    team.is_installed = True
    return _granted(world, team) | {"authed_user": {"id": code["user"]}}


def _granted(world: World, team: Team) -> JSON:
    rotates = world.options.rotates_tokens
    token = new_token(world.store, team, expires_in=TOKEN_SECONDS if rotates else None)
    answer: JSON = {
        "access_token": token.value,
        "token_type": "bot",
        "scope": ",".join(sorted(team.scopes)),
        "bot_user_id": team.bot.id,
        "app_id": payloads.APP_ID,
        "team": {"id": team.id, "name": team.name},
        "enterprise": None,
        "is_enterprise_install": False,
    }
    if rotates:
        refresh = f"xoxe-1-{secrets.token_hex(8)}"
        world.refresh_tokens[refresh] = team.id
        answer |= {"refresh_token": refresh, "expires_in": TOKEN_SECONDS}
    return answer


def users_info(call: Request) -> JSON:
    return {"user": payloads.user(call.team.user(call.args["user"]))}


def users_list(call: Request) -> JSON:
    rows, more = paged([payloads.user(one) for one in call.team.users.values()], call.args, most=1000, default=100)
    return {"members": rows, "response_metadata": more["response_metadata"]}


def team_info(call: Request) -> JSON:
    team = call.team
    return {"team": {"id": team.id, "name": team.name, "domain": team.name.lower(), "email_domain": "", "icon": {}}}


def bots_info(call: Request) -> JSON:
    wanted = call.args.get("bot") or call.team.bot.bot_id
    found = next((one for one in call.team.users.values() if one.bot_id == wanted), None)
    if found is None:
        raise SlackError("bot_not_found")
    return {"bot": payloads.bot_profile(found, payloads.APP_ID)}


METHODS = {
    "apps.connections.open": connections_open,
    "auth.revoke": auth_revoke,
    "auth.test": auth_test,
    "bots.info": bots_info,
    "oauth.v2.access": oauth_access,
    "team.info": team_info,
    "users.info": users_info,
    "users.list": users_list,
}
