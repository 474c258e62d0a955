"""Sign in with Slack, the part that servers see: openid.connect.*."""

import base64
import json
import secrets

from tests.doubles.slack.errors import SlackError
from tests.doubles.slack.store import JSON, Token, User
from tests.doubles.slack.web_api.request import Request

CODE_SECONDS = 600


def token(call: Request) -> JSON:
    world, args = call.world, call.args
    if args.get("client_id") != world.options.client_id:
        raise SlackError("invalid_client_id", is_violation=True)
    if args.get("client_secret") != world.options.client_secret:
        raise SlackError("bad_client_secret", is_violation=True)
    if args.get("grant_type") != "authorization_code":
        raise SlackError("invalid_grant_type")
    code = world.sign_ins.codes.get(str(args.get("code")))
    if code is None or world.store.clock.now() - code["at"] > CODE_SECONDS:
        raise SlackError("invalid_code")
    if code["is_used"]:
        raise SlackError("code_already_used")
    if args.get("redirect_uri") != code["redirect_uri"]:
        raise SlackError("bad_redirect_uri")
    code["is_used"] = True
    made = Token(f"xoxp-{code['user'].team}-{secrets.token_hex(8)}", code["user"].team, user=code["user"].id)
    world.store.tokens[made.value] = made
    return {"access_token": made.value, "token_type": "Bearer", "id_token": _id_token(call, code)}


def _id_token(call: Request, code: JSON) -> str:
    now = int(call.world.store.clock.now())
    claims = {
        "iss": call.world.origin,
        "aud": call.world.options.client_id,
        "exp": now + 300,
        "iat": now,
        "auth_time": now,
        "nonce": code["nonce"],
        "at_hash": "made-up",
        **_told(code["user"]),
        **call.world.sign_ins.claims,
    }
    parts = ({"typ": "JWT", "alg": "RS256", "kid": "made-up"}, claims, "made-up")
    return ".".join(base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in parts)


def user_info(call: Request) -> JSON:
    assert call.token is not None
    return _told(call.team.user(str(call.token.user)))


def _told(user: User) -> JSON:
    return {
        "sub": user.id,
        "https://slack.com/user_id": user.id,
        "https://slack.com/team_id": user.team,
        "name": user.real_name,
        "given_name": user.name,
        "locale": "en-US",
    }


METHODS = {"openid.connect.token": token, "openid.connect.userInfo": user_info}
