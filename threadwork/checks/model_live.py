"""Asks the model's server for its list of models: whether it is there, and takes the credential. Nothing is spent.

Without a credential, or with one that looks wrong, nobody is asked. It goes the gateway's way, with the gateway's
headers: https://docs.claude.com/en/api/models-list. Next: `accounts.py`, how credentials look.
"""

import asyncio
import ssl
from dataclasses import replace
from typing import Final

import aiohttp
from yarl import URL

from core.settings import Settings
from threadwork.checks.accounts import model
from threadwork.checks.finding import Finding, Level, bad, note
from worker.gateway.app import DEFAULT_UPSTREAM, outbound_proxy
from worker.gateway.credential import VARIABLES, Credential, find_credential

_ASK_S: Final = 20.0
_AGAIN: Final = "Look at your network and at https://status.claude.com, and ask again."


async def model_live(settings: Settings) -> Finding:
    """The credential, and what the server at its address says to it."""
    looks = model(settings)
    given = {name: getattr(settings, name.lower()) for name in VARIABLES}
    credential = None
    if looks.level is not Level.BAD:
        credential = find_credential({name: one.get_secret_value() for name, one in given.items() if one})
    if credential is None:
        return looks
    base = URL(settings.anthropic_base_url or DEFAULT_UPSTREAM)
    # Without what may stand before the host: a name and a password.
    where = f"{base.host}:{base.port}" if settings.anthropic_base_url else str(base.host)
    try:
        async with asyncio.timeout(_ASK_S):
            status = await _ask(base, credential)
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        mend = "Check ANTHROPIC_BASE_URL, and that the server runs." if settings.anthropic_base_url else _AGAIN
        return bad("Model", f"{where} does not answer: {_why(error)}", mend)
    return _heard(looks, where, credential, status)


async def _ask(base: URL, credential: Credential) -> int:
    """The status that the server answers with."""
    headers = {"anthropic-version": "2023-06-01"}
    credential.put_into(headers)
    url = URL(f"{str(base).rstrip('/')}/v1/models?limit=1", encoded=True)
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.get(url, headers=headers, allow_redirects=False, proxy=outbound_proxy(base)) as answer,
    ):
        return answer.status


def _why(error: Exception) -> str:
    """What went wrong, without the address, which may hold a password."""
    match error:
        case TimeoutError():
            return f"nothing within {_ASK_S:.0f} s"
        case aiohttp.ClientConnectorCertificateError() | ssl.SSLError():
            return "its certificate is not one that this machine trusts"
        case OSError(strerror=str(words)):
            return words
        case _:
            return type(error).__name__


def _heard(looks: Finding, where: str, credential: Credential, status: int) -> Finding:
    name = next(name for name, kind in VARIABLES.items() if kind == credential.kind)
    # The token of a subscription may be for messages alone, and not for the list.
    if status == 401 or (status == 403 and credential.kind != "oauth_token"):
        return bad("Model", f"{where} refuses {name} ({status})", f"Copy {name} again, or make a new one.")
    if status == 403:
        mend = "If chats are refused, too, make a new one with: claude setup-token"
        return note("Model", f"{where} does not list its models for {name} (403)", mend)
    if status >= 500:
        return note("Model", f"{name}; {where} answers, but with {status}", "Ask again in a while.")
    return replace(looks, said=f"{looks.said}; {where} answers")
