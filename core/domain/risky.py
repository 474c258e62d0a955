"""The names of risky commands, and why each is one. Data only; `risk.py` reads it.

A command's own first word decides (`ALWAYS`), or the first word after its options (`INNER`, where `*` is any other),
or words in code that an interpreter is given on the spot (`CODE_HINTS`).
"""

import re
from typing import Final

NETWORK: Final = "reaches the network"
INSTALLS: Final = "downloads and installs software"
SERVICES: Final = "acts on systems outside the sandbox"
PUSHES: Final = "pushes to a remote"
PUBLISHES: Final = "publishes a package"
DELETES: Final = "deletes files"
DISCARDS: Final = "throws away changes"
SECRETS: Final = "may show secrets"
RIGHTS: Final = "takes other rights"
OUTSIDE: Final = "touches files outside the workspace"
UNCLEAR: Final = "runs something that cannot be read here"
STOPS: Final = "stops other programs"
LATER: Final = "runs something later, on its own"


def _names(names: str, why: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), why)


ALWAYS: Final[dict[str, str]] = {
    **_names(
        "curl wget wget2 ssh scp sftp ssh-copy-id rsync nc ncat netcat socat telnet ftp lftp tftp aria2c dig "
        "nslookup host ping ping6 traceroute tracepath mtr whois nmap http https xh httpie w3m lynx links "
        "elinks cloudflared ngrok tailscale mail mailx sendmail mutt msmtp swaks youtube-dl yt-dlp rclone "
        "s3cmd ab wrk hey k6 websocat grpcurl",
        NETWORK,
    ),
    **_names(
        "aws gcloud gsutil bq az kubectl helm terraform tofu pulumi ansible ansible-playbook docker "
        "docker-compose podman nerdctl buildah skopeo gh glab hub heroku fly flyctl vercel netlify wrangler "
        "railway supabase firebase doctl linode-cli eksctl vault psql mysql mysqldump pg_dump mongosh mongo "
        "redis-cli sqlcmd stripe twilio sentry-cli claude codex",
        SERVICES,
    ),
    **_names(
        "apt apt-get aptitude dpkg dnf yum rpm apk pacman zypper brew port snap flatpak pipx conda mamba micromamba "
        "npx bunx uvx pnpx easy_install nvm rustup sdk asdf mise corepack nix-env nix-shell nix",
        INSTALLS,
    ),
    **_names("twine gem-push", PUBLISHES),
    **_names(
        "sudo su doas pkexec chroot nsenter unshare mount umount setcap insmod modprobe useradd usermod userdel "
        "adduser passwd chpasswd visudo systemctl service shutdown reboot halt poweroff init iptables nft sysctl "
        "gdb strace ltrace ptrace mkfs fdisk parted losetup",
        RIGHTS,
    ),
    **_names("shred wipe", DELETES),
    **_names("pkill killall fuser", STOPS),
    **_names("crontab at batch", LATER),
    **_names(
        "alias enable hash mapfile readarray complete bind watch parallel entr script screen tmux expect ssh-agent "
        "taskset chrt prlimit flock runuser setarch linux32 linux64 unbuffer xvfb-run dbus-run-session direnv "
        "start-stop-daemon run-parts rlwrap sshpass proxychains proxychains4 torsocks faketime fakeroot firejail "
        "bwrap vim vi nvim ed ex emacs",
        UNCLEAR,
    ),
    **_names("printenv op doppler dotenv pass gpg security secret-tool ssh-keygen ssh-add", SECRETS),
}

