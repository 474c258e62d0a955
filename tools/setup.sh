#!/usr/bin/env bash
# Sets the project up in .venv: Python 3.11 or newer must be there, everything else is brought.
# uv is taken from PATH, or put into .uv; bubblewrap and the venv module come from apt when they are missing.
# `setup.sh browser` brings Chromium, too, for the tests that look at the admin page.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }

install() { # apt packages, where that is allowed
  local as=()
  if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as=(sudo -n); else return 1; fi
  fi
  command -v apt-get >/dev/null || return 1
  say "installing $*"
  # sudo passes no variables on, and another apt-get may be at work on a machine that has just started.
  as+=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120)
  if ! "${as[@]}" install -y --no-install-recommends "$@" </dev/null >/dev/null 2>&1; then
    "${as[@]}" update </dev/null >/dev/null
    "${as[@]}" install -y --no-install-recommends "$@" </dev/null >/dev/null
  fi
}

python=""
for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
  if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    python=$(command -v "$candidate")
    break
  fi
done
if [ -z "$python" ]; then
  say "Python 3.11 or newer is needed. Install it, for example: sudo apt-get install -y python3"
  exit 1
fi

bring_uv() { # into .uv, where nobody else's version is disturbed
  if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    install python3-venv || { say "type: sudo apt-get install -y python3-venv, then make again"; exit 1; }
  fi
  "$python" -m venv .uv
  .uv/bin/pip install -q --disable-pip-version-check 'uv>=0.9,<1'
}

sync() { # what uv.lock says into .venv, with the uv at $1
  UV_PROJECT_ENVIRONMENT=.venv UV_PYTHON_DOWNLOADS=never UV_PYTHON="$python" "$1" sync --frozen --quiet --all-extras
}

if [ -x .uv/bin/uv ]; then
  sync .uv/bin/uv
elif ! { command -v uv >/dev/null && sync uv; }; then # an old one may not read the lock file
  bring_uv
  sync .uv/bin/uv
fi

if ! command -v bwrap >/dev/null; then
  install bubblewrap || say "sandboxes need bubblewrap; type: sudo apt-get install -y bubblewrap"
fi

if [ "${1:-}" = browser ] && ! { command -v chromium && command -v chromedriver; } >/dev/null; then
  install chromium chromium-driver || { say "type: sudo apt-get install -y chromium chromium-driver, then make again"; exit 1; }
fi
