"""The made-up world in Discord's JSON shapes, as a client meets them in REST answers and gateway events."""

from tests.doubles.discord.clock import iso
from tests.doubles.discord.permissions import in_channel
from tests.doubles.discord.world import (
    DM,
    FORUM,
    JSON,
    Attachment,
    Channel,
    GuildState,
    Member,
    Message,
    Role,
    User,
    World,
)


def user(one: User) -> JSON:
    return {
        "id": one.id,
        "username": one.name,
        "global_name": None if one.bot else one.name.title(),
        "discriminator": "0",
        "avatar": None,
        **({"bot": True} if one.bot else {}),  # people's payloads do not have the key
        "public_flags": 0,
        "avatar_decoration_data": None,
        "collectibles": None,
        "display_name_styles": None,
        "primary_guild": None,
        "clan": None,
    }


def member(one: Member, *, with_user: bool = True) -> JSON:
    payload: JSON = {
        "roles": list(one.roles),
        "nick": None,
        "avatar": None,
        "banner": None,
        "joined_at": iso(one.joined_at),
        "premium_since": None,
        "deaf": False,
        "mute": False,
        "flags": 0,
        "pending": False,
        "communication_disabled_until": None,
    }
    if with_user:
        payload["user"] = user(one.user)
    return payload


def role(one: Role) -> JSON:
    tags = {"tags": {"bot_id": one.of_bot}} if one.of_bot else {}
    return tags | {
        "id": one.id,
        "name": one.name,
        "permissions": str(one.permissions),
        "position": one.position,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "managed": one.of_bot is not None,
        "mentionable": True,
        "flags": 0,
    }


def channel(one: Channel, *, viewer: User | None = None) -> JSON:
    """A channel or thread; `viewer` adds the permissions that user has there (as interactions carry them)."""
    last = next(reversed(one.posts), None)
    payload: JSON = {"id": one.id, "type": one.kind, "last_message_id": last, "flags": 0}
    if one.kind == DM:
        return payload | {"recipients": [user(one.recipient)] if one.recipient else []}
    assert one.guild is not None
    payload |= {"guild_id": one.guild.id, "name": one.name, "rate_limit_per_user": one.slowmode, "parent_id": None}
    if viewer is not None:
        payload["permissions"] = str(in_channel(one, viewer))
    if one.is_thread:
        assert one.parent is not None
        return payload | {
            "parent_id": one.parent.id,
            "owner_id": one.owner_id,
            "message_count": max(0, len(one.messages) - (one.parent.kind == FORUM)),
            "total_message_sent": len(one.posts),
            "member_count": min(50, len(one.members)),
            "applied_tags": list(one.applied_tags),
            "thread_metadata": thread_metadata(one),
        }
    payload |= {
        "position": one.position,
        "permission_overwrites": list(one.overwrites),
        "topic": one.topic,
        "nsfw": False,
    }
    if one.kind == FORUM:
        payload |= {
            "available_tags": one.tags,
            "default_reaction_emoji": None,
            "default_sort_order": None,
            "default_forum_layout": 0,
        }
    return payload


def thread_metadata(one: Channel) -> JSON:
    payload: JSON = {
        "archived": one.archived,
        "archive_timestamp": iso(one.archive_changed_at),
        "auto_archive_duration": one.auto_archive_minutes,
        "locked": one.locked,
        "create_timestamp": iso(one.created_at),
    }
    if one.kind == 12:
        payload["invitable"] = one.invitable
    return payload


def thread_member(thread: Channel, who: User) -> JSON:
    return {"id": thread.id, "user_id": who.id, "join_timestamp": iso(thread.created_at), "flags": 1}


