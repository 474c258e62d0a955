"""The installation's secret, and what is sealed with it."""

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.crypto import FILE, decode_secret, decrypt, encode_secret, encrypt, find_secret
from core.errors import Misconfigured

SECRET = bytes(range(32))


def test_a_secret_is_made_once_and_kept_for_its_owner_only(tmp_path: Path) -> None:
    made = find_secret(None, tmp_path / "new" / "data")
    path = tmp_path / "new" / "data" / FILE
    assert len(made) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert find_secret(None, tmp_path / "new" / "data") == made
    assert find_secret("", tmp_path / "other") != made


def test_a_given_secret_wins_and_leaves_no_file(tmp_path: Path) -> None:
    assert find_secret(encode_secret(SECRET), tmp_path / "data") == SECRET
    assert not (tmp_path / "data").exists()


def test_programs_that_start_at_once_have_the_same_secret(tmp_path: Path) -> None:
    for attempt in range(20):
        folder = tmp_path / str(attempt)
        with ThreadPoolExecutor(8) as pool:
            found = set(pool.map(lambda _, folder=folder: find_secret(None, folder), range(8)))
        assert len(found) == 1


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_secret_that_others_can_read_is_refused_with_the_mend(tmp_path: Path, mode: int) -> None:
    find_secret(None, tmp_path)
    path = tmp_path / FILE
    path.chmod(mode)
    with pytest.raises(Misconfigured, match=f"chmod 600 {path}"):
        find_secret(None, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hunter2",
        "Ä" * 44,
        base64.b64encode(bytes(31)).decode(),
        base64.b64encode(bytes(33)).decode(),
        base64.urlsafe_b64encode(b"\xff" * 32).decode(),
        bytes(32).hex(),
    ],
)
def test_a_secret_that_is_not_32_bytes_in_base64_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Misconfigured, match="THREADWORK_SECRET_KEY must be 32 bytes in base64") as refused:
        decode_secret(text)
    assert "Example: THREADWORK_SECRET_KEY=" in refused.value.words
    assert not text or text not in refused.value.words


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    find_secret(None, tmp_path)
    (tmp_path / FILE).write_text("")
    with pytest.raises(Misconfigured, match=str(tmp_path / FILE)):
        find_secret(None, tmp_path)


def test_a_data_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match=str(tmp_path / "file")):
        find_secret(None, tmp_path / "file" / "data")


def test_making_a_secret_leaves_nothing_else_behind(tmp_path: Path) -> None:
    find_secret(None, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_space_around_a_secret_does_no_harm() -> None:
    assert decode_secret(f"  {encode_secret(SECRET)}\n") == SECRET


@pytest.mark.parametrize("text", ["", "xoxb-1", "Schlüssel 🔑", "x" * 100_000])
def test_what_was_sealed_opens_again(text: str) -> None:
    sealed = encrypt(SECRET, text, "secrets:slack")
    assert decrypt(SECRET, sealed, "secrets:slack") == text
    assert not text or text.encode() not in sealed


def test_the_same_text_is_sealed_differently_each_time() -> None:
    assert encrypt(SECRET, "x", "a") != encrypt(SECRET, "x", "a")


def test_a_sealed_text_opens_in_its_place_only_and_with_its_secret_only() -> None:
    sealed = encrypt(SECRET, "text", "secrets:slack")
    with pytest.raises(Misconfigured, match="THREADWORK_SECRET_KEY"):
        decrypt(SECRET, sealed, "secrets:discord")
    with pytest.raises(Misconfigured, match="THREADWORK_SECRET_KEY"):
        decrypt(SECRET[::-1], sealed, "secrets:slack")


@pytest.mark.parametrize("keep", [0, 5, 12, 20])
def test_a_torn_or_changed_text_does_not_open(keep: int) -> None:
    sealed = encrypt(SECRET, "text", "a")
    with pytest.raises(Misconfigured):
        decrypt(SECRET, sealed[:keep], "a")
    changed = bytearray(sealed)
    changed[keep] ^= 1
    with pytest.raises(Misconfigured):
        decrypt(SECRET, bytes(changed), "a")
