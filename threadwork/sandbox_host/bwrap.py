"""The walls of a sandbox: the bubblewrap command line, and the few files it sees as its /etc.

Its own user, pid, mount, ipc, uts and network namespaces; no capabilities; a read-only system without the host's
secrets; a private home and /tmp. As root and as a plain user the same line serves: inside, one is always uid 1000.
bubblewrap covers the parts of /proc that uid 0 outside could write. Next: `holder.py`.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from core.errors import Misconfigured

USER_ID: Final = 1000
HOME: Final = "/home/user"
CLI: Final = "/opt/claude/claude"
GATEWAY: Final = "/run/threadwork"
SUPERVISOR: Final = "/run/supervisor.py"
PATH: Final = "/home/user/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT: Final = {"PATH": PATH, "HOME": HOME, "USER": "user", "LOGNAME": "user", "LANG": "C.UTF-8"}

_SYSTEM: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC_OF_HOST: Final = (
    "ssl/certs",
    "ssl/openssl.cnf",
    "ca-certificates.conf",
    "alternatives",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "magic",
)
_ETC: Final = {
    "passwd": "root:x:0:0:root:/root:/usr/sbin/nologin\nuser:x:1000:1000::/home/user:/bin/bash\n",
    "group": "root:x:0:\nuser:x:1000:\n",
    "hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
    "hostname": "sandbox\n",
    "resolv.conf": "",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "profile": f'export PATH="{PATH}"\n',
    "gitconfig": "[safe]\n\tdirectory = *\n[init]\n\tdefaultBranch = main\n",
}


def find_bwrap() -> str:
    """Where bubblewrap is. Raises `Misconfigured` with the command that installs it, or what forbids it."""
    found = shutil.which("bwrap")
    if found is None:
        raise Misconfigured(
            "Sandboxes need bubblewrap, which is not installed. Install it: sudo apt-get install -y bubblewrap "
            "(or your system's package of that name). Running agents without walls must be asked for by name: "
            "--unsafe-no-isolation"
        )
    tried = subprocess.run(
        [found, "--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc", "true"],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    if tried.returncode != 0:
        raise Misconfigured(
            f"bubblewrap cannot make a sandbox here: {tried.stderr.strip()[:200]}. User namespaces must be allowed: "
            "sudo sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0"
        )
    return found


def bundled_cli() -> Path | None:
    """The Claude CLI in the SDK's wheel, found without importing the SDK."""
    found = importlib.util.find_spec("claude_agent_sdk")
    if found is None or found.origin is None:
        return None
    cli = Path(found.origin).parent / "_bundled" / "claude"
    return cli if cli.is_file() else None


def write_etc(folder: Path) -> None:
    """Make the small /etc that every sandbox sees."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in _ETC.items():
        (folder / name).write_text(text)


def command(bwrap: str, descriptor: int, *, etc: Path, home: Path, tmp: Path, gateway: Path | None) -> list[str]:
    """The command that runs a supervisor in a sandbox of its own; `descriptor` is its socket."""
    line = [bwrap, "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net"]
    line += ["--unshare-cgroup-try", "--uid", str(USER_ID), "--gid", str(USER_ID), "--hostname", "sandbox"]
    line += ["--die-with-parent", "--as-pid-1", "--new-session", "--cap-drop", "ALL", "--clearenv"]
    for name, value in ENVIRONMENT.items():
        line += ["--setenv", name, value]
    line += _system()
    line += ["--perms", "0755", "--dir", "/etc"]
    for name in _ETC:
        line += ["--ro-bind", str(etc / name), f"/etc/{name}"]
    for name in _ETC_OF_HOST:
        line += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    line += ["--proc", "/proc", "--dev", "/dev"]
    for parent in ("/home", "/opt", "/opt/claude", "/run", "/var", "/var/tmp", "/mnt"):  # noqa: S108 - inside
        line += ["--perms", "0755", "--dir", parent]
    line += ["--bind", str(home), HOME, "--bind", str(tmp), "/tmp"]  # noqa: S108 - its own
    cli = bundled_cli()
    if cli is not None:
        line += ["--ro-bind", str(cli), CLI]
    if gateway is not None:
        line += ["--ro-bind", str(gateway), GATEWAY]
    line += ["--ro-bind", str(Path(__file__).with_name("supervisor.py")), SUPERVISOR, "--chdir", HOME]
    python, binds = _python()
    return [*line, *binds, "--", python, "-I", "-S", SUPERVISOR, str(descriptor)]


def _system() -> list[str]:
    """The host's programs and libraries, read-only; links like /bin → usr/bin stay links."""
    line: list[str] = []
    for path in _SYSTEM:
        if Path(path).is_symlink():
            line += ["--symlink", str(Path(path).readlink()), path]
        elif Path(path).is_dir():
            line += ["--ro-bind", path, path]
    return line


def _python() -> tuple[str, Sequence[str]]:
    """An interpreter for the supervisor: the system's, or ours bound in where the system has none."""
    if os.access("/usr/bin/python3", os.X_OK):
        return "/usr/bin/python3", ()
    prefix = sys.base_prefix
    return f"{prefix}/bin/python{sys.version_info.major}.{sys.version_info.minor}", ("--ro-bind", prefix, prefix)
