"""The one secret of an installation, and what is made with it.

Tokens of chats are signed with it, stored credentials encrypted. It comes from THREADWORK_SECRET_KEY, or is made
once and kept in the data folder, readable by its owner only.
"""

import base64
import binascii
import os
import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.errors import Misconfigured

SECRET_BYTES: Final = 32
FILE: Final = "secret.key"
_NONCE_BYTES: Final = 12


def decode_secret(text: str) -> bytes:
    """Read a secret as the environment holds it. Raises `Misconfigured`."""
    try:
        secret = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise Misconfigured(
            "THREADWORK_SECRET_KEY must be 32 bytes in base64. "
            "Example: THREADWORK_SECRET_KEY=$(openssl rand -base64 32)"
        )
    return secret


def encode_secret(secret: bytes) -> str:
    """A secret as the environment holds it."""
    return base64.b64encode(secret).decode()


def find_secret(given: str | None, data_dir: Path) -> bytes:
    """The installation's secret: the given one, else the data folder's, made on first use with mode 0600.

    Raises `Misconfigured` for a wrong one, or a file that others can read.
    """
    if given:
        return decode_secret(given)
    path = data_dir / FILE
    data_dir.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if path.stat().st_mode & 0o077:
            raise Misconfigured(f"{path} can be read by others. Make it yours alone: chmod 600 {path}") from None
        return decode_secret(path.read_text())
    with os.fdopen(handle, "w") as file:
        made = secrets.token_bytes(SECRET_BYTES)
        file.write(encode_secret(made) + "\n")
    return made


def encrypt(secret: bytes, text: str, where: str) -> bytes:
    """Encrypt a text for one place: `where` names its row and column, and it opens nowhere else."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(secret).encrypt(nonce, text.encode(), where.encode())


def decrypt(secret: bytes, sealed: bytes, where: str) -> str:
    """Open what `encrypt` sealed for `where`. Raises `Misconfigured` when the secret is another one now."""
    try:
        return AESGCM(secret).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], where.encode()).decode()
    except InvalidTag as error:
        raise Misconfigured(
            "A stored secret cannot be opened: THREADWORK_SECRET_KEY is not the one it was stored with."
        ) from error
