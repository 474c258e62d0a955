"""What other people's services gave us: the model's credential and the way to it, tokens of Slack and Discord.

Only how they look is checked: nothing is spent and nobody is called. Formats are the vendors': https://docs.slack.dev/
authentication/tokens and https://docs.discord.com/developers/reference#authentication. Next: `model_live.py`.
"""

import ipaddress
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from core.errors import Misconfigured
from core.settings import Settings
from threadwork.checks.finding import Finding, bad, good, note
from worker.gateway.credential import VARIABLES, find_credential

_SIGNING_SECRET: Final = re.compile(r"[0-9a-f]{32}")
_DISCORD_TOKEN: Final = re.compile(r"([\w-]{18,})\.[\w-]{5,}\.[\w-]{20,}")


def _text(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


def model(settings: Settings) -> Finding:
    """The credential that the gateway will use."""
    given = {name: _text(getattr(settings, name.lower())) for name in VARIABLES}
    set_ones = [name for name, value in given.items() if value.strip()]
    try:
        find_credential(given)
    except Misconfigured as error:
        return bad("Model", error.words)
    if not set_ones:
        mend = "Set ANTHROPIC_API_KEY to talk to Claude."
        return note("Model", "no credential, so a scripted model answers", mend)
    used = set_ones[0]
    wrong = _wrong_kind(settings, used, given[used].strip())
    if wrong:
        return bad("Model", *wrong)
    where = f" at {urlsplit(settings.anthropic_base_url).hostname}" if settings.anthropic_base_url else ""
    if len(set_ones) > 1:
        return note("Model", f"{used}{where} is used; {' and '.join(set_ones[1:])} is not", "Unset what is not meant.")
    return good("Model", f"{used}{where}")


def _wrong_kind(settings: Settings, name: str, value: str) -> tuple[str, str] | None:
    """What is wrong with how Anthropic's own credential looks, and the mend; other servers' look as they like."""
    if settings.anthropic_base_url and urlsplit(settings.anthropic_base_url).hostname != "api.anthropic.com":
        return None
    if name == "ANTHROPIC_API_KEY" and value.startswith("sk-ant-oat"):
        return "ANTHROPIC_API_KEY holds an OAuth token", "Put it into CLAUDE_CODE_OAUTH_TOKEN."
    if name == "ANTHROPIC_API_KEY" and not value.startswith("sk-ant-"):
        return "ANTHROPIC_API_KEY does not begin with sk-ant-", "Copy it again from https://platform.claude.com"
    if name == "CLAUDE_CODE_OAUTH_TOKEN" and not value.startswith("sk-ant-oat"):
        return "CLAUDE_CODE_OAUTH_TOKEN does not begin with sk-ant-oat", "Make one with: claude setup-token"
    return None


def gateway(settings: Settings) -> Finding:
    """Whether sandboxes can reach the model: over a socket here, else over a public address or with the key inside."""
    public = settings.threadwork_public_url
    if settings.uses_own_sandboxes:
        return _socket(settings)
    if public:
        return _public(settings, public)
    if settings.threadwork_allow_key_in_sandbox:
        return _key_inside(settings)
    mend = (
        "Set THREADWORK_PUBLIC_URL to the gateway's address as sandboxes see it, "
        "for example https://threadwork.example.com/gateway"
    )
    if settings.e2b_api_url and _is_here(settings.e2b_api_url):
        said = "no address of the gateway: only a sandbox server that binds the gateway's socket will do"
        return note("Way to the model", said, mend)
    return bad("Way to the model", "sandboxes elsewhere cannot reach the gateway", mend)


def _socket(settings: Settings) -> Finding:
    for name in ("THREADWORK_PUBLIC_URL", "THREADWORK_ALLOW_KEY_IN_SANDBOX"):
        if getattr(settings, name.lower()):
            return note("Way to the model", f"{name} has no effect: sandboxes here use a socket", f"Unset {name}.")
    return good("Way to the model", "a socket in every sandbox")


def _key_inside(settings: Settings) -> Finding:
    if not settings.has_credential:
        return bad("Way to the model", "the key is allowed in sandboxes, but none is set", "Set ANTHROPIC_API_KEY.")
    said = "agents can read the real key in their sandboxes"
    return note("Way to the model", said, "Set THREADWORK_PUBLIC_URL instead.")


def _public(settings: Settings, public: str) -> Finding:
    is_elsewhere = settings.e2b_api_url is None or not _is_here(settings.e2b_api_url)
    if is_elsewhere and _is_here(public):
        mend = "Set THREADWORK_PUBLIC_URL to an address that the internet knows."
        return bad("Way to the model", f"sandboxes elsewhere cannot reach {public}", mend)
    if public.startswith("http://") and not _is_here(public):
        mend = "Put a TLS proxy before the gateway, and write https://"
        return note("Way to the model", f"{public} carries chats' tokens unencrypted", mend)
    if settings.threadwork_gateway_port is None:
        mend = "Set THREADWORK_GATEWAY_PORT, unless the gateway is a program of its own (as in docker-compose.yml)."
        return note("Way to the model", f"{public}, but `threadwork up` opens no port for it", mend)
    where = f"{settings.threadwork_gateway_host}:{settings.threadwork_gateway_port}"
    return good("Way to the model", f"{public}, served on {where}")


def _is_here(url: str) -> bool:
    """Whether an address means this machine only."""
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def slack(settings: Settings) -> Finding:
    """Slack's tokens: that they go together, and are what they should be."""
    given = {
        "SLACK_BOT_TOKEN": _text(settings.slack_bot_token),
        "SLACK_APP_TOKEN": _text(settings.slack_app_token),
        "SLACK_SIGNING_SECRET": _text(settings.slack_signing_secret),
        "SLACK_CLIENT_ID": settings.slack_client_id or "",
        "SLACK_CLIENT_SECRET": _text(settings.slack_client_secret),
    }
    if not any(given.values()):
        return good("Slack", "not used")
    wrong = _wrong_slack(given, has_port=settings.slack_port is not None)
    if wrong:
        return bad("Slack", *wrong)
    return good("Slack", "socket mode" if given["SLACK_APP_TOKEN"] else f"HTTP on port {settings.slack_port}")


def _wrong_slack(given: Mapping[str, str], *, has_port: bool) -> tuple[str, str] | None:
    bot, app, signing, client, client_secret = given.values()
    by_http = not app
    pages = "on your app's page at https://api.slack.com/apps"
    wrong = [
        (
            bot and not bot.startswith("xoxb-"),
            "SLACK_BOT_TOKEN does not begin with xoxb-",
            f"Copy it from OAuth & Permissions {pages}.",
        ),
        (
            app and not app.startswith("xapp-"),
            "SLACK_APP_TOKEN does not begin with xapp-",
            f"Copy it from Basic Information, App-Level Tokens {pages}.",
        ),
        (
            signing and not _SIGNING_SECRET.fullmatch(signing),
            "SLACK_SIGNING_SECRET is not 32 hexadecimal digits",
            f"Copy it from Basic Information {pages}.",
        ),
        (
            bool(client) != bool(client_secret),
            "SLACK_CLIENT_ID and SLACK_CLIENT_SECRET go together",
            "Set both, or neither.",
        ),
        (
            not bot and not client,
            "SLACK_BOT_TOKEN is missing",
            f"Copy it from OAuth & Permissions {pages}.",
        ),
        (
            by_http and not signing,
            "nothing says how events come in",
            "Set SLACK_APP_TOKEN, or SLACK_SIGNING_SECRET and SLACK_PORT for HTTP.",
        ),
        (
            by_http and not has_port,
            "SLACK_PORT is missing",
            "Set the port that Slack's requests reach, for example SLACK_PORT=3000.",
        ),
    ]
    return next(((said, mend) for is_so, said, mend in wrong if is_so), None)


def discord(settings: Settings) -> Finding:
    """Discord's token: the bot's number in base64, a time, and a signature."""
    token = _text(settings.discord_token)
    if not token:
        return good("Discord", "not used")
    mend = "Reset and copy it from the Bot page of your app at https://discord.com/developers/applications"
    if token.lower().startswith("bot "):
        return bad("Discord", "DISCORD_TOKEN begins with Bot", "Leave that word out.")
    parts = _DISCORD_TOKEN.fullmatch(token)
    try:
        number = urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)) if parts else b""
    except ValueError:
        number = b""
    if not number.isdigit():
        return bad("Discord", "DISCORD_TOKEN does not look like a bot's token", mend)
    return good("Discord", f"bot {number.decode()}")
