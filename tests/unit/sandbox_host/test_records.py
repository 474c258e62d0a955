"""What is kept of sandboxes, and the command line of their walls."""

from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import Misconfigured
from threadwork.sandbox_host import bwrap
from threadwork.sandbox_host.cgroup import Cgroups
from threadwork.sandbox_host.record import ID, Record, iso, new_id, read_all
from threadwork.sandbox_host.settings import HostSettings, Limits
from threadwork.sandbox_host.walls import Walls, find_walls

NO_CGROUPS = Cgroups(None, Limits())
RECORD = Record("i" + "a" * 19, "base", {"chat": "c1"}, {"A": "b"}, 1000.25, 2000.0, uid=7, idempotency="k")


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / RECORD.id
    folder.mkdir()
    RECORD.write(folder)

    assert list(read_all(tmp_path)) == [RECORD]
    assert (folder / "sandbox.json").stat().st_mode & 0o777 == 0o600


def test_records_that_cannot_be_read_harm_no_other(tmp_path: Path) -> None:
    for name, text in (
        ("torn", '{"id"'),
        ("list", "[]"),
        ("few", '{"id": "x"}'),
        (RECORD.id[::-1], None),
        (RECORD.id, None),
    ):
        (tmp_path / name).mkdir()
        if text is None:
            RECORD.write(tmp_path / name)
        else:
            (tmp_path / name / "sandbox.json").write_text(text)

    assert list(read_all(tmp_path)) == [RECORD], "the other folder's name is not its id"


def test_a_record_of_a_later_version_is_read(tmp_path: Path) -> None:
    folder = tmp_path / RECORD.id
    folder.mkdir()
    RECORD.write(folder)
    path = folder / "sandbox.json"
    path.write_text(path.read_text()[:-1] + ', "of_later": 1}')

    assert list(read_all(tmp_path)) == [RECORD]


def test_ids_are_new_and_no_paths() -> None:
    ids = {new_id() for _ in range(100)}

    assert len(ids) == 100
    assert all(ID.match(one) for one in ids)
    assert not any(ID.match(one) for one in ("", ".", "../" + "a" * 17, "a" * 21, "a" * 20 + "\n", "A" * 20))


def test_times_are_written_as_e2b_writes_them() -> None:
    assert iso(0.25) == "1970-01-01T00:00:00.250Z"


def test_no_two_sandboxes_have_the_same_user(tmp_path: Path) -> None:
    walls = Walls("bwrap", 100, HostSettings(tmp_path), NO_CGROUPS)

    assert walls.free_uid([replace(RECORD, uid=100), replace(RECORD, uid=102)]) == 101
    assert Walls("bwrap", None, HostSettings(tmp_path), NO_CGROUPS).free_uid([]) is None


@pytest.mark.parametrize("has_own_uid", [True, False])
def test_every_parent_of_what_is_bound_is_open_to_the_user(tmp_path: Path, has_own_uid: bool) -> None:
    line = bwrap.command("bwrap", tmp_path, tmp_path, tmp_path / "gateway", has_own_uid=has_own_uid)

    opened = {line[at + 3] for at, word in enumerate(line[:-3]) if word == "--perms" and line[at + 1] == "0755"}
    bound = {line[at + 2] for at, word in enumerate(line[:-2]) if word in {"--ro-bind", "--ro-bind-try", "--bind"}}
    for path in bound:
        parents = {str(parent) for parent in Path(path).parents} - {"/"}
        assert parents <= opened | {"/tmp", "/dev", "/usr"}, path
    assert {"--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent"} <= set(line)
    assert ("--unshare-user" in line) != has_own_uid


def test_nothing_of_the_hosts_etc_that_is_private_is_bound(tmp_path: Path) -> None:
    line = bwrap.command("bwrap", tmp_path, tmp_path, None, has_own_uid=True)

    sources = {line[at + 1] for at, word in enumerate(line) if word in {"--ro-bind", "--ro-bind-try", "--bind"}}
    assert (
        not {"/", "/etc", "/home", "/root", "/run", "/var", "/etc/shadow", "/etc/passwd", "/etc/ssh", "/etc/ssl"}
        & sources
    )


def test_without_bubblewrap_there_are_no_walls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Misconfigured, match="sudo apt-get install -y bubblewrap"):
        find_walls(HostSettings(tmp_path))
    assert find_walls(HostSettings(tmp_path, is_isolated=False)).bwrap is None
