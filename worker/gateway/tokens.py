"""What a sandbox holds instead of a key: a token good for its own chat, checked without a database.

The token names its chat and carries an HMAC over the name, so any worker with the same secret can check it, and
nobody else can make one. It is all that a sandbox can leak. Next: `proxy.py`.
"""

import base64
import hashlib
import hmac

PREFIX = "tw-"
LONGEST_CHAT_ID = 512


def mint_token(secret: bytes, chat_id: str) -> str:
    """The token of a chat, the same each time. ValueError for a chat id that cannot stand in a header."""
    if not chat_id or len(chat_id) > LONGEST_CHAT_ID or not _is_header_safe(chat_id):
        raise ValueError(f"a chat id in a token must be printable ASCII without spaces, not {chat_id!r}")
    return f"{PREFIX}{chat_id}.{_signature(secret, chat_id)}"


def verify_token(secret: bytes, token: str) -> str | None:
    """The chat a token is good for, or None when it was not made with this secret; takes constant time."""
    chat_id, dot, signature = token.removeprefix(PREFIX).rpartition(".")
    if not token.startswith(PREFIX) or not dot or len(chat_id) > LONGEST_CHAT_ID or not _is_header_safe(token):
        return None
    return chat_id if hmac.compare_digest(signature, _signature(secret, chat_id)) else None


def _signature(secret: bytes, chat_id: str) -> str:
    digest = hmac.digest(secret, f"gateway:{chat_id}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _is_header_safe(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text
