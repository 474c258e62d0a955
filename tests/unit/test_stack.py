"""A data folder that no stack can run on is refused by its setting's name, with the reason and an example."""

import socket
from pathlib import Path

import pytest

from core.errors import Misconfigured
from threadwork.stack import borrowed_stack, gateway_socket, in_use, only_stack, read_stack

EXAMPLE = r"\. Example: THREADWORK_DATA_DIR=/\S+$"


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_data_folder_that_is_a_file_is_refused_by_whoever_looks_for_a_stack(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    for use in (read_stack, lambda folder: only_stack(folder).__enter__(), lambda folder: in_use(folder).__enter__()):
        with pytest.raises(Misconfigured, match=f"THREADWORK_DATA_DIR=.*{name} .*it is not a folder{EXAMPLE}"):
            use(tmp_path / name)


def test_nothing_runs_on_a_data_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert read_stack(tmp_path / "none") is None


def test_the_longest_data_folder_that_is_let_through_has_room_for_the_gateways_socket(tmp_path: Path) -> None:
    longest = tmp_path / ("x" * (86 - len(str(tmp_path)) - 1))
    path = gateway_socket(longest)
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
    with pytest.raises(Misconfigured, match=f"it is 87 bytes long, and a socket in it leaves room for 86{EXAMPLE}"):
        gateway_socket(longest.with_name(f"{longest.name}x"))


async def test_a_stack_is_not_even_started_on_a_folder_that_is_too_long(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100)
    with pytest.raises(Misconfigured, match=EXAMPLE):
        async with borrowed_stack(folder):
            pass
    assert not (folder / "up.log").exists()
