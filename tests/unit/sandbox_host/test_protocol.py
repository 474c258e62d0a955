"""The parts of the sandbox host's protocol that are pure."""

import json
import signal
import struct

import pytest

from threadwork.sandbox_host.connect_protocol import END, ConnectError, envelope, parsed
from threadwork.sandbox_host.files import part
from threadwork.sandbox_host.process_rpc import _command, _ending, _input
from threadwork.sandbox_host.watching import differences


def test_an_envelope_is_flags_length_and_json() -> None:
    raw = envelope({"a": "ü"}, END)

    flags, size = struct.unpack("!BI", raw[:5])
    assert (flags, size) == (2, len(raw) - 5)
    assert json.loads(raw[5:]) == {"a": "ü"}


@pytest.mark.parametrize("raw", [b"[]", b"{", b"3", b"\xff"])
def test_a_message_that_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(ConnectError) as refused:
        parsed(raw)
    assert refused.value.code == "invalid_argument"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, (200, 0, 10)),
        ("bytes=0-", (206, 0, 10)),
        ("bytes=3-5", (206, 3, 6)),
        ("bytes=3-99", (206, 3, 10)),
        ("bytes=-4", (206, 6, 10)),
        ("bytes=-99", (206, 0, 10)),
        ("bytes=0-1,3-4", (200, 0, 10)),
        ("bytes=-", (200, 0, 10)),
        ("lines=1-2", (200, 0, 10)),
    ],
)
def test_a_range_is_what_the_header_says(header: str | None, expected: tuple[int, int, int]) -> None:
    assert part(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=99-100", "bytes=5-4", "bytes=-0"])
def test_a_range_outside_of_the_file_is_refused(header: str) -> None:
    with pytest.raises(ValueError, match="bytes"):
        part(header, 10)


def test_an_end_is_worded_as_go_does() -> None:
    assert _ending(0) == {"exitCode": 0, "exited": True, "status": "exit status 0"}
    assert _ending(3)["error"] == "exit status 3"
    assert _ending(-signal.SIGKILL) == {
        "exitCode": -1,
        "exited": False,
        "status": "signal: killed",
        "error": "signal: killed",
    }


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"process": {"cmd": ""}},
        {"process": {"cmd": "a\0b"}},
        {"process": {"cmd": "a", "args": [3]}},
        {"process": {"cmd": "a", "envs": {"A": 1}}},
    ],
)
def test_a_command_that_makes_no_sense_is_refused(asked: dict[str, object]) -> None:
    with pytest.raises(ConnectError):
        _command(asked)


def test_input_that_is_not_base64_is_refused() -> None:
    assert _input({"input": {"pty": "YQ=="}}) == b"a"
    with pytest.raises(ConnectError):
        _input({"input": {"stdin": "?"}})


def test_differences_tell_what_happened_to_each_file() -> None:
    before = {"kept": [1, 5, 5], "changed": [2, 5, 5], "moved": [3, 5, 5], "removed": [4, 5, 5]}
    after = {"kept": [1, 5, 5], "changed": [2, 6, 9], "elsewhere": [3, 5, 5], "new": [7, 6, 1], "empty": [8, 6, 0]}

    assert [(event["name"], event["type"].removeprefix("EVENT_TYPE_")) for event in differences(before, after)] == [
        ("changed", "WRITE"),
        ("moved", "RENAME"),
        ("elsewhere", "CREATE"),
        ("empty", "CREATE"),
        ("new", "CREATE"),
        ("new", "WRITE"),
        ("removed", "REMOVE"),
    ]
