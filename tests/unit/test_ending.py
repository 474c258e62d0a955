"""How the agent's program ended: a class of failure in our words, and nothing of what it printed."""

import dataclasses

import pytest

from worker.agent.ending import WORDS, Cause, Ending, ending_of

SECRET = "sk-ant-very-secret and what Ann wrote to it"


@pytest.mark.parametrize(
    ("exit_code", "printed", "signal", "cause"),
    [
        (0, "", None, Cause.UNKNOWN),
        (None, "", None, Cause.UNKNOWN),
        (1, "Error: boom", None, Cause.UNKNOWN),
        (137, "", "SIGKILL", Cause.KILLED),
        (143, "", "SIGTERM", Cause.UNKNOWN),
        (139, "", "SIGSEGV", Cause.UNKNOWN),
        (134, "FATAL ERROR: Reached heap limit - JavaScript heap out of memory", "SIGABRT", Cause.OUT_OF_MEMORY),
        (137, "fork: Cannot allocate memory", "SIGKILL", Cause.OUT_OF_MEMORY),
        (1, "Error: ENOSPC: no space left on device, write", None, Cause.DISK_FULL),
        (1, "Invalid API key · Please run /login", None, Cause.BAD_CREDENTIAL),
        (1, '{"type":"error","error":{"type":"authentication_error"}}', None, Cause.BAD_CREDENTIAL),
        (1, "Error: Cannot find module './yoga.wasm'", None, Cause.PART_MISSING),
        (127, "claude: error while loading shared libraries: libc.musl: cannot open", None, Cause.PART_MISSING),
        (126, "cannot execute binary file: Exec format error", None, Cause.NOT_RUNNABLE),
        (127, "bash: claude: No such file or directory", None, Cause.NOT_RUNNABLE),
        (255, "", None, Cause.UNKNOWN),
    ],
)
def test_a_class_of_failure_is_recognised(
    exit_code: int | None, printed: str, signal: str | None, cause: Cause
) -> None:
    assert ending_of(exit_code, printed) == Ending(exit_code, signal, cause)


def test_a_full_disk_is_the_reason_whatever_was_printed() -> None:
    assert ending_of(137, "out of memory", is_full=True) == Ending(137, "SIGKILL", Cause.DISK_FULL)


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_has_words_of_ours(cause: Cause) -> None:
    assert cause is Cause.UNKNOWN or WORDS[cause].endswith(".")


def test_nothing_of_what_was_printed_is_kept() -> None:
    ending = ending_of(1, f"ENOSPC while writing {SECRET}")
    assert dataclasses.asdict(ending) == {"exit_code": 1, "signal": None, "cause": "disk_full"}
