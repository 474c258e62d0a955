"""What a turn looks like in Slack, while it runs and when it is over."""

from decimal import Decimal
from functools import reduce
from typing import Any
from uuid import UUID

import pytest

from core.domain import events as e
from core.domain.approval import ApprovalKind
from core.domain.states import TurnState
from core.domain.turn import TurnId, Usage
from core.domain.view import View, fold
from core.ports import Payload
from core.surfaces.markdown import ZERO_WIDTH
from core.surfaces.presses import Press, Verb
from core.surfaces.slack.blocks import cut_escaped, texts_of
from core.surfaces.slack.escaping import code, escape, inert
from core.surfaces.slack.plainly import plainly
from core.surfaces.slack.render import render

TURN = TurnId(UUID(int=9))


def after(*events: e.RunEvent) -> View:
    return reduce(fold, events, View(turn_id=TURN))


def live(*events: e.RunEvent) -> list[dict[str, Any]]:
    [payload] = render(after(*events))
    blocks: list[dict[str, Any]] = payload.body["blocks"]
    return blocks


def over(text: str, state: TurnState = TurnState.DONE, error: str | None = None, *events: e.RunEvent) -> list[Payload]:
    end = e.TurnFinished(state, text, Usage(1000, 234), Decimal("0.0123"), 75.0, error=error, model="some-model")
    return list(render(after(*events, end)))


def words(blocks: list[dict[str, Any]]) -> str:
    return "\n".join(texts_of(blocks))


# ------------------------------------------------------------ while it runs


def test_a_running_turn_says_what_it_does_and_can_be_stopped() -> None:
    status = live(e.ToolStarted("t", "Bash", "Runs `make test`", {}))[0]
    assert status["text"]["text"] == "⏳ Runs `make test`…"
    assert status["accessory"]["text"]["text"] == "Stop"
    assert status["accessory"]["action_id"] == Press(Verb.STOP, TURN).encode()


def test_without_a_turn_id_there_is_nothing_to_stop() -> None:
    assert "accessory" not in render(View())[0].body["blocks"][0]


def test_a_turn_that_is_over_cannot_be_stopped() -> None:
    assert "tw:stop" not in str(over("Done."))


def test_a_turn_that_waits_for_a_person_says_so() -> None:
    assert words(live(e.ApprovalAsked("a", ApprovalKind.TOOL, "Runs `rm`"))).startswith("✋ Waiting for your answer")


def test_the_last_steps_are_shown_and_the_others_counted() -> None:
    steps = [e.ToolStarted(str(n), "Read", f"Reads {n}.py", {}) for n in range(8)]
    shown = words(live(*steps, e.ToolFinished("6", "ok"), e.ToolFailed("7", "no\nsuch `file`\n")))
    assert "… 3 earlier steps" in shown
    assert "Reads 2.py" not in shown
    assert "✓ Reads 6.py" in shown
    assert "✗ Reads 7.py — `such ˋfileˋ`" in shown


def test_the_task_list_is_shown_round_what_is_being_done() -> None:
    tasks = [e.Task(str(n), f"task {n}", "completed" if n < 15 else "pending") for n in range(30)]
    tasks[15] = e.Task("15", "task <15>", "in_progress")
    shown = words(live(e.TasksChanged(tuple(tasks))))
    assert "*15 of 30 done*" in shown
    assert "▶️ task &lt;15&gt;" in shown
    assert "task 14" in shown
    assert "task 1\n" not in shown
    assert "… 7 more" in shown


def test_text_that_streams_is_closed_so_that_it_shapes_nothing_else() -> None:
    assert live(e.TextStreamed("Look:\n```python\nx = 1"))[1]["text"] == "Look:\n```python\nx = 1\n```"


def test_of_a_long_text_the_end_is_shown_in_its_code_block() -> None:
    shown = live(e.TextStreamed("```python\n" + "\n".join(f"line{n}" for n in range(2_000))))[1]["text"]
    assert shown.startswith("…\n\n```python\nline")
    assert shown.endswith("line1999\n```")
    assert len(shown) < 3_200


def test_a_view_that_has_not_changed_is_rendered_the_same() -> None:
    assert render(after(e.TextStreamed("a"))) == render(after(e.TextStreamed("a")))


# ------------------------------------------------------------ once it is over


def test_the_end_is_the_answer_and_a_footer() -> None:
    [post] = over("All **done**.", TurnState.DONE, None, e.ToolStarted("t", "Read", "Reads a", {}))
    answer, footer = post.body["blocks"]
    assert answer == {"type": "markdown", "text": "All **done**."}
    assert words([footer]) == "✅ Done · 1 min 15 s · 1 step · 1,234 tokens · $0.0123 · some-model"
    assert post.body["text"] == "All **done**."


