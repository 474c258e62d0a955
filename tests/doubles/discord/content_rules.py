"""The rules of a message: lengths, embeds, files, flags, nonces, mentions. Pure: values in, problems out.

Limits are those of https://docs.discord.com/developers/resources/message. `posting.py` refuses what fails here.
"""

import re
from dataclasses import dataclass
from typing import Any

from tests.doubles.discord.component_rules import Checks, check_components
from tests.doubles.discord.errors import Problem, request_too_large
from tests.doubles.discord.permissions import may
from tests.doubles.discord.world import EPHEMERAL, JSON, V2, Channel, GuildState, Message, User, visible_text, walk

MIB = 1024 * 1024
FILE_LIMITS = (10 * MIB, 10 * MIB, 50 * MIB, 100 * MIB)  # of a server's boost levels; the first everywhere else
REQUEST_LIMIT = 25 * MIB
_CREATE_FLAGS = (1 << 2) | (1 << 12) | V2
_EDIT_FLAGS = (1 << 2) | V2
_EMBED_TEXTS = (("title", 256), ("description", 4096))
_CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
_MENTION = re.compile(r"@everyone|@here|<@!?(\d+)>|<@&(\d+)>")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a multipart request: `files[n]`."""

    index: int
    filename: str
    content: bytes
    content_type: str | None = None


def file_limit(guild: GuildState | None) -> int:
    """How many bytes a file may have in this server, or in direct messages."""
    return FILE_LIMITS[guild.premium_tier if guild else 0]


def refuse_large(channel: Channel, uploads: list[Upload]) -> None:
    most = file_limit(channel.guild)
    sizes = [len(one.content) for one in uploads]
    if max(sizes, default=0) > most or sum(sizes) > max(REQUEST_LIMIT, most):
        raise request_too_large()


def check_message(
    body: JSON, uploads: list[Upload], *, editing: Message | None = None, by_interaction: bool = False
) -> list[Problem]:
    """Every rule this message (or edit) breaks, judged on how it would look afterwards."""
    checks = Checks()
    old = editing
    content = body.get("content", old.content if old else None)
    embeds = (body.get("embeds") or []) if "embeds" in body else (old.embeds if old else [])
    components = (body.get("components") or []) if "components" in body else (old.components if old else [])
    v2 = bool((body.get("flags") or 0) & V2 or (old and old.flags & V2))

    checks.length(("content",), content, 2000)
    _flags(checks, body, old, by_interaction=by_interaction)
    _embeds(checks, embeds)
    checks.problems += check_components(components, v2=v2)
    if v2:
        for name, value in (("content", content), ("embeds", embeds)):
            if value:
                checks.add(
                    (name,),
                    "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
                    f"The '{name}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2",
                )
        if not components:
            checks.add(("components",), "BASE_TYPE_REQUIRED", "A message of components needs one.")
    _files(checks, body, uploads, components=components, old=old, v2=v2)
    _nonce(checks, body)
    _allowed_mentions(checks, body.get("allowed_mentions"))
    return checks.problems


def is_empty(body: JSON, uploads: list[Upload]) -> bool:
    return not (body.get("content") or body.get("embeds") or body.get("components") or uploads or body.get("poll"))


def _flags(checks: Checks, body: JSON, old: Message | None, *, by_interaction: bool) -> None:
    flags = body.get("flags")
    if flags is None:
        return
    allowed = _EDIT_FLAGS if old else _CREATE_FLAGS
    if by_interaction:
        allowed |= EPHEMERAL
    if flags & ~allowed:
        checks.add(("flags",), "BASE_TYPE_CHOICES", f"Flags {flags & ~allowed} cannot be set here.")
    if old and old.flags & V2 and not flags & V2:
        checks.add(("flags",), "MESSAGE_CANNOT_REMOVE_COMPONENTS_V2_FLAG", "IS_COMPONENTS_V2 cannot be removed.")


def _embeds(checks: Checks, embeds: Any) -> None:
    total = 0
    for index, embed in enumerate(checks.count(("embeds",), embeds, 0, 10)):
        here = ("embeds", str(index))
        for name, most in _EMBED_TEXTS:
            checks.length((*here, name), embed.get(name), most)
            total += len(embed.get(name) or "")
        footer, author = embed.get("footer") or {}, embed.get("author") or {}
        checks.length((*here, "footer", "text"), footer.get("text"), 2048)
        checks.length((*here, "author", "name"), author.get("name"), 256)
        total += len(footer.get("text") or "") + len(author.get("name") or "")
        for number, row in enumerate(checks.count((*here, "fields"), embed.get("fields") or [], 0, 25)):
            checks.length((*here, "fields", str(number), "name"), row.get("name"), 256, least=1, required=True)
            checks.length((*here, "fields", str(number), "value"), row.get("value"), 1024, least=1, required=True)
            total += len(row.get("name") or "") + len(row.get("value") or "")
    if total > 6000:
        checks.add(("embeds",), "MAX_EMBED_SIZE_EXCEEDED", "Embed size exceeds maximum size of 6000")


def _files(
    checks: Checks, body: JSON, uploads: list[Upload], *, components: list[JSON], old: Message | None, v2: bool
) -> None:
    kept = {one.id for one in old.attachments} if old else set()
    if "attachments" in body and body["attachments"] is not None:
        indexes = {str(upload.index) for upload in uploads}
        for number, row in enumerate(body["attachments"]):
            if str(row.get("id")) not in indexes | kept:
                checks.add(
                    ("attachments", str(number), "id"), "ATTACHMENT_NOT_FOUND", "No file was sent for this attachment."
                )
        kept &= {str(row.get("id")) for row in body["attachments"]}
    if len(uploads) + len(kept) > 10:
        checks.add(("attachments",), "BASE_TYPE_MAX_LENGTH", "Must be 10 or fewer in length.")
    names = {upload.filename for upload in uploads} | {
        one.filename for one in (old.attachments if old else []) if one.id in kept
    }
    used = set()
    for part in walk(components):
        for media in [part.get("file"), part.get("media"), *[item.get("media") for item in part.get("items") or []]]:
            url = media.get("url", "") if isinstance(media, dict) else ""
            if url.startswith("attachment://"):
                used.add(url.removeprefix("attachment://"))
    for name in used - names:
        checks.add(
            ("components",),
            "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND",
            f"The referenced attachment '{name}' was not found",
        )
    # In a message of components only what a component names is shown: such a file is sent for nothing.
    for upload in uploads if v2 else []:
        if upload.filename not in used:
            checks.add(("attachments",), "ATTACHMENT_NOT_SHOWN", f"No component shows '{upload.filename}'.")


def _nonce(checks: Checks, body: JSON) -> None:
    nonce = body.get("nonce")
    if nonce is not None and len(str(nonce)) > 25:
        checks.add(("nonce",), "NONCE_TYPE_TOO_LONG", "Nonce must be 25 or fewer in length.")
    if body.get("enforce_nonce") and nonce is None:
        checks.add(("nonce",), "BASE_TYPE_REQUIRED", "enforce_nonce needs a nonce.")


def _allowed_mentions(checks: Checks, allowed: Any) -> None:
    if not allowed:
        return
    here = ("allowed_mentions",)
    parse = allowed.get("parse") or []
    for kind in parse:
        if kind not in {"roles", "users", "everyone"}:
            checks.add((*here, "parse"), "BASE_TYPE_CHOICES", "Value must be one of ('roles', 'users', 'everyone').")
    for kind in ("users", "roles"):
        checks.count((*here, kind), allowed.get(kind) or [], 0, 100)
        if kind in parse and allowed.get(kind):
            checks.add(
                (*here, kind),
                "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
                f'parse:["{kind}"] and {kind}: [ids...] are mutually exclusive.',
            )


def mention_marks(content: str, components: list[JSON]) -> list[re.Match[str]]:
    """Every mark that could ping; code is not read for them, embeds never ping."""
    return list(_MENTION.finditer(_CODE.sub("", visible_text(content, [], components))))


@dataclass(frozen=True, slots=True)
class Mentions:
    users: list[str]
    roles: list[str]
    everyone: bool
    pings: list[str]


def resolve_mentions(channel: Channel, author: User, body: JSON, reply_to: Message | None) -> Mentions:
    """Who a text mentions and whom it pings, under allowed_mentions (absent: everybody it can)."""
    allowed = body.get("allowed_mentions")
    parse = {"users", "roles", "everyone"} if allowed is None else set(allowed.get("parse") or [])
    named = {kind: [str(one) for one in (allowed or {}).get(kind) or []] for kind in ("users", "roles")}
    users: list[str] = []
    roles: list[str] = []
    pings: list[str] = []
    everyone = False
    for mark in mention_marks(body.get("content") or "", body.get("components") or []):
        user, role = mark.groups()
        if user and ("users" in parse or user in named["users"]):
            users.append(user)
            pings.append(f"user:{user}")
        elif user:
            users.append(user)  # shown as a mention, and listed, without a ping
        elif role and ("roles" in parse or role in named["roles"]):
            roles.append(role)
            pings.append(f"role:{role}")
        elif not user and not role and "everyone" in parse and may(channel, author, "MENTION_EVERYONE"):
            everyone = True
            pings.append(mark.group())
    if reply_to is not None and reply_to.author is not author:
        users.append(reply_to.author.id)
        if allowed is None or allowed.get("replied_user"):
            pings.append(f"reply:{reply_to.author.id}")
    return Mentions(list(dict.fromkeys(users)), list(dict.fromkeys(roles)), everyone, pings)
