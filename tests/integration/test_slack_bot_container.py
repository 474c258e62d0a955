"""The agent's container: suggestions, titles and "is working…" around chats that are chats like any other."""

from slack_sdk.web.async_client import AsyncWebClient

from bots.slack.container import PROMPTS, WORKING
from core.domain.view import View
from core.surfaces.slack.render import render
from tests.doubles.slack.store import JSON
from tests.integration.slack_bot import Scene


def session(scene: Scene, thread_ts: str) -> JSON:
    return scene.ann.dm.sessions.get(thread_ts, {})


async def test_a_thread_that_is_opened_suggests_what_to_begin_with(scene: Scene) -> None:
    thread_ts = await scene.ann.opens_agent("general")
    prompts = await scene.slack.until(lambda: session(scene, thread_ts).get("prompts"), within=60)
    assert [one["title"] for one in prompts] == [title for title, _ in PROMPTS]
    await scene.ann.looks_at(thread_ts, "general")
    suggested = "assistant.threads.setSuggestedPrompts"
    await scene.slack.until(lambda: len(scene.slack.calls(suggested)) == 2, within=60)


async def test_a_message_there_shows_that_it_is_worked_on_until_the_first_post(scene: Scene) -> None:
    thread_ts = await scene.ann.opens_agent("general")
    inside = await scene.ann.dms("what is\nhere?", thread_ts=thread_ts)
    await scene.seen(inside)
    await scene.slack.until(lambda: session(scene, thread_ts).get("title") == "what is here?", within=60)
    assert scene.ann.dm.statuses[thread_ts]["status"] == WORKING

    # As the worker posts, with the app's token.
    body = render(View())[0].body
    web = AsyncWebClient(scene.workspace.token, scene.slack.api_url)
    await web.chat_postMessage(channel=scene.ann.dm.id, thread_ts=thread_ts, **body)
    assert thread_ts not in scene.ann.dm.statuses


async def test_a_worker_that_is_quicker_leaves_no_status_behind(scene: Scene) -> None:
    scene.slack.faults.delay("assistant.threads.setStatus", seconds=3)
    thread_ts = await scene.ann.opens_agent()
    inside = await scene.ann.dms("what is here?", thread_ts=thread_ts)
    await scene.slack.until(lambda: thread_ts in scene.ann.dm.statuses, within=60)
    await scene.turn(inside)
    await scene.slack.until(lambda: thread_ts not in scene.ann.dm.statuses, within=60)


async def test_a_message_that_joins_the_work_sets_no_status_and_no_title(scene: Scene) -> None:
    thread_ts = await scene.ann.opens_agent()
    await scene.slack.until(lambda: session(scene, thread_ts).get("prompts"), within=60)
    inside = await scene.ann.dms("what is here?", thread_ts=thread_ts)
    await scene.slack.until(lambda: session(scene, thread_ts).get("title"), within=60)
    await scene.turn(inside)
    await scene.ann.looks_at(thread_ts, "general")
    await scene.seen(await scene.ann.dms("and there?", thread_ts=thread_ts))
    await scene.slack.settled(within=60)
    assert len(scene.slack.calls("assistant.threads.setStatus")) == 1
    assert len(scene.slack.calls("assistant.threads.setTitle")) == 1
    # Where a chat has begun there is nothing to suggest any more.
    assert len(scene.slack.calls("assistant.threads.setSuggestedPrompts")) == 1


async def test_where_the_app_is_no_agent_that_is_tried_once_and_messages_are_taken(scene: Scene) -> None:
    scene.slack.allow("not_authorized")
    scene.slack.options.is_agent = False
    thread_ts = await scene.ann.opens_agent("general")
    await scene.slack.until(lambda: scene.slack.calls("assistant.threads.setSuggestedPrompts"), within=60)
    for words in ("what is here?", "and there?"):
        await scene.seen(await scene.ann.dms(words, thread_ts=thread_ts))
    await scene.ann.opens_agent("general")
    await scene.slack.settled(within=60)
    tried = [call.method for call in scene.slack.record.calls if call.method.startswith("assistant.")]
    assert len(tried) == 1


async def test_without_the_scope_messages_are_taken_all_the_same(scene: Scene) -> None:
    scene.slack.allow("missing_scope")
    scene.workspace.team.scopes.discard("assistant:write")
    thread_ts = await scene.ann.opens_agent("general")
    inside = await scene.ann.dms("what is here?", thread_ts=thread_ts)
    await scene.seen(inside)
    assert [one.text for one in await scene.messages(inside)] == ["what is here?"]


async def test_a_thread_in_a_channel_has_no_container(scene: Scene) -> None:
    asked = await scene.ann.mentions("general", "what is here?")
    await scene.seen(asked)
    await scene.seen(await scene.ann.says("general", "and there?", thread_ts=asked.ts))
    await scene.slack.settled(within=60)
    assert not [call for call in scene.slack.record.calls if call.method.startswith("assistant.")]
