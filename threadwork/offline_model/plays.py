"""Chooses what the script does for a request, and holds the short plays: look around, ask, plan, run, remember.

Each play is a function of the conversation alone: how many rounds of tool calls were answered says where it is.
The longer one, which writes and mends a program, is in `coding.py`.
"""

import re
from collections.abc import Callable, Sequence

from threadwork.offline_model.answer import Answer, Say, Use, load, run
from threadwork.offline_model.coding import write_fizzbuzz
from threadwork.offline_model.conversation import Call, Conversation

WHO = (
    "**This is a scripted model, not Claude.** No credential for a model is set, so I play small sessions "
    "by a script; the tools, the sandbox and the permission questions are real.\n\n"
)
REPERTOIRE = """I have no script for that. What I can play:

- `write fizzbuzz.py and run it`: writes a program with a mistake, runs it, mends it, reports
- `look around`: lists the folder and reads a file
- ``run `ls -la` ``: runs the command between the backticks
- `ask me something`: a question with options
- `make a plan`: a plan for your approval
- `what did I ask before?`: what I remember of this chat
- `a long answer`: some pages of text
"""
BACKTICKED = r"\brun\b[^`]*`([^`]+)`"
QUESTIONS = [
    {
        "question": "Which language should the example be in?",
        "header": "Language",
        "multiSelect": False,
        "options": [
            {"label": "Python", "description": "Runs here as it is"},
            {"label": "Shell", "description": "Shorter, harder to test"},
        ],
    },
    {
        "question": "What should come with it?",
        "header": "Extras",
        "multiSelect": True,
        "options": [
            {"label": "Tests", "description": "A small test file"},
            {"label": "Readme", "description": "How to run it"},
            {"label": "Nothing", "description": "The program alone"},
        ],
    },
]
PLAN = """# Write FizzBuzz

## Context
A small program is wanted that shows the whole way from a request to a tested result.

## Steps
1. Write `fizzbuzz.py`: numbers from 1 to 20, Fizz for threes, Buzz for fives.
2. Run it with `python3 fizzbuzz.py`.
3. Mend what the run shows, run it again, and report.

## Check
The output has 20 lines, and the fifteenth is `FizzBuzz`.
"""


def answer_to(conversation: Conversation) -> Answer:
    """The script's next answer in this conversation."""
    lead = WHO if conversation.is_first else ""
    if conversation.steered:
        lead += f"You say: “{'; '.join(conversation.steered)}”. "
        if any(re.search(r"\b(stop|cancel|enough)\b", words, re.IGNORECASE) for words in conversation.steered):
            return [Say(f"{lead}So I stop here; what is done so far stays as it is.")]
        lead += "I take note, and go on with the script.\n\n"
    refused = [call for call in conversation.calls if call.was_refused]
    answer = _stop(conversation, refused[0]) if refused else _play(conversation)
    if not lead:
        return answer
    first = next((n for n, part in enumerate(answer) if isinstance(part, Say)), None)
    if first is None:
        return [Say(lead.strip()), *answer]
    words = answer[first]
    return [*answer[:first], Say(lead + (words.text if isinstance(words, Say) else "")), *answer[first + 1 :]]


def _play(c: Conversation) -> Answer:
    if c.is_planning or any(call.name == "ExitPlanMode" for call in c.calls):
        return _plan(c)
    for pattern, play in PLAYS:
        if re.search(pattern, c.asked, re.IGNORECASE | re.DOTALL):
            return play(c)
    return [Say(REPERTOIRE)]


def _stop(c: Conversation, refused: Call) -> Answer:
    what = str(refused.input.get("command") or refused.input.get("file_path") or "").strip()
    done = [f"`{n.name}` {'failed' if n.is_error else 'done'}" for n in c.calls if not n.was_refused]
    lines = [
        f"`{refused.name}` did not run{f' (`{what}`)' if what else ''}, so I stop here.",
        f"\nThe answer was: {refused.result.strip().splitlines()[0] if refused.result.strip() else 'no'}\n",
        f"Before that: {', '.join(done)}." if done else "Nothing else was done.",
    ]
    return [Say("\n".join(lines))]


