"""A thread that a moderator locks while the agent works, and unlocks later: the answer is in it then, once."""

from core.domain import events as e
from tests.integration.test_discord_sharing import Server, server
from tests.stage import at_gate, says

__all__ = ["server"]
ANSWER = "All is mended."


async def test_an_answer_to_a_locked_thread_is_in_it_once_it_is_unlocked_and_somebody_writes(server: Server) -> None:
    server.discord.allow("160005", "50083", "50013")
    for role in server.ann.guild.state.roles.values():
        if role.name == "threadwork":
            role.permissions = 0  # it is no moderator
    told = await server.ann.says(server.thread, "Mend it.")
    await server.chat.say("Mend it.", [says("Begun. "), at_gate("go"), says(ANSWER)], by=server.author, again=told.id)
    await server.chat.until(e.TextStreamed)

    server.thread.locked = server.thread.archived = True
    server.chat.stage.model.open("go")
    await server.chat.is_done()
    await server.chat.run_ends()
    (turn,) = await server.chat.turns()
    assert "locked, and Threadwork may not open it. A moderator can" in (turn.unshown_why or "")
    assert ANSWER not in server.text

    server.thread.locked = server.thread.archived = False
    told = await server.ann.says(server.thread, "And now?")
    await server.chat.say("And now?", [says("Here.")], by=server.author, again=told.id)
    await server.chat.is_done("Here.")
    await server.chat.run_ends()
    assert server.text.count(ANSWER) == 1
    assert server.text.index(ANSWER) < server.text.index("Here.")
    assert all(turn.is_shown for turn in await server.chat.turns())
