"""The session's cookie: its id and key, encrypted, so that it says nothing to who reads it.

On https its name begins with `__Host-`, which browsers take from this very host and for all of it only. Pure.
"""

import base64
import binascii
import json
from typing import Final
from uuid import UUID

from core.crypto import decrypt, encrypt
from core.errors import Misconfigured

_WHERE: Final = "web.session"
# A sealed cookie is some 200 characters; what is far longer is none of ours.
_LONGEST: Final = 1000


def name_of(*, is_secure: bool) -> str:
    """What the cookie is called."""
    return "__Host-threadwork" if is_secure else "threadwork"


def seal(secret: bytes, session_id: UUID, key: str) -> str:
    """A cookie's value."""
    sealed = encrypt(secret, json.dumps([session_id.hex, key]), _WHERE)
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def unseal(secret: bytes, value: str) -> tuple[UUID, str] | None:
    """The session's id and key; None for what we did not seal."""
    if len(value) > _LONGEST:
        return None
    try:
        sealed = base64.urlsafe_b64decode(value.encode("ascii") + b"=" * (-len(value) % 4))
        session_id, key = json.loads(decrypt(secret, sealed, _WHERE))
        return UUID(hex=session_id), str(key)
    except (binascii.Error, UnicodeEncodeError, ValueError, TypeError, Misconfigured):
        return None