def test_a_failure_keeps_what_was_written_and_says_why() -> None:
    [post] = over("Half of it.", TurnState.FAILED, "The sandbox <was> lost.")
    assert post.body["blocks"][0]["text"] == "Half of it."
    assert words(post.body["blocks"][1:2]) == "❌ *This did not work.* The sandbox &lt;was&gt; lost."


def test_a_failure_without_any_text_is_told_in_the_notification_too() -> None:
    [post] = over("", TurnState.FAILED, "The sandbox was lost.")
    assert post.body["text"] == "❌ The sandbox was lost."


def test_a_stop_says_so() -> None:
    [post] = over("", TurnState.STOPPED)
    assert words(post.body["blocks"]).startswith("_It wrote nothing._\n🛑 Stopped")


def test_a_long_answer_goes_on_in_further_posts_with_the_footer_in_the_last() -> None:
    posts = over("\n\n".join(f"```python\nx = {n}\n```" for n in range(2_000)))
    assert len(posts) > 3
    assert all(len(post.body["blocks"]) == 1 for post in posts[:-1])
    assert all(words(post.body["blocks"]).count("```") % 2 == 0 for post in posts)
    assert "Done" in words(posts[-1].body["blocks"])


def test_a_table_stays_a_table() -> None:
    [post] = over("Numbers:\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\nThat is all.")
    assert post.body["blocks"][0]["text"] == "Numbers:\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\nThat is all."


# ------------------------------------------------------------ untrusted text


@pytest.mark.parametrize(
    "text",
    [
        "mail ann@example.com or a@here.example",
        "`a[0](x)` is `[text`",
        "```cpp\nauto f = [&](int x) { return m[x](1); };\n```",
        "- a list\n  ```js\n  table[key](value)\n  ```\n- more",
        "> ```\n> [a](b)\n> ```",
        "List<@NonNull String> and vector<int> && x < y > z",
        "<https://example.com/a?b=c&d=e>",
        "see https://example.com/a_(b)",
        "<!DOCTYPE html>",
        "[ ] a task\n- [x] done (really)",
        "**bold** _it_ ~~gone~~ `code`",
    ],
)
def test_what_harms_nobody_stays_as_it_is(text: str) -> None:
    assert inert(text).replace("]" + ZERO_WIDTH, "]") == text
    if "`a[0]" not in text:
        assert inert(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<!channel> and <@U0123ABCD|ann>", "<\u200b!channel> and <\u200b@U0123ABCD|ann>"),
        ("`<!here>`", "`<\u200b!here>`"),
        ("@everyone", "@\u200beveryone"),
        ("[the bank](https://evil.example)", "the bank (https://evil.example)"),
        ("[https://a.example](https://a.example)", "https://a.example"),
        ("[core/a.py](core/a.py)", "core/a.py"),
        ("![chart](https://evil.example/?q=1)", "chart (https://evil.example/?q=1)"),
        ("[a](https://x.example/(y))", "[a] (https://x.example/(y))"),
        ("[a][r]\n\n[r]: https://evil.example", "[a][r]\n\n[r]\u200b: https://evil.example"),
        ("<https://evil.example|bank>", "<\u200bhttps://evil.example|bank>"),
        ("<slack://open>", "<\u200bslack://open>"),
        ("a\x00b\r\nc\ud800", "ab\nc"),
    ],
)
def test_what_would_act_does_not(text: str, shown: str) -> None:
    assert inert(text) == shown


def test_in_mrkdwn_nothing_acts() -> None:
    assert escape("<!channel> & <https://a|b>") == f"&lt;{ZERO_WIDTH}!channel&gt; &amp; &lt;https://a|b&gt;"
    assert code("a `b`\n<c>") == "`a ˋbˋ &lt;c&gt;`"
    assert code("  ") == ""


def test_every_text_of_ours_is_verbatim_so_that_slack_makes_no_links_of_names() -> None:
    for payload in [
        *render(after(e.ToolStarted("t", "Read", "Reads #general", {}))),
        *over("x", TurnState.FAILED, "y"),
    ]:
        assert str(payload.body).count("'mrkdwn'") == str(payload.body).count("'verbatim': True")


def test_no_entity_is_cut_through() -> None:
    assert cut_escaped("ab&amp;cd", 5) == "ab…"
    assert cut_escaped("&amp;&amp;", 100) == "&amp;&amp;"


def test_blocks_that_are_refused_become_plain_text_with_the_same_words_and_buttons() -> None:
    made = plainly(render(after(e.TextStreamed("a < b & **c**")))[0].body)
    assert [block["type"] for block in made["blocks"]] == ["section", "actions", "section"]
    assert words(made["blocks"]) == "⏳ Writing…\nStop\na < b & **c**"
    assert {block["text"]["type"] for block in made["blocks"] if "text" in block} == {"plain_text"}
