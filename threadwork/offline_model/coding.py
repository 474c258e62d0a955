"""The play that writes a program: a task list, a file with a mistake, a run that fails, the mend, a run, a report.

It goes by what the tools really answered: when the run fails for another reason than the script's own mistake, it
says so and stops. Next: `wire.py`.
"""

import re
from collections.abc import Sequence

from threadwork.offline_model.answer import Answer, Say, Think, Use, load, run
from threadwork.offline_model.conversation import Call, Conversation

WRONG = "    return number\n"
RIGHT = "    return str(number)\n"
PROGRAM = f'''"""FizzBuzz: the numbers from 1 to 20, with Fizz for threes and Buzz for fives."""


def fizzbuzz(number):
    if number % 15 == 0:
        return "FizzBuzz"
    if number % 3 == 0:
        return "Fizz"
    if number % 5 == 0:
        return "Buzz"
{WRONG}

print("\\n".join(fizzbuzz(number) for number in range(1, 21)))
'''
TASKS = (("Write fizzbuzz.py", "Writing fizzbuzz.py"), ("Run it and mend what fails", "Running it"))


def write_fizzbuzz(c: Conversation, after: int = 0) -> Answer:
    """The next answer of the play; its first `after` rounds belonged to something else."""
    path = f"{c.folder}/fizzbuzz.py"
    rounds = [group for group in c.rounds[after:] if not _is_detour(group)]
    if c.rounds[after:] and any(_needs_reading(call) for call in c.rounds[-1]):
        return [Say("The file is there already, so I read it first."), Use("Read", {"file_path": path})]
    steps = _preparation(c)
    if len(rounds) < len(steps):
        return steps[len(rounds)]
    return _work(c, rounds[len(steps) :], path)


def _work(c: Conversation, rounds: Sequence[Sequence[Call]], path: str) -> Answer:
    calls = [call for group in rounds for call in group if call.name in {"Write", "Bash", "Edit"}]
    run_it = run("python3 fizzbuzz.py", "Run fizzbuzz.py")
    match [call.name for call in calls]:
        case []:
            write = Use("Write", {"file_path": path, "content": PROGRAM})
            opening = [] if _offers_tasks(c) else _opening(c)
            return [*opening, Say("I write the program."), *_progress(c, "in_progress", "pending"), write]
        case ["Write"]:
            return [Say("Now I run it."), *_progress(c, "completed", "in_progress"), run_it]
        case ["Write", "Bash"] if "TypeError" in calls[1].result:
            words = "The run failed with a `TypeError`: `join` wants text, and my function gives numbers. I mend that."
            return [Say(words), Use("Edit", {"file_path": path, "old_string": WRONG, "new_string": RIGHT})]
        case ["Write", "Bash", "Edit"]:
            return [Say("And once more."), run_it]
        case _ if not calls[-1].is_error and _offers_tasks(c) and not _is_closed(rounds[-1]):
            return [*_progress(c, "completed", "completed")]
        case _:
            return [Say(_report(calls))]


def _report(calls: Sequence[Call]) -> str:
    last = calls[-1]
    output = last.result.strip() or "(no output)"
    if last.is_error:
        return f"`fizzbuzz.py` is written, but the run failed in a way my script does not know:\n\n```\n{output}\n```"
    mended = "- Mended: `return number` gave an `int`, now `return str(number)`\n" if len(calls) > 2 else ""
    runs = sum(call.name == "Bash" for call in calls)
    return (
        "### Done\n\n- Wrote `fizzbuzz.py`\n"
        f"{mended}- Ran it {'twice' if runs == 2 else 'once'}; the last output:\n\n```\n{output}\n```\n"
    )


def _preparation(c: Conversation) -> Sequence[Answer]:
    """The rounds before the work: loading the task tools, and making the list."""
    opening = _opening(c)
    if c.offers("TaskCreate", "TaskUpdate"):
        listed: Answer = [
            Use("TaskCreate", {"subject": subject, "description": subject, "activeForm": active})
            for subject, active in TASKS
        ]
        if {"TaskCreate", "TaskUpdate"} & c.deferred:
            return [[*opening, load("TaskCreate", "TaskUpdate")], listed]
        return [[*opening, *listed]]
    if c.offers("TodoWrite"):
        if "TodoWrite" in c.deferred:
            return [[*opening, load("TodoWrite")], [_todos("pending", "pending")]]
        return [[*opening, _todos("pending", "pending")]]
    return []


def _opening(c: Conversation) -> Answer:
    thinks = [Think("A small program. I write it down, run it, and see what happens.")] if c.thinks else []
    return [*thinks, Say("I write `fizzbuzz.py`, run it, and mend what fails.")]


def _progress(c: Conversation, *states: str) -> Sequence[Use]:
    if c.offers("TaskCreate", "TaskUpdate"):
        made = [re.search(r"#(\d+)", call.result) for call in c.calls if call.name == "TaskCreate"]
        numbers = [found[1] for found in made if found]
        pairs = zip(numbers, states, strict=False)
        return [Use("TaskUpdate", {"taskId": n, "status": state}) for n, state in pairs if state != "pending"]
    return [_todos(*states)] if c.offers("TodoWrite") else []


def _todos(*states: str) -> Use:
    listed = [
        {"content": subject, "activeForm": active, "status": state}
        for (subject, active), state in zip(TASKS, states, strict=True)
    ]
    return Use("TodoWrite", {"todos": listed})


def _offers_tasks(c: Conversation) -> bool:
    return c.offers("TaskCreate", "TaskUpdate") or c.offers("TodoWrite")


def _is_closed(group: Sequence[Call]) -> bool:
    """Whether the round did nothing but close the list."""
    return all(call.name in {"TaskUpdate", "TodoWrite"} for call in group)


def _needs_reading(call: Call) -> bool:
    return call.name == "Write" and call.is_error and "read" in call.result.lower()


def _is_detour(group: Sequence[Call]) -> bool:
    return any(call.name == "Read" or _needs_reading(call) for call in group)
