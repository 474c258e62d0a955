"""Cgroups, on a folder that looks like the kernel's."""

import os
import subprocess
from pathlib import Path

import pytest

from threadwork.sandbox_host.cgroup import find_cgroups
from threadwork.sandbox_host.settings import Limits

LIMITS = Limits(memory_mb=64, disk_mb=None, processes=50)


def a_tree(root: Path, controllers: str = "cpu memory pids") -> Path:
    (root / "cgroup.controllers").write_text(controllers)
    (root / "threadwork" / "i1").mkdir(parents=True)
    for path in ("", "threadwork"):
        (root / path / "cgroup.subtree_control").touch()
    for name in ("memory.max", "pids.max", "cgroup.procs"):
        (root / "threadwork" / "i1" / name).touch()
    return root


@pytest.fixture(autouse=True)
def _as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def test_a_sandbox_starts_in_a_cgroup_with_its_limits(tmp_path: Path) -> None:
    cgroups = find_cgroups(LIMITS, a_tree(tmp_path))
    mine = tmp_path / "threadwork" / "i1"

    command = cgroups.entered("i1", ["sh", "-c", "echo $$"])
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)

    assert (mine / "memory.max").read_text() == str(64 << 20)
    assert (mine / "pids.max").read_text() == "50"
    assert not (mine / "memory.swap.max").exists(), "a kernel that does not count swap is not asked to"
    assert (mine / "cgroup.procs").read_text() == ran.stdout
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory +pids"


@pytest.mark.parametrize("controllers", ["", "cpu memory"])
def test_without_the_controllers_nothing_is_changed(tmp_path: Path, controllers: str) -> None:
    cgroups = find_cgroups(LIMITS, a_tree(tmp_path, controllers))

    assert cgroups.folder is None
    assert cgroups.entered("i1", ["true"]) == ["true"]
    assert (tmp_path / "cgroup.subtree_control").read_text() == ""


def test_a_cgroup_that_cannot_be_entered_keeps_no_sandbox_from_starting(tmp_path: Path) -> None:
    cgroups = find_cgroups(LIMITS, a_tree(tmp_path))
    (tmp_path / "threadwork" / "i1" / "cgroup.procs").unlink()
    (tmp_path / "threadwork" / "i1" / "cgroup.procs").mkdir()

    assert subprocess.run(cgroups.entered("i1", ["true"]), check=False, timeout=30, capture_output=True).returncode == 0


def test_a_machine_without_cgroups_has_none(tmp_path: Path) -> None:
    assert find_cgroups(LIMITS, tmp_path / "nowhere").folder is None
