"""The file by which a container's healthcheck sees that a worker or bot is well."""

from pathlib import Path

import pytest

from core.errors import Misconfigured
from threadwork.beat import FRESH_S, beating, why_not_alive


async def test_a_program_is_alive_from_its_start_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "beat"
    assert "not ready yet" in why_not_alive(file)
    async with beating(file):
        assert why_not_alive(file) == ""
    assert "not ready yet" in why_not_alive(file)


async def test_one_that_hangs_is_not(tmp_path: Path) -> None:
    file = tmp_path / "beat"
    async with beating(file):
        assert "hangs" in why_not_alive(file, now=file.stat().st_mtime + FRESH_S)


async def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="no-such-folder"):
        async with beating(tmp_path / "no-such-folder" / "beat"):
            raise AssertionError