def guild(one: GuildState, *, bot: User) -> JSON:
    """GUILD_CREATE: without the members intent only the bot itself is listed."""
    visible = [row for row in one.channels.values() if not row.deleted and in_channel(row, bot)]
    return {
        **partial_guild(one),
        "owner_id": one.owner.id,
        "region": "deprecated",
        "afk_timeout": 300,
        "verification_level": 0,
        "default_message_notifications": 0,
        "explicit_content_filter": 0,
        "mfa_level": 0,
        "nsfw_level": 0,
        "premium_tier": one.premium_tier,
        "premium_subscription_count": 0,
        "preferred_locale": "en-US",
        "system_channel_flags": 0,
        "joined_at": iso(one.members[bot.id].joined_at),
        "large": False,
        "member_count": len(one.members),
        "roles": [role(row) for row in one.roles.values()],
        "members": [member(one.members[bot.id])],
        "channels": [channel(row) for row in visible if not row.is_thread],
        "threads": [
            channel(row) | ({"member": thread_member(row, bot)} if bot.id in row.members else {})
            for row in visible
            if row.is_thread and not row.archived
        ],
        "emojis": [],
        "stickers": [],
        "voice_states": [],
        "presences": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }


def partial_guild(one: GuildState) -> JSON:
    return {"id": one.id, "name": one.name, "icon": None, "features": [], "locale": "en-US"}


def attachment(one: Attachment) -> JSON:
    payload: JSON = {
        "id": one.id,
        "filename": one.filename,
        "size": len(one.content),
        "url": one.url,
        "proxy_url": one.url,
    }
    if one.content_type:
        payload["content_type"] = one.content_type
    if one.description:
        payload["description"] = one.description
    return payload


def message(world: World, one: Message, *, event: bool = False, quoted: bool = False) -> JSON:
    """A message; `event` adds what only gateway events carry (guild_id and the author's member).

    A `quoted` one stands inside a reply, and does not quote in turn.
    """
    place = one.channel.guild
    payload: JSON = {
        "id": one.id,
        "channel_id": one.channel.id,
        "type": one.kind,
        "author": user(one.author),
        "content": one.content,
        "timestamp": iso(one.at),
        "edited_timestamp": iso(one.edited_at) if one.edited_at else None,
        "tts": False,
        "mention_everyone": one.mention_everyone,
        "mentions": [mentioned(place, who) for who in one.mentions],
        "mention_roles": list(one.mention_roles),
        "attachments": [attachment(row) for row in one.attachments],
        "embeds": one.embeds,
        "components": one.components,
        "pinned": False,
        "flags": one.flags | (1 << 7 if one.loading else 0),
    }
    if one.reactions and not event:
        payload["reactions"] = [reaction(name, who, world.bot) for name, who in one.reactions.items()]
    if one.nonce is not None:
        payload["nonce"] = one.nonce
    if one.reply_to is not None and one.kind in {19, 21} and not quoted:
        place_of = {"guild_id": place.id} if place else {}
        where: JSON = {"type": 0, "message_id": one.reply_to.id, "channel_id": one.reply_to.channel.id, **place_of}
        payload["message_reference"] = where
        payload["referenced_message"] = None if one.reply_to.deleted else message(world, one.reply_to, quoted=True)
    if one.thread is not None:
        payload["thread"] = channel(one.thread)
    if one.via_interaction is not None:
        payload |= {
            "interaction_metadata": one.via_interaction,
            "application_id": world.app_id,
            "webhook_id": world.app_id,
        }
    elif one.author is world.bot:
        payload["application_id"] = world.app_id
    if event:
        payload["channel_type"] = one.channel.kind
    if event and place is not None:
        payload["guild_id"] = place.id
        if (known := place.members.get(one.author.id)) is not None:
            payload["member"] = member(known, with_user=False)
    return payload


def mentioned(place: GuildState | None, who: User) -> JSON:
    known = place.members.get(who.id) if place else None
    return user(who) | ({"member": member(known, with_user=False)} if known else {})


def reaction(emoji: str, who: list[str], bot: User) -> JSON:
    return {
        "emoji": emoji_payload(emoji),
        "count": len(who),
        "count_details": {"burst": 0, "normal": len(who)},
        "me": bot.id in who,
        "me_burst": False,
        "burst_colors": [],
    }


def emoji_payload(emoji: str) -> JSON:
    name, _, number = emoji.partition(":")
    return {"id": number or None, "name": name}
