"""Where a path leads in a chat's sandbox: into the workspace, into scratch space, or elsewhere; and which hold secrets.

Pure text: links are the sandbox's business (it lets no path out). Next: `risk.py`.
"""

import posixpath
import re
from collections.abc import Collection
from typing import Final

WORKSPACE: Final = "/home/user/work"
HOME: Final = "/home/user"
_SCRATCH: Final = ("/tmp", "/var/tmp")  # noqa: S108 - the sandbox's own
_DEVICES: Final = frozenset(("/dev/null", "/dev/stdout", "/dev/stderr", "/dev/stdin", "/dev/tty", "/dev/zero"))
_SECRET: Final = re.compile(
    r"""(?:^|[/:])(?:
        \.env(?:\.(?!example$|sample$|template$|dist$)[\w.-]*)?$ | \.envrc$
        | id_(?:rsa|dsa|ecdsa|ed25519)[^/]*$ | \.ssh(?:/|$) | \.gnupg(?:/|$) | \.aws(?:/|$) | \.azure(?:/|$)
        | \.config/(?:gcloud|gh|hub)(?:/|$) | \.kube(?:/|$) | \.docker(?:/|$)
        | \.netrc$ | _netrc$ | \.npmrc$ | \.pypirc$ | \.pgpass$ | \.my\.cnf$ | \.git-credentials$ | \.htpasswd$
        | [^/]*\.(?:pem|key|p12|pfx|keystore|jks|kdbx)$
        | (?:[\w-]+[._-])?(?:credentials?|secrets?)(?:\.(?:json|ya?ml|toml|ini|txt|env|xml))?$
        | \.(?:bash|zsh)_history$ | \.claude(?:\.json$|/(?:\.credentials|settings)[^/]*$)
    ) | ^/etc/(?:g?shadow|sudoers)  | ^/proc/[^/]+/(?:environ|mem|cmdline)$ | ^/run/secrets(?:/|$)""",
    re.VERBOSE | re.IGNORECASE,
)
_SECRET_NAME: Final = re.compile(
    r"(?:^|_)(?:API_?KEY|(?:ACCESS|SECRET|PRIVATE|AUTH)_?(?:KEY|TOKEN)?|TOKEN|SECRETS?|PASSWORD|PASSWD|CREDENTIALS?)(?:_|$)",
    re.IGNORECASE,
)


def resolve(path: str, cwd: str = WORKSPACE) -> str:
    """The absolute, normal form of a path, `~` being the sandbox user's home."""
    if path == "~" or path.startswith("~/"):
        path = HOME + path[1:]
    whole = posixpath.normpath(posixpath.join(cwd, path))
    return "/" + whole.lstrip("/")


def is_within(path: str, folder: str) -> bool:
    """Whether an absolute, normal path is that folder or in it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def is_free(path: str, cwds: Collection[str] = (WORKSPACE,)) -> bool:
    """Whether a path may be written freely, whichever of `cwds` it is taken from: workspace, scratch, `/dev/null`."""
    if path.startswith("~") and path != "~" and not path.startswith("~/"):
        return False
    places = [resolve(path, cwd) for cwd in cwds]
    return bool(places) and all(
        place in _DEVICES or any(is_within(place, folder) for folder in (WORKSPACE, *_SCRATCH)) for place in places
    )


def is_guarded(path: str) -> bool:
    """Whether a file in the workspace makes other programs run something: hooks, and the agent's own settings."""
    return bool(re.search(r"(?:^|/)\.git/(?:hooks(?:/|$)|config$)|(?:^|/)\.claude/(?!plans/)", path))


def is_secret(path: str) -> bool:
    """Whether a path looks like one where keys and passwords are kept."""
    return bool(_SECRET.search(path))


def is_secret_name(variable: str) -> bool:
    """Whether an environment variable's name says that it holds a secret."""
    return bool(_SECRET_NAME.search(variable))


def shortened(path: str) -> str:
    """A path as people read it: relative to the workspace, or from `~`."""
    if path.startswith("/"):
        path = resolve(path)
    if path == WORKSPACE:
        return "."
    if is_within(path, WORKSPACE):
        return path[len(WORKSPACE) + 1 :]
    if is_within(path, HOME):
        return "~" + path[len(HOME) :]
    return path