# The first word after the command's own options, and what it means. `*`: any other; "" : none.
_OK: Final = ""
INNER: Final[dict[str, dict[str, str]]] = {
    "git": {
        **_names("push send-email send-pack", PUSHES),
        **_names("clone fetch pull ls-remote remote-https fetch-pack svn p4 lfs request-pull daemon instaweb", NETWORK),
        **_names("submodule", NETWORK),
        **_names("credential credential-store credential-cache", SECRETS),
        **_names("filter-branch gc prune reflog", DISCARDS),
    },
    "pip": {**_names("install download wheel search index", INSTALLS), "uninstall": DELETES},
    "uv": {
        **_names("add sync tool python self init", INSTALLS),
        "publish": PUBLISHES,
        "pip": INSTALLS,
        "lock": INSTALLS,
    },
    "poetry": {**_names("add install update lock self", INSTALLS), "publish": PUBLISHES},
    "pdm": {**_names("add install update sync lock", INSTALLS), "publish": PUBLISHES},
    "pipenv": {**_names("install update sync lock", INSTALLS)},
    "hatch": {"publish": PUBLISHES},
    "npm": {
        **_names("run run-script test t tst start stop ls list version help pkg explain root prefix bin", _OK),
        **_names("publish unpublish deprecate dist-tag access owner", PUBLISHES),
        **_names("config token login adduser whoami", SECRETS),
        "*": INSTALLS,
    },
    "pnpm": {**_names("run test t start ls list", _OK), "publish": PUBLISHES, "*": INSTALLS},
    "yarn": {
        **_names("run test start list build lint dev", _OK),
        "publish": PUBLISHES,
        "npm": PUBLISHES,
        "*": INSTALLS,
    },
    "bun": {**_names("add install i create x update upgrade", INSTALLS), "publish": PUBLISHES},
    "deno": {**_names("install add upgrade publish", INSTALLS)},
    "cargo": {**_names("install add fetch update search", INSTALLS), **_names("publish login owner yank", PUBLISHES)},
    "go": {**_names("get install", INSTALLS), "mod": INSTALLS},
    "gem": {**_names("install update fetch", INSTALLS), **_names("push yank signin", PUBLISHES)},
    "bundle": {**_names("install update add", INSTALLS)},
    "composer": {**_names("install update require global create-project", INSTALLS)},
    "dotnet": {**_names("add restore tool nuget", INSTALLS)},
    "openssl": {**_names("s_client s_server ocsp", NETWORK), **_names("rsa pkey pkcs12 ec", SECRETS)},
}
SAME: Final = {"pip3": "pip", "pip2": "pip", "gofmt": "gofmt", "bundler": "bundle"}
OPTIONS_WITH_VALUE: Final = {
    "git": frozenset(("-C", "--git-dir", "--work-tree", "--namespace")),
    "npm": frozenset(("--prefix", "-w", "--workspace", "-C")),
    "pnpm": frozenset(("--filter", "-C", "--dir", "-F")),
    "yarn": frozenset(("--cwd",)),
    "cargo": frozenset(("--manifest-path", "-C", "--color")),
    "uv": frozenset(("--directory", "--project")),
}

INTERPRETERS: Final = re.compile(
    r"(?:python|pypy|node|nodejs|perl|ruby|php|lua|deno|bun|Rscript|osascript|tclsh)[\d.]*\Z"
)
CODE_FLAGS: Final = {"python": "c", "pypy": "c", "perl": "eE", "ruby": "e", "php": "r", "lua": "e", "Rscript": "e"}
CODE_HINTS: Final = (
    (
        re.compile(
            r"https?:|\bsockets?\b|urllib|requests|httpx|aiohttp|http\.client|smtplib|ftplib|paramiko|\bfetch\(|XMLHttpRequest"
            r"|\bnet\b|['\"]https?['\"]|LWP|Net::|open-uri|TCPSocket|fsockopen|file_get_contents|curl|wget",
            re.IGNORECASE,
        ),
        NETWORK,
    ),
    (
        re.compile(r"environ|getenv|process\.env|\bENV\b|\.env\b|id_rsa|\.ssh|\.aws|credentials|_KEY\b|TOKEN|SECRET"),
        SECRETS,
    ),
    (re.compile(r"rmtree|unlink|rmdir|\bremove\(|rmSync|rm_rf|rm -r|\bdelete\b"), DELETES),
    (
        re.compile(
            r"os\.system|subprocess|popen|pty\.|child_process|exec\w*\s*\(|spawn|\bsystem\b|`|eval|compile\(|__import__|importlib"
            r"|base64|b64decode|getattr|marshal|pickle|shell_exec|passthru|proc_open|ctypes|builtins",
            re.IGNORECASE,
        ),
        UNCLEAR,
    ),
)
