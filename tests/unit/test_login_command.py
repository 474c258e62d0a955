"""The way into the admin page can be pasted into a shell, whatever the data folder is called."""

import shlex
from pathlib import Path

import pytest

from core.settings import default_data_dir
from threadwork.up import login_command


def test_the_default_folder_is_not_named() -> None:
    assert login_command(default_data_dir()) == "threadwork admin login"


def test_a_plain_folder_is_named_as_it_is() -> None:
    assert login_command(Path("/tmp/a")) == "threadwork admin login --data-dir /tmp/a"


@pytest.mark.parametrize("folder", ["/tmp/a b", "/tmp/it's", "/tmp/$HOME;x"])
def test_a_shell_reads_the_folder_as_one_word(folder: str) -> None:
    assert shlex.split(login_command(Path(folder))) == ["threadwork", "admin", "login", "--data-dir", folder]