def _look(c: Conversation) -> Answer:
    if not c.rounds:
        return [Say("I look at what is here."), run("ls -la", "List the folder")]
    listing = c.calls[0].result
    names = [line.split(maxsplit=8)[-1] for line in listing.splitlines() if line.startswith("-")]
    if len(c.rounds) == 1 and names and "Read" in c.tools:
        return [
            Say(f"There are {len(names)} files. I read `{names[0]}`."),
            Use("Read", {"file_path": f"{c.folder}/{names[0]}"}),
        ]
    first = f"\n\n`{names[0]}` begins:\n\n```\n{c.calls[1].result[:300]}\n```" if len(c.rounds) > 1 and names else ""
    return [Say(f"### What is in `{c.folder}`\n\n```\n{listing.strip()}\n```{first}")]


def _run(c: Conversation) -> Answer:
    found = re.search(BACKTICKED, c.asked, re.IGNORECASE | re.DOTALL)
    command = found[1] if found else "true"
    if not c.rounds:
        return [Say(f"I run `{command}`."), run(command, "Run what was asked for")]
    call = c.calls[0]
    return [Say(f"{'It failed' if call.is_error else 'It ran'}:\n\n```\n{call.result.strip() or '(no output)'}\n```")]


def _ask(c: Conversation) -> Answer:
    if not c.offers("AskUserQuestion"):
        return [Say("I would ask you something now, but I have no tool for questions here.")]
    if not c.rounds:
        return [Say("Two things I cannot decide for you."), Use("AskUserQuestion", {"questions": QUESTIONS})]
    return [Say(f"Thank you. What I got back:\n\n> {c.calls[0].result.strip()}\n\nI would go on from there.")]


def _plan(c: Conversation) -> Answer:
    """Enters plan mode when it is not on, writes the plan's file, asks for approval, and then carries it out."""
    names = [call.name for call in c.calls]
    if "ExitPlanMode" in names:
        done = next(n for n, group in enumerate(c.rounds) if any(call.name == "ExitPlanMode" for call in group))
        return write_fizzbuzz(c, after=done + 1)
    needed = ["ExitPlanMode"] if c.is_planning else ["EnterPlanMode", "ExitPlanMode"]
    if not c.offers(*needed):
        return [Say(f"My plan:\n\n{PLAN}\nSay `write fizzbuzz.py and run it` and I do it.")]
    if not set(needed) <= c.tools and "ToolSearch" not in names:
        return [Say("I make a plan first."), load(*needed)]
    if not c.is_planning and "EnterPlanMode" not in names:
        return [Say("I change to plan mode."), Use("EnterPlanMode", {})]
    if c.plan_file and "Write" not in names:
        return [Say("I write the plan down."), Use("Write", {"file_path": c.plan_file, "content": PLAN})]
    return [Say("Here is the plan."), Use("ExitPlanMode", {})]


def _remember(c: Conversation) -> Answer:
    if not c.earlier:
        return [Say("This is the first thing you asked in this chat.")]
    listed = "\n".join(f"{n}. {' '.join(asked.split())[:200]}" for n, asked in enumerate(c.earlier, 1))
    return [Say(f"Before this you asked, in this order:\n\n{listed}")]


def _long(c: Conversation) -> Answer:  # noqa: ARG001 - the shape of a play
    parts = ["# A long answer\n"]
    for n in range(1, 13):
        parts.append(f"## Part {n}\n")
        parts.append("These words say nothing new; they are here to be long. " * 6 + "\n")
        parts.append(f"```python\ndef part_{n}():\n    return {n}\n```\n")
    return [Say("\n".join(parts))]


PLAYS: Sequence[tuple[str, Callable[[Conversation], Answer]]] = (
    (r"\bplan\b", _plan),
    (BACKTICKED, _run),
    (r"fizz|\b(write|create|make|build)\b.*\b(program|script|code)\b", write_fizzbuzz),
    (r"\bask me\b|\bquestion", _ask),
    (r"\bremember\b|\bdid i (ask|say)\b", _remember),
    (r"\blook\b|\bwhat is here\b|\bexplore\b|\blist\b", _look),
    (r"\blong\b", _long),
)
