"""Who may do what where: Discord's permission bits and the order in which roles and overwrites apply.

The order is https://docs.discord.com/developers/topics/permissions#permission-overwrites. Used by `posting.py`,
`threads.py` and the routes.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.doubles.discord.world import Channel, GuildState, User

_BITS = {
    "ADMINISTRATOR": 3,
    "MANAGE_CHANNELS": 4,
    "MANAGE_GUILD": 5,
    "ADD_REACTIONS": 6,
    "VIEW_CHANNEL": 10,
    "SEND_MESSAGES": 11,
    "MANAGE_MESSAGES": 13,
    "EMBED_LINKS": 14,
    "ATTACH_FILES": 15,
    "READ_MESSAGE_HISTORY": 16,
    "MENTION_EVERYONE": 17,
    "USE_EXTERNAL_EMOJIS": 18,
    "USE_APPLICATION_COMMANDS": 31,
    "MANAGE_THREADS": 34,
    "CREATE_PUBLIC_THREADS": 35,
    "CREATE_PRIVATE_THREADS": 36,
    "SEND_MESSAGES_IN_THREADS": 38,
}


def by_name(*names: str) -> int:
    """The bits of permissions named as Discord's docs name them."""
    bits = 0
    for name in names:
        bits |= 1 << _BITS[name]
    return bits


ALL = by_name(*_BITS)
# A new guild's @everyone may ping everyone: the worst case for a bot that echoes untrusted text.
EVERYONE_DEFAULT = ALL & ~by_name(
    "ADMINISTRATOR", "MANAGE_CHANNELS", "MANAGE_GUILD", "MANAGE_MESSAGES", "MANAGE_THREADS"
)
BOT_DEFAULT = by_name("MANAGE_THREADS")


def in_guild(guild: "GuildState", user: "User") -> int:
    """Permissions before any channel has its say."""
    member = guild.members.get(user.id)
    if member is None:
        return 0
    if user is guild.owner:
        return ALL
    bits = given_in(guild, user)
    return ALL if bits & by_name("ADMINISTRATOR") else bits


def given_in(guild: "GuildState", user: "User") -> int:
    """What a member's roles give, without what is implied: so Discord tells people of their guilds."""
    bits = guild.roles[guild.id].permissions
    for role in guild.members[user.id].roles:
        bits |= guild.roles[role].permissions
    return bits


def in_channel(channel: "Channel", user: "User") -> int:
    """Permissions in a channel; a thread takes those of its parent."""
    guild = channel.guild
    if guild is None:
        return ALL & ~by_name("MANAGE_MESSAGES", "MANAGE_CHANNELS", "MANAGE_GUILD", "ADMINISTRATOR")
    bits = in_guild(guild, user)
    if bits & by_name("ADMINISTRATOR"):
        return bits
    owner = channel.parent if channel.is_thread and channel.parent is not None else channel
    member = guild.members.get(user.id)
    roles = member.roles if member else []
    for wanted in ([guild.id], roles, [user.id]):
        rows = [row for row in owner.overwrites if row["id"] in wanted]
        for row in rows:
            bits &= ~int(row["deny"])
        for row in rows:
            bits |= int(row["allow"])
    return bits if bits & by_name("VIEW_CHANNEL") else 0


def may(channel: "Channel", user: "User", *names: str) -> bool:
    wanted = by_name(*names)
    return in_channel(channel, user) & wanted == wanted
