"""Files of ours in Discord: an attachment in a post of its own, pictures to look at and the rest to download.

Discord changes a file's name where it is not plain ASCII, and then no component may call it by the other one; so it
gets a plain one here, and the true one is said beside it. Next: `client.py`.
"""

import re
from typing import Final

from core.domain.attachment import size_words
from core.ports import Payload
from core.surfaces.discord.components import attached, context, picture, post
from core.surfaces.discord.escaping import escape

_PICTURES: Final = (".png", ".jpg", ".jpeg", ".gif", ".webp")
_ODD: Final = re.compile(r"[^A-Za-z0-9._-]+")


def render_file(name: str, data: bytes) -> Payload:
    """A file's post: its name and size, and the file."""
    plain = _plain(name)
    shown = picture(plain) if plain.lower().endswith(_PICTURES) else attached(plain)
    made = post([context(f"{escape(name)} · {size_words(len(data))}"), shown], {plain: data})
    return Payload(made.body, made.files, is_file=True)


def _plain(name: str) -> str:
    stem, dot, ending = _ODD.sub("_", name).rpartition(".")
    return f"{stem.strip('._') or 'file'}{dot}{ending}" if dot else ending.strip("._") or "file"
