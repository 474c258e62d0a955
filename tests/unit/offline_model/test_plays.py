"""What the scripted model answers, decided by the messages alone."""

from collections.abc import Sequence
from typing import Any

import pytest

from threadwork.offline_model.answer import Answer, Say, Use
from threadwork.offline_model.conversation import read_conversation
from threadwork.offline_model.plays import answer_to

FIZZBUZZ = "write fizzbuzz.py and run it"
TYPE_ERROR = "Exit code 1\nTypeError: sequence item 0: expected str instance, int found"
REMINDER = {"type": "text", "text": "<system-reminder>\nrun `rm` and make a plan\n</system-reminder>"}
Message = dict[str, Any]


def person(text: str) -> Message:
    return {"role": "user", "content": [REMINDER, {"type": "text", "text": text}]}


def environment(*deferred: str, more: str = "") -> Message:
    listed = "\n".join(["are now available via ToolSearch. Their schemas are NOT loaded:", *deferred])
    text = f"# Environment\n - Primary working directory: /home/w\n - Shell: bash\n\nThe following deferred tools {listed}\n\n"
    return {"role": "system", "content": text + more}


def model(answer: Answer, round_: int = 0) -> Message:
    blocks: list[Any] = []
    for n, part in enumerate(answer):
        match part:
            case Use(name, given):
                blocks.append({"type": "tool_use", "id": f"t{round_}-{n}", "name": name, "input": dict(given)})
            case _:
                blocks.append({"type": "text", "text": part.text})
    return {"role": "assistant", "content": blocks}


def results(asked: Message, outcomes: dict[str, str], *beside: str) -> Message:
    """The answers to a message's tool calls: by the tool's name, and an error when it begins with `!` or an exit code."""
    blocks: list[Any] = []
    for block in asked["content"]:
        if block["type"] == "tool_use":
            said = outcomes.get(block["name"], "ok")
            failed = said.startswith(("!", "Exit code", "<tool_use_error>"))
            content = said.removeprefix("!")
            blocks.append({"type": "tool_result", "tool_use_id": block["id"], "content": content, "is_error": failed})
    return {"role": "user", "content": [*blocks, *({"type": "text", "text": text} for text in beside)]}


def decide(messages: Sequence[Message], tools: Sequence[str] = ("Bash", "Write", "Edit", "Read")) -> Answer:
    return answer_to(read_conversation({"messages": list(messages), "tools": [{"name": name} for name in tools]}))


def play(
    messages: list[Message], *outcomes: dict[str, str], tools: Sequence[str] = ("Bash", "Write", "Edit")
) -> Answer:
    """Plays on, one round for each set of outcomes; `messages` grows. Returns the answer that follows."""
    for outcome in outcomes:
        asked = model(decide(messages, tools), len(messages))
        messages += [asked, results(asked, outcome)]
    return decide(messages, tools)


def words(answer: Answer) -> str:
    return "\n".join(part.text for part in answer if isinstance(part, Say))


def calls(answer: Answer) -> list[str]:
    return [part.name for part in answer if isinstance(part, Use)]


def test_the_first_answer_says_that_this_is_a_script_and_later_ones_do_not_repeat_it() -> None:
    first = decide([person("hello")])
    second = decide([person("hello"), model(first), person("hello again")])

    assert "scripted model, not Claude" in words(first)
    assert "not Claude" not in words(second)
    assert "What I can play" in words(second)


def test_a_program_is_written_run_mended_run_again_and_reported() -> None:
    messages = [person(FIZZBUZZ), environment()]
    outcomes: list[dict[str, str]] = [{"Write": "created"}, {"Bash": TYPE_ERROR}, {"Edit": "updated"}]
    done = [calls(play(messages)), *(calls(play(messages, outcome)) for outcome in outcomes)]
    report = play(messages, {"Bash": "1\n2\nFizz"})

    assert done == [["Write"], ["Bash"], ["Edit"], ["Bash"]]
    assert calls(report) == []
    assert words(report).startswith("### Done")
    assert "1\n2\nFizz" in words(report)


def test_files_are_written_where_the_cli_works() -> None:
    written = [p for p in decide([person(FIZZBUZZ), environment()]) if isinstance(p, Use)]

    assert written[0].input["file_path"] == "/home/w/fizzbuzz.py"


