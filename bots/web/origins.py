"""Which requests come from our own pages. Pure.

A browser says with every request where it comes from (Sec-Fetch-Site, Origin), and nobody's script can change that:
https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Sec-Fetch-Site. So no form needs a token. The name that
a request was sent to is checked as well: a stranger's name that leads to this machine (DNS rebinding) gets nothing.
"""

import ipaddress
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

SAFE: Final = frozenset({"GET", "HEAD"})


def is_our_name(host: str, public_url: str | None, bound: str) -> bool:
    """Whether a request to `host`, as its Host header says, is meant for us.

    `public_url` is the address people type, if there is one; `bound` what the server listens on.
    """
    name = _name_of(host)
    if name is None:
        return False
    if public_url is not None:
        return host.lower() == urlsplit(public_url).netloc.lower()
    return name == "localhost" or name == bound.lower() or _is_loopback(name)


def is_ours(method: str, headers: Mapping[str, str], origin: str) -> bool:
    """Whether a request may do what it asks for. `origin`: our own, `https://threadwork.example.com`.

    What changes something comes from a page of ours, and says so. What only looks may come by a link from anywhere,
    but not from within another site's page.
    """
    site, sent_from = headers.get("Sec-Fetch-Site"), headers.get("Origin")
    if method in SAFE:
        is_visit = headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"
        return site in (None, "same-origin", "none") or is_visit
    if site not in (None, "same-origin") or (site is None and sent_from is None):
        return False
    return sent_from is None or sent_from.lower() == origin.lower()


def _name_of(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
