"""The cookie of one try to sign in through a platform: its words, encrypted, for ten minutes.

Who comes back without it began in another browser, and gets nothing. Pure. Next: `vouched.py`.
"""

import base64
import binascii
import json
from typing import Final

from core.crypto import decrypt, encrypt
from core.domain.chat import Platform
from core.errors import Misconfigured
from core.ports import Knock

GOOD_S: Final = 600
_WHERE: Final = "web.knock"
_LONGEST: Final = 1000


def name_of(*, is_secure: bool) -> str:
    """What the cookie is called."""
    return "__Host-threadwork-knock" if is_secure else "threadwork-knock"


def seal(secret: bytes, platform: Platform, knock: Knock, now: float) -> str:
    """A cookie's value, good from `now` on, in seconds since the epoch."""
    body = [platform.value, knock.state, knock.nonce, knock.verifier, now + GOOD_S]
    return base64.urlsafe_b64encode(encrypt(secret, json.dumps(body), _WHERE)).decode().rstrip("=")


def unseal(secret: bytes, value: str, platform: Platform, now: float) -> Knock | None:
    """The words of a try through this platform; None for what is too old, for another platform, or none of ours."""
    if len(value) > _LONGEST:
        return None
    try:
        sealed = base64.urlsafe_b64decode(value.encode("ascii") + b"=" * (-len(value) % 4))
        kind, state, nonce, verifier, until = json.loads(decrypt(secret, sealed, _WHERE))
    except (binascii.Error, UnicodeEncodeError, ValueError, TypeError, Misconfigured):
        return None
    return Knock(state, nonce, verifier) if kind == platform.value and now < until else None
