"""The walls of a sandbox: the bubblewrap command line, and the few files it sees as its /etc.

Its own pid, mount, ipc, uts and network namespaces (with `lo` up), no capabilities, a read-only system without the
host's secrets, a private home, /tmp and /dev/shm that are on disk and so within the disk limit, and nothing else that
can be written to. The supervisor gives up what rights are left. Next: `holder.py`.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

USER_ID: Final = 1000
HOME: Final = "/home/user"
CLI: Final = "/opt/claude/claude"
GATEWAY: Final = "/run/threadwork"
_INSIDE: Final = "/run/host"
_SYSTEM: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC_OF_HOST: Final = (
    "alternatives",
    "ca-certificates.conf",
    "debian_version",
    "fonts",
    "java-*",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "locale.alias",
    "localtime",
    "magic",
    "magic.mime",
    "mime.types",
    "os-release",
    "perl",
    "protocols",
    "python3*",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
)
_ETC: Final = {
    "hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
    "hostname": "sandbox\n",
    "resolv.conf": "",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
    "profile": 'umask 022\n[ -n "$PATH" ] || export PATH=/usr/local/bin:/usr/bin:/bin\n',
    "gitconfig": "[safe]\n\tdirectory = *\n[init]\n\tdefaultBranch = main\n",
    "shells": "/bin/sh\n/bin/bash\n",
}


def write_etc(folder: Path) -> None:
    """Make the part of /etc that all sandboxes share."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in _ETC.items():
        _write(folder / name, content)


def write_users(folder: Path, uid: int) -> None:
    """Make a sandbox's own user list."""
    _write(
        folder / "passwd",
        f"root:x:0:0:root:/root:/usr/sbin/nologin\nuser:x:{uid}:{uid}::{HOME}:/bin/bash\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    )
    _write(folder / "group", f"root:x:0:\nuser:x:{uid}:\nnogroup:x:65534:\n")


def _write(path: Path, content: str) -> None:
    path.write_text(content)
    path.chmod(0o644)


def bundled_cli() -> Path | None:
    """The Claude CLI in the SDK's wheel, found without importing the SDK."""
    found = importlib.util.find_spec("claude_agent_sdk")
    if found is None or found.origin is None:
        return None
    cli = Path(found.origin).parent / "_bundled" / "claude"
    return cli if os.access(cli, os.R_OK | os.X_OK) else None


def _namespaces(bwrap: str, *, has_own_uid: bool) -> list[str]:
    line = [bwrap, "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net", "--unshare-cgroup-try"]
    line += ["--die-with-parent", "--as-pid-1", "--hostname", "sandbox", "--clearenv", "--cap-drop", "ALL"]
    if has_own_uid:
        # What it takes to become an unprivileged user, which is the first thing the supervisor does.
        for name in ("SETUID", "SETGID", "SETPCAP"):
            line += ["--cap-add", f"CAP_{name}"]
    else:
        line += ["--unshare-user", "--uid", str(USER_ID), "--gid", str(USER_ID)]
    return line


def command(bwrap: str, system: Path, folder: Path, gateway: Path | None, *, has_own_uid: bool) -> list[str]:
    """The command that runs a supervisor in the sandbox of `folder`; its arguments follow."""
    line = [*_namespaces(bwrap, has_own_uid=has_own_uid), "--setenv", "HOME", HOME]
    line += [*_system(), "--proc", "/proc", "--dev", "/dev"]
    for parent in ("/etc", "/etc/ssl", "/home", "/opt", "/opt/claude", "/run", "/var", "/mnt", "/srv"):
        # Parents that bubblewrap makes by itself are closed to everyone but their owner.
        line += ["--perms", "0755", "--dir", parent]
    for name in _ETC:
        line += ["--ro-bind", str(system / name), f"/etc/{name}"]
    for name in ("passwd", "group"):
        line += ["--ro-bind", str(folder / name), f"/etc/{name}"]
    for pattern in _ETC_OF_HOST:
        for path in sorted(Path("/etc").glob(pattern)):
            line += ["--ro-bind-try", str(path), str(path)]
    for name, inside in (("home", HOME), ("tmp", "/tmp"), ("shm", "/dev/shm")):  # noqa: S108 - its own
        line += ["--bind", str(folder / name), inside]
    line += ["--symlink", "/tmp", "/var/tmp", "--symlink", "/proc/mounts", "/etc/mtab"]  # noqa: S108 - its own
    cli = bundled_cli()
    if cli is not None:
        line += ["--ro-bind", str(cli), CLI]
    if gateway is not None:
        # The folder, not the socket: a gateway that starts anew makes a new one.
        line += ["--ro-bind", str(gateway.absolute()), GATEWAY]
    code = f"{_INSIDE}/threadwork/sandbox_host/inside"
    for parent in (_INSIDE, f"{_INSIDE}/threadwork", f"{_INSIDE}/threadwork/sandbox_host"):
        line += ["--perms", "0755", "--dir", parent]
    line += ["--ro-bind", str(Path(__file__).with_name("inside")), code]
    python, binds = _python()
    return [*line, *binds, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/", python, *supervisor(_INSIDE)]


def supervisor(root: str) -> list[str]:
    """The interpreter's arguments that run the supervisor from the package under `root`."""
    start = "import sys; sys.path.insert(0, {!r}); from threadwork.sandbox_host.inside.supervisor import main; main()"
    return ["-I", "-S", "-B", "-c", start.format(root)]


def refusal(bwrap: str, *, has_own_uid: bool) -> str:
    """Why these walls cannot be had here; empty when they can."""
    line = [*_namespaces(bwrap, has_own_uid=has_own_uid), *_system(), "--proc", "/proc", "--dev", "/dev", "/bin/true"]
    try:
        tried = subprocess.run(line, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if tried.returncode == 0 else tried.stderr.strip()[-200:] or f"exit code {tried.returncode}"


def _system() -> list[str]:
    """The host's programs and libraries, read-only; links like /bin → usr/bin stay links."""
    line: list[str] = []
    for name in _SYSTEM:
        path = Path(name)
        if path.is_symlink():
            line += ["--symlink", str(path.readlink()), name]
        elif path.is_dir():
            line += ["--ro-bind", name, name]
    return line


def _python() -> tuple[str, list[str]]:
    """An interpreter for the supervisor: the system's, or ours bound in where the system has none."""
    if os.access("/usr/bin/python3", os.X_OK):
        return "/usr/bin/python3", []
    inside = "/opt/python"
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return f"{inside}/bin/{name}", ["--ro-bind", sys.base_prefix, inside, "--setenv", "PYTHONHOME", inside]