def test_a_run_that_fails_otherwise_is_reported_as_it_is() -> None:
    messages = [person(FIZZBUZZ), environment()]
    answer = play(messages, {"Write": "created"}, {"Bash": "Exit code 127\npython3: not found"})

    assert calls(answer) == []
    assert "python3: not found" in words(answer)
    assert "Done" not in words(answer)


@pytest.mark.parametrize(("refused", "rounds"), [("Write", 0), ("Bash", 1), ("Edit", 2)])
def test_a_refused_tool_ends_the_session_with_the_reason(refused: str, rounds: int) -> None:
    messages = [person(FIZZBUZZ), environment()]
    good = [{"Write": "created"}, {"Bash": TYPE_ERROR}, {"Edit": "updated"}][:rounds]
    answer = play(messages, *good, {refused: "!No, not on a Friday.\nmore"})

    assert calls(answer) == []
    assert f"`{refused}` did not run" in words(answer)
    assert "No, not on a Friday." in words(answer)


def test_a_file_that_is_there_already_is_read_before_it_is_written() -> None:
    messages = [person(FIZZBUZZ), environment()]
    refused = "<tool_use_error>File has not been read yet. Read it first before writing to it.</tool_use_error>"

    assert calls(play(messages, {"Write": refused})) == ["Read"]
    assert calls(play(messages, {"Read": "1\tx"})) == ["Write"]
    assert calls(play(messages, {"Write": "updated"})) == ["Bash"]


def test_the_task_list_is_kept_when_the_cli_has_one() -> None:
    tools = ["Bash", "Write", "Edit", "TaskCreate", "TaskUpdate"]
    messages = [person(FIZZBUZZ), environment()]
    made = play(messages, tools=tools)
    asked = model(made, len(messages))
    answers = results(asked, {})
    for n, block in enumerate(answers["content"]):
        block["content"] = f"Task #{n + 4} created successfully: x"
    messages += [asked, answers]
    started = decide(messages, tools)

    assert calls(made) == ["TaskCreate", "TaskCreate"]
    assert [p.input for p in started if isinstance(p, Use) and p.name == "TaskUpdate"] == [
        {"taskId": "4", "status": "in_progress"}
    ]


def test_task_tools_that_are_only_named_are_loaded_first() -> None:
    messages = [person(FIZZBUZZ), environment("CronCreate", "TaskCreate", "TaskUpdate")]
    answer = decide(messages, ["Bash", "Write", "Edit", "ToolSearch"])

    assert [p.input["query"] for p in answer if isinstance(p, Use)] == ["select:TaskCreate,TaskUpdate"]
    assert calls(play(messages, {"ToolSearch": ""}, tools=["Bash", "TaskCreate", "TaskUpdate"])) == ["TaskCreate"] * 2


def test_an_older_todo_list_works_too() -> None:
    answer = decide([person(FIZZBUZZ), environment()], ["Bash", "Write", "Edit", "TodoWrite"])

    assert calls(answer) == ["TodoWrite"]


STEER = "The user sent a new message while you were working:\n{}\n\nThis is how Claude Code surfaces messages."


@pytest.mark.parametrize("beside", [False, True])
def test_words_in_the_middle_are_acknowledged_and_the_play_goes_on(beside: bool) -> None:
    asked = model(decide([person(FIZZBUZZ), environment()]))
    steer = STEER.format("use tabs please")
    after = (
        [results(asked, {}, f"<system-reminder>\n{steer}\n</system-reminder>")]
        if beside
        else [results(asked, {}), {"role": "system", "content": steer}]
    )
    answer = decide([person(FIZZBUZZ), environment(), asked, *after])

    assert "“use tabs please”" in words(answer)
    assert calls(answer) == ["Bash"]


def test_words_are_acknowledged_once() -> None:
    asked = model(decide([person(FIZZBUZZ), environment()]))
    steer = {"role": "system", "content": STEER.format("use tabs please")}
    messages = [person(FIZZBUZZ), environment(), asked, results(asked, {}), steer]
    answer = play(messages, {"Bash": TYPE_ERROR})

    assert "use tabs" not in words(answer)
    assert calls(answer) == ["Edit"]


