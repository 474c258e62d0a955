"""The one secret of an installation, and what is made with it.

Tokens of chats are signed with it, stored credentials encrypted. It comes from THREADWORK_SECRET_KEY, or is made
once and kept in the data folder, readable by its owner only.
"""

import base64
import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.errors import Misconfigured

SECRET_BYTES: Final = 32
FILE: Final = "secret.key"
_NONCE_BYTES: Final = 12


def decode_secret(text: str, where: str = "THREADWORK_SECRET_KEY") -> bytes:
    """Read a secret as the environment holds it. Raises `Misconfigured`, which says `where` it stands."""
    try:
        secret = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise Misconfigured(
            f"{where} must be 32 bytes in base64. Example: THREADWORK_SECRET_KEY=$(head -c 32 /dev/urandom | base64)"
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
    try:
        if not path.exists():
            data_dir.mkdir(parents=True, exist_ok=True)
            _make(path)
        if path.stat().st_mode & 0o077:
            raise Misconfigured(f"{path} can be read by others. Make it yours alone: chmod 600 {path}")
        text = path.read_text(errors="replace")
    except OSError as error:
        what = f"{error.filename or path} cannot be used: {error.strerror}."
        raise Misconfigured(f"{what} Look at THREADWORK_DATA_DIR={data_dir}, or set THREADWORK_SECRET_KEY.") from error
    return decode_secret(text, f"What {path} holds")


def _make(path: Path) -> None:
    """Write a new secret, whole or not at all: of several programs that start at once, one puts its own there."""
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(encode_secret(secrets.token_bytes(SECRET_BYTES)) + "\n")
            file.flush()
            os.fsync(handle)
        with suppress(FileExistsError):
            path.hardlink_to(part)
    finally:
        Path(part).unlink()


def encrypt(secret: bytes, text: str, where: str) -> bytes:
    """Encrypt a text for one place: `where` names its row and column, and it opens nowhere else."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(secret).encrypt(nonce, text.encode(), where.encode())


def decrypt(secret: bytes, sealed: bytes, where: str) -> str:
    """Open what `encrypt` sealed for `where`. Raises `Misconfigured` when the secret is another one now."""
    try:
        return AESGCM(secret).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], where.encode()).decode()
    except (InvalidTag, ValueError) as error:
        raise Misconfigured(
            "A stored secret cannot be opened: THREADWORK_SECRET_KEY is not the one it was stored with. "
            "Set the old one again, or store the secret anew."
        ) from error
