"""Lines come whole, however they are cut on their way, and from a file as from a pipe."""

import asyncio
import os
from pathlib import Path

import pytest

from bots.console.typed import TypedLines


async def read(typed: TypedLines) -> str | None:
    return await asyncio.wait_for(typed.next(), 30)


async def test_a_line_is_waited_for_until_its_end() -> None:
    into, out = os.pipe()
    typed = TypedLines(into)
    os.write(out, b"one\ntw")
    assert await read(typed) == "one"
    waiting = asyncio.create_task(read(typed))
    await asyncio.sleep(0)
    assert not waiting.done()
    os.write(out, b"o\n\nno end \xff")
    os.close(out)
    assert [await waiting, await read(typed), await read(typed), await read(typed)] == [
        "two",
        "",
        "no end \ufffd",
        None,
    ]
    os.close(into)


async def test_waiting_can_be_given_up_and_taken_up_again() -> None:
    into, out = os.pipe()
    typed = TypedLines(into)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(typed.next(), 0.01)
    os.write(out, b"later\n")
    assert await read(typed) == "later"
    os.close(into)
    os.close(out)


async def test_a_file_is_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "typed").write_text("one\ntwo")
    with (tmp_path / "typed").open() as file:
        typed = TypedLines(file.fileno())
        assert [await read(typed), await read(typed), await read(typed)] == ["one", "two", None]