def test_the_word_stop_in_the_middle_stops() -> None:
    asked = model(decide([person(FIZZBUZZ), environment()]))
    steer = {"role": "system", "content": STEER.format("Stop, please")}
    answer = decide([person(FIZZBUZZ), environment(), asked, results(asked, {}), steer])

    assert calls(answer) == []
    assert "I stop here" in words(answer)


def test_a_new_request_after_an_interruption_is_a_new_turn() -> None:
    asked = model(decide([person(FIZZBUZZ), environment()]))
    broken = results(asked, {"Write": "!The user doesn't want to proceed with this tool use."})
    broken["content"] += [{"type": "text", "text": "[Request interrupted by user for tool use]"}]
    together = {"role": "user", "content": [*broken["content"], {"type": "text", "text": "look around"}]}

    for after in ([broken, person("look around")], [together]):
        assert calls(decide([person(FIZZBUZZ), environment(), asked, *after])) == ["Bash"]


def test_a_stream_cut_off_is_taken_up_where_it_was() -> None:
    resume = {"role": "user", "content": "Your response above was cut off mid-stream. Resume directly."}
    part = {"role": "assistant", "content": [{"type": "text", "text": "I write"}]}

    assert calls(decide([person(FIZZBUZZ), environment(), part, resume])) == ["Write"]


def test_the_command_between_backticks_is_run_and_its_output_shown() -> None:
    messages = [person("please run `echo hi; false`")]
    asked = decide(messages)

    assert [p.input["command"] for p in asked if isinstance(p, Use)] == ["echo hi; false"]
    assert "Exit code 1\nhi" in words(play(messages, {"Bash": "Exit code 1\nhi"}))


def test_looking_around_lists_and_reads() -> None:
    messages = [person("look around"), environment()]
    listing = "total 4\ndrwxr-xr-x 2 a a 4096 Nov 28 08:04 sub\n-rw-r--r-- 1 a a 3 Nov 28 07:56 my notes.txt"

    assert calls(play(messages, {"Bash": listing}, tools=["Bash", "Read"])) == ["Read"]
    assert "remember the milk" in words(play(messages, {"Read": "remember the milk"}, tools=["Bash", "Read"]))


def test_a_question_with_options_is_asked_and_the_answer_repeated() -> None:
    messages = [person("ask me something")]
    asked = play(messages, tools=["AskUserQuestion"])

    assert calls(asked) == ["AskUserQuestion"]
    assert "Shell" in words(
        play(messages, {"AskUserQuestion": 'The user answered: "Q"="Shell"'}, tools=["AskUserQuestion"])
    )


def test_in_plan_mode_a_plan_is_written_shown_and_carried_out_when_approved() -> None:
    note = (
        "Plan mode is active.\n## Plan File Info:\nYou should create your plan at /h/.claude/plans/a-b.md using Write"
    )
    messages = [person(FIZZBUZZ), environment("ExitPlanMode", more=note)]
    tools = ["Bash", "Write", "Edit", "ToolSearch", "ExitPlanMode"]
    written = play(messages, tools=tools)

    assert [p.input["file_path"] for p in written if isinstance(p, Use)] == ["/h/.claude/plans/a-b.md"]
    assert calls(play(messages, {"Write": "created"}, tools=tools)) == ["ExitPlanMode"]
    asked = model(decide(messages, tools), len(messages))
    left = {"role": "system", "content": "## Exited Plan Mode\n\nYou have exited plan mode."}
    messages += [asked, results(asked, {"ExitPlanMode": "User has approved"}), left]
    assert calls(decide(messages, tools)) == ["Write"]


def test_a_plan_that_is_not_approved_ends_with_the_feedback() -> None:
    messages = [person("make a plan"), environment(more="Plan mode is active.")]
    answer = play(messages, {"ExitPlanMode": "!Shorter, please"}, tools=["ExitPlanMode"])

    assert calls(answer) == []
    assert "Shorter, please" in words(answer)


def test_it_remembers_what_was_asked_before() -> None:
    answer = decide(
        [person("hello"), model([Say("hi")]), person("look"), model([Say("ok")]), person("what did I ask before?")]
    )

    assert words(answer).endswith("1. hello\n2. look")


@pytest.mark.parametrize(
    "body", [{}, {"messages": []}, {"messages": [{"role": "user", "content": None}], "tools": None}]
)
def test_an_odd_request_gets_an_answer(body: dict[str, Any]) -> None:
    assert words(answer_to(read_conversation(body)))
