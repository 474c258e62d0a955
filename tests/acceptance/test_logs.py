"""What a turn leaves in the log: each line says whose it is, and none what people or the agent said."""

import json
from typing import Any

from tests.acceptance.program import running, until

WORDS = "write fizzbuzz.py and run it"
SAID = (WORDS, "I write fizzbuzz.py", "FizzBuzz")


def test_every_line_of_a_run_says_whose_it_is_and_none_what_was_said() -> None:
    with running(THREADWORK_LOG="debug", THREADWORK_LOG_FORMAT="json") as (installed, up):
        spoken = installed.chat("main", WORDS)
        assert spoken.code == 0, spoken.err

        def lines() -> list[dict[str, Any]]:
            # Each program's lines come with its name before them.
            said = [line.partition(" | ") for line in up.err.read_text().splitlines()]
            found = [json.loads(line) for name, _, line in said if name.strip() == "worker" and line.endswith("}")]
            return [line for line in found if "chat" in line]

        def ends() -> list[dict[str, Any]]:
            return [line for line in lines() if line["event"] == "turn_ended"]

        until(ends)
        of_run = lines()
        text = up.err.read_text()

    assert {"turn_began", "turn_ended"} < {line["event"] for line in of_run}
    for line in of_run:
        assert all(line.get(name) for name in ("tenant", "chat", "turn", "epoch")), line
    assert {line["turn"] for line in of_run} == {spoken.last["turn"]}
    assert [words for words in SAID if words in text] == []
