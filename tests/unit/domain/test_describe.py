"""Tool calls in words."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.describe import MAX_LINE, command_of, diff_of, line_of, risky_spans, visible
from tests.steady import steady

LINES: list[tuple[str, dict[str, Any], str]] = [
    ("Bash", {"command": "python3 fizzbuzz.py"}, "Runs `python3 fizzbuzz.py`"),
    ("Bash", {"command": "npm start", "run_in_background": True}, "Starts `npm start` in the background"),
    ("Bash", {"command": "cat <<E\nx\nE"}, "Runs `cat <<E…`"),
    ("Bash", {"command": "echo `id`"}, "Runs echo `id`"),
    ("Bash", {}, "Runs a command"),
    ("Read", {"file_path": "/home/user/work/src/app.py"}, "Reads src/app.py"),
    ("Read", {"file_path": "/home/user/work/a", "offset": 10, "limit": 5}, "Reads a (lines 10–14)"),
    ("Read", {"file_path": "/home/user/notes"}, "Reads ~/notes"),
    ("Read", {"file_path": "/etc/hosts"}, "Reads /etc/hosts"),
    ("Write", {"file_path": "/home/user/work/fizzbuzz.py", "content": "a\nb\n"}, "Writes fizzbuzz.py (2 lines)"),
    ("Write", {"file_path": "x", "content": "one"}, "Writes x (1 line)"),
    ("Edit", {"file_path": "x", "old_string": "a\nb", "new_string": "a\nc\nd"}, "Edits x (+2 −1)"),
    ("MultiEdit", {"file_path": "x", "edits": [{"old_string": "a", "new_string": "b"}] * 2}, "Edits x (+2 −2)"),
    ("Grep", {"pattern": "TODO", "path": "/home/user/work/src"}, "Searches for `TODO` in src"),
    ("Glob", {"pattern": "**/*.py"}, "Looks for files `**/*.py`"),
    ("WebFetch", {"url": "https://example.org/docs/?q=secret"}, "Fetches example.org/docs"),
    ("WebFetch", {"url": "http://[bad"}, "Fetches http://[bad"),
    ("WebSearch", {"query": "how to"}, "Searches the web: how to"),
    ("AskUserQuestion", {"questions": [{}]}, "Asks you something"),
    ("AskUserQuestion", {"questions": [{}, {}]}, "Asks you 2 things"),
    ("ExitPlanMode", {}, "Shows you its plan"),
    ("Agent", {"description": "Find the bug"}, "Hands work to a sub-agent: Find the bug"),
    ("TodoWrite", {"todos": []}, "Updates its task list"),
    ("TaskCreate", {"subject": "Test it"}, "Adds a task: Test it"),
    ("TaskUpdate", {"taskId": "1", "status": "completed"}, "Finishes task 1"),
    ("mcp__github__create_issue", {"title": "x"}, "github · create issue"),
    ("mcp__claude_ai_Linear__listIssues", {}, "claude ai Linear · list issues"),
    ("BrandNewTool", {"query": "x\ny"}, "Uses Brand New Tool: x y"),
    ("BrandNewTool", {}, "Uses Brand New Tool"),
]


@pytest.mark.parametrize(("tool", "given_input", "line"), LINES)
def test_a_call_is_said_in_one_line(tool: str, given_input: dict[str, Any], line: str) -> None:
    assert line_of(tool, given_input) == line


def test_a_line_is_short_and_keeps_its_closing_backtick() -> None:
    line = line_of("Bash", {"command": "x" * 500})
    assert len(line) <= MAX_LINE
    assert line.endswith("…`")


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
tools = st.sampled_from([tool for tool, _, _ in LINES]) | st.text(min_size=1, max_size=200)
fields = st.sampled_from(
    ["command", "file_path", "url", "content", "old_string", "new_string", "edits", "questions", "pattern", "offset"]
)


@steady
@given(tools, st.dictionaries(fields | st.text(max_size=5), junk, max_size=5))
def test_any_call_gives_one_short_line_and_nothing_raises(tool: str, given_input: dict[str, Any]) -> None:
    line = line_of(tool, given_input)
    assert 0 < len(line) <= MAX_LINE
    assert len(line.splitlines()) == 1
    command_of(tool, given_input)
    diff_of(tool, given_input)


def test_the_whole_command_is_shown_in_a_question() -> None:
    command = "echo start\n" + "x" * 9000 + "\necho end"
    assert command_of("Bash", {"command": command, "description": "short"}) == command
    assert command_of("Write", {"file_path": "/a", "content": "x"}) == "/a"
    assert command_of("WebFetch", {"url": "https://a.org/?b", "prompt": "p"}) == "https://a.org/?b"
    assert command_of("mcp__a__b", {"title": "é"}) == '{\n  "title": "é"\n}'
    assert command_of("AskUserQuestion", {"questions": []}) is None
    assert command_of("mcp__a__b", {}) is None


@pytest.mark.parametrize(
    ("command", "marked"),
    [
        ("ls -la", []),
        ("ls && curl -s x | sh", [("curl", "network"), ("sh", "cannot be read")]),
        ("git push origin main", [("git push", "pushes")]),
        ("rm -rf / --no-preserve-root", [("/", "deletes")]),
        ("cat .env", [(".env", "secrets")]),
        ("pip install x", [("pip install", "installs")]),
        ("bash -c 'curl x'", [("'curl x'", "network")]),
        ("echo 'unclosed", [("echo 'unclosed", "with certainty")]),
        ("ls \u202e-la", [("\u202e", "does not show")]),
    ],
)
def test_the_risky_parts_of_a_command_are_marked(command: str, marked: list[tuple[str, str]]) -> None:
    spans = risky_spans(command)
    assert [command[start:end] for start, end, _ in spans] == [text for text, _ in marked]
    assert all(word in why for (_, _, why), (_, word) in zip(spans, marked, strict=True))


@steady
@given(st.text(alphabet="abc $()`'\"\\|&;<>{}\n\u202ecurl", max_size=40))
def test_spans_are_in_order_and_never_overlap(command: str) -> None:
    last = 0
    for start, end, why in risky_spans(command):
        assert last <= start < end <= len(command)
        assert why
        last = end


def test_an_edit_is_shown_as_a_diff() -> None:
    given_input = {"file_path": "/home/user/work/a.py", "old_string": "x = 1\ny = 2", "new_string": "x = 1\ny = 3"}
    assert diff_of("Edit", given_input) == "--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n x = 1\n-y = 2\n+y = 3"


def test_a_write_is_shown_as_all_plus() -> None:
    diff = diff_of("Write", {"file_path": "/home/user/work/a.py", "content": "a\nb\n"})
    assert diff == "--- /dev/null\n+++ b/a.py\n@@ -0,0 +1,2 @@\n+a\n+b"


def test_several_edits_are_one_diff_with_one_name() -> None:
    edits = [{"old_string": "a", "new_string": "b"}, {"old_string": "c", "new_string": "d"}]
    diff = diff_of("MultiEdit", {"file_path": "x", "edits": edits})
    assert diff is not None
    assert diff.count("+++ b/x") == 1
    assert [line for line in diff.splitlines() if line[:1] in "+-"][2:] == ["-a", "+b", "-c", "+d"]


def test_other_tools_have_no_diff() -> None:
    assert diff_of("Bash", {"command": "ls"}) is None


def test_hidden_characters_are_written_out() -> None:
    assert visible("a\u202eb\u200bc\x07d\tefg\n") == "a\\u202eb\\u200bc\\x07d\tefg\n"
