"""Sign in with Slack, the part that browsers see: who is at the browser, and the page that sends it back at once.

https://docs.slack.dev/authentication/sign-in-with-slack. The rest is in `web_api/openid.py`.
"""

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from aiohttp import web

from tests.doubles.slack.store import JSON, User

if TYPE_CHECKING:
    from tests.doubles.slack.web_api.request import World


@dataclass(slots=True)
class SignIns:
    """Sign-ins of one double. `redirect_uris` are those the app registered; `claims` change the ID tokens given out."""

    redirect_uris: list[str] = field(default_factory=list)
    at_browser: User | None = None
    denies: bool = False
    claims: JSON = field(default_factory=dict)
    codes: dict[str, JSON] = field(default_factory=dict)

    def new_code(self, user: User, asked: JSON, at: float) -> str:
        """A code as the page gives it for somebody who said yes."""
        code = f"{user.team}.{secrets.token_hex(8)}"
        self.codes[code] = {**asked, "user": user, "at": at, "is_used": False}
        return code


def page_of(world: "World") -> web.RouteDef:
    """The page behind "Sign in with Slack"."""

    async def authorize(request: web.Request) -> web.Response:
        sign_ins, asked = world.sign_ins, dict(request.query)
        wrong = _wrong(world, asked)
        if wrong:
            world.record.broke(wrong, "openid/connect/authorize", str(asked))
            return web.Response(status=400, text=f"Something went wrong when authorizing this app: {wrong}")
        if sign_ins.at_browser is None:
            return web.Response(text="Sign in to your workspace")
        back = {"state": asked.get("state", "")}
        if sign_ins.denies:
            back["error"] = "access_denied"
        else:
            back["code"] = sign_ins.new_code(sign_ins.at_browser, asked, world.store.clock.now())
        return web.Response(status=302, headers={"Location": f"{asked['redirect_uri']}?{urlencode(back)}"})

    return web.get("/openid/connect/authorize", authorize)


def _wrong(world: "World", asked: JSON) -> str:
    if asked.get("client_id") != world.options.client_id:
        return "invalid_client_id"
    if asked.get("redirect_uri") not in world.sign_ins.redirect_uris:
        return "bad_redirect_uri"
    if asked.get("response_type") != "code":
        return "invalid_response_type"
    if "openid" not in asked.get("scope", "").split():
        return "invalid_scope"
    return "" if asked.get("state") and asked.get("nonce") else "no_state_or_nonce"
